"""What every evaluator sees of a model: functions from cines and sentences to vectors.

A checkpoint, the same network untrained and a supervised network are all Encoders, so an evaluator
runs any of them beside the others.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import DatasetContract, InputContract, load_checkpoint_contract
from cmrjax.experiment import RunConfig, load_run_config, make_objective
from cmrjax.models.pooling import l2_normalise
from cmrjax.models.two_tower import TwoTower
from cmrjax.objectives.contrastive import MAX_LOGIT_SCALE


class NoTextTowerError(UserError):
    """The model has no text tower, so it cannot do what was asked."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """A frozen model.

    Args:
        name: `checkpoint`, `random`, `supervised` or a rival's name.
        step: optimizer steps behind it; 0 untrained.
        dataset_contract: the preprocessing it was trained under.
        input: what it adds between a record and its input.
        cine: jitted function, clips float32 `[b, t, h, w]` in 0..1 -> (z `[b, d]`, pooled
            `[b, 2 * width]`).
        text: function from sentences to unit vectors `[n, d]`; None without a text tower.
        logit_scale: inverse temperature of its contrastive objective; 1 without one.
    """

    name: str
    step: int
    dataset_contract: DatasetContract
    input: InputContract
    cine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    text: Callable[[Sequence[str]], np.ndarray] | None = None
    logit_scale: float = 1.0

    def encode(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both vectors of clips `[b, t, h, w]`: z `[b, d]` and pooled `[b, 2 * width]`."""
        z, pooled = self.cine(clips)
        return np.asarray(z), np.asarray(pooled)

    def encode_cine(self, clips: np.ndarray) -> np.ndarray:
        """Unit vectors `z_video` `[b, d]` of clips float32 `[b, t, h, w]` in 0..1."""
        return self.encode(clips)[0]

    def encode_pooled(self, clips: np.ndarray) -> np.ndarray:
        """Mean and spread of the trunk's tokens `[b, 2 * width]`; probes use these."""
        return self.encode(clips)[1]

    def encode_text(self, sentences: Sequence[str]) -> np.ndarray:
        """Unit vectors `z_text` `[n, d]` of sentences.

        Raises:
            NoTextTowerError: the model has no text tower.
        """
        if self.text is None:
            raise NoTextTowerError("the model has no text tower", where=f"encoder {self.name}")
        return self.text(sentences)


def load_encoder(workdir: Path, *, step: int | None = None, name: str = "checkpoint") -> Encoder:
    """The encoder of a workdir's checkpoint.

    Args:
        workdir: of a train job.
        step: which checkpoint; the newest by default.
        name: what results call it.

    Raises:
        UserError: the workdir has no such checkpoint.
        CorruptDataError: the checkpoint is damaged.
    """
    run = load_run_config(workdir)
    found, params = checkpoint.restore_params(workdir, step)
    return _encoder(workdir, run, params, name=name, step=found)


def random_encoder(workdir: Path, *, seed: int | None = None, name: str = "random") -> Encoder:
    """The same network as the workdir's, as it was before its first step.

    Args:
        workdir: of a train job.
        seed: of the initial values; the run's own by default.
        name: what results call it.
    """
    run = load_run_config(workdir)
    key = jax.random.key(run.seed if seed is None else seed)
    # Compiled as one program, as training does it: the same bits, and kept between jobs.
    params, _ = jax.jit(_objective(workdir, run).init)(key)
    return _encoder(workdir, run, params, name=name, step=0)


def _vocabulary(workdir: Path, contract: InputContract) -> int:
    if contract.tokenizer == "none":
        return 0
    return wordpiece.load_tokenizer(workdir).get_vocab_size()


def _objective(workdir: Path, run: RunConfig):
    _, contract = load_checkpoint_contract(workdir)
    return make_objective(run, contract, vocabulary=_vocabulary(workdir, contract), source=None)


def _encoder(workdir: Path, run: RunConfig, params, *, name: str, step: int) -> Encoder:
    dataset_contract, contract = load_checkpoint_contract(workdir)
    module = _objective(workdir, run).abstract()
    graph = nnx.split(module)[0]
    params = jax.tree.map(jnp.asarray, params)

    @jax.jit
    def cine(params, clips):
        model: Any = nnx.merge(graph, params)
        tokens = model.video.tokens(clips)
        mean = tokens.mean(axis=-2)
        pooled = jnp.concatenate([mean, tokens.std(axis=-2)], axis=-1)
        if isinstance(model, TwoTower):
            return l2_normalise(model.project_video(mean)), pooled
        return l2_normalise(mean), pooled

    fields = {
        "name": name,
        "step": step,
        "dataset_contract": dataset_contract,
        "input": contract,
        "cine": lambda clips: cine(params, clips),
    }
    if not isinstance(module, TwoTower):
        return Encoder(**fields)
    tokenizer = wordpiece.load_tokenizer(workdir)

    @jax.jit
    def text(params, ids):
        model: Any = nnx.merge(graph, params)
        return model.encode_text(ids)

    def encode_text(sentences: Sequence[str]) -> np.ndarray:
        ids = wordpiece.encode(tokenizer, sentences, max_tokens=contract.max_tokens)
        return np.asarray(text(params, ids))

    scale = float(np.exp(min(np.asarray(params["logit_scale"]), MAX_LOGIT_SCALE)))
    return Encoder(**fields, text=encode_text, logit_scale=scale)
