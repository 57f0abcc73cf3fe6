"""A network with all that makes it usable: parameters, contracts, tokenizer, and its training."""

import dataclasses
from functools import partial
from typing import Any

import jax
from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.data.contract import DatasetContract, InputContract
from cmrjax.models.build import ModelConfig, init_params, kind_of
from cmrjax.models.parameters import parameter_shapes
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig

_SHOWN = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """Whose data made the weights, without naming anyone.

    Args:
        dataset: fingerprint of the dataset's records; '' where it was not at hand.
        splits: fingerprint of its patients' splits; '' likewise.
        split: which split was trained on.
        fold: `(i, k)`, or None for the pinned split.
    """

    dataset: str
    splits: str
    split: str
    fold: tuple[int, int] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """Where the weights come from.

    Args:
        objective: 'contrastive', 'supervised'.
        seed: of the initial parameters; draws the same untrained network again.
        data: the run's own dataset, then those of the runs that it starts from.
    """

    objective: str
    seed: int
    data: tuple[TrainedOn, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A network as it is stored and passed on.

    Args:
        config: what it looks like.
        params: a pure nested dict of arrays.
        input: what it adds between a record and its input.
        dataset_contract: the preprocessing it was trained under; None for an imported model.
        tokenizer: of a text tower; None without one.
        step: optimizer steps behind it; 0 untrained or imported.
        training: None for an imported model.
    """

    config: ModelConfig
    params: dict[str, Any]
    input: InputContract
    dataset_contract: DatasetContract | None = None
    tokenizer: Tokenizer | None = None
    step: int = 0
    training: Training | None = None

    @property
    def kind(self) -> str:
        """One of `models.build.KINDS`."""
        return kind_of(self.config)

    @property
    def has_video(self) -> bool:
        """Whether it encodes clips."""
        return not isinstance(self.config, TextEncoderConfig)

    @property
    def has_text(self) -> bool:
        """Whether it encodes sentences."""
        return isinstance(self.config, TwoTowerConfig | TextEncoderConfig)

    def untrained(self, seed: int) -> "Model":
        """The same network before its first step."""
        return dataclasses.replace(self, params=_drawn(self.config, jax.random.key(seed)), step=0)


@partial(jax.jit, static_argnames="config")
def _drawn(config: ModelConfig, key: jax.Array) -> dict[str, Any]:
    # Compiled as one program, as training does it: the same bits, and kept between jobs.
    return init_params(config, key)


def require_parameters(config: ModelConfig, leaves: dict[str, Any], *, where: str) -> None:
    """Stops unless the parameters are those of the network.

    Args:
        config: of the network.
        leaves: arrays by path.
        where: names the file in the message.

    Raises:
        UserError: names what is missing, unexpected or of another shape, with both shapes.
    """
    ours = parameter_shapes(config)
    given = {path: tuple(leaf.shape) for path, leaf in leaves.items()}
    wrong = [
        f"{path} {given.get(path, 'missing')} for {ours.get(path, 'nothing')}"
        for path in sorted(ours.keys() | given.keys())
        if ours.get(path) != given.get(path)
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UserError(
            f"the weights do not fit the network: {'; '.join(wrong[:_SHOWN])}{more}", where=where
        )
