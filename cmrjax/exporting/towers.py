"""The towers of a model as plain functions of one array, for formats that hold a program."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core.errors import CmrjaxError
from cmrjax.core.types import PAD_ID
from cmrjax.evals.encoder import text_vectors, video_vectors
from cmrjax.evals.model import Model
from cmrjax.models.build import ModelConfig, abstract_model
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig

TOLERANCE = 1e-4
# Several and one: a batch size that was baked in shows.
_BATCHES = (3, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tower:
    """One tower with its weights inside.

    Args:
        name: 'video' or 'text'.
        input: name of the input, 'clips' or 'ids'.
        shape: of one input, without the batch.
        dtype: of the input.
        outputs: names of the outputs: 'z', and for video 'pooled', as `Encoder.encode` gives them.
        function: from `[b, *shape]` to a tuple of the outputs.
        vocabulary: token ids that there are; 0 for video.
    """

    name: str
    input: str
    shape: tuple[int, ...]
    dtype: Any
    outputs: tuple[str, ...]
    function: Callable[[jax.Array], tuple[jax.Array, ...]]
    vocabulary: int = 0

    def example(self, batch: int) -> np.ndarray:
        """An input `[batch, *shape]`: noise in 0..1, or ids of which each row pads another part."""
        rng = np.random.default_rng(batch)
        if self.name == "video":
            return rng.random((batch, *self.shape), np.float32)
        ids = rng.integers(1, self.vocabulary, (batch, *self.shape)).astype(np.int32)
        length = self.shape[0]
        kept = 1 + (np.arange(batch) * length // batch)[::-1]
        return np.where(np.arange(length) < kept[:, None], ids, np.int32(PAD_ID))


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far an export's outputs are from the source's.

    Args:
        absolute: largest difference.
        relative: largest difference over the largest magnitude of the same output.
    """

    absolute: float
    relative: float


def towers(model: Model, *, scan: bool = True) -> list[Tower]:
    """The towers of a model, in float32 and without rematerialisation.

    Args:
        model: the source.
        scan: one loop over equal blocks; False writes every block out.
    """
    config = plain_config(model.config, scan=scan)
    graph = nnx.split(abstract_model(config))[0]
    params = jax.tree.map(jnp.asarray, model.params)
    found = []
    if model.has_video:
        video = config if not hasattr(config, "video") else config.video  # type: ignore[union-attr]
        found.append(
            Tower(
                name="video",
                input="clips",
                shape=tuple(video.clip),  # type: ignore[union-attr]
                dtype=jnp.float32,
                outputs=("z", "pooled"),
                function=lambda clips: video_vectors(nnx.merge(graph, params), clips),
            )
        )
    if isinstance(config, TwoTowerConfig | TextEncoderConfig):
        text = config.text if isinstance(config, TwoTowerConfig) else config
        found.append(
            Tower(
                name="text",
                input="ids",
                shape=(model.input.max_tokens,),
                dtype=jnp.int32,
                outputs=("z",),
                function=lambda ids: (text_vectors(nnx.merge(graph, params), ids),),
                vocabulary=text.vocabulary,
            )
        )
    return found


# What only matters where a network is trained or on one accelerator.
_PLAIN = {"remat": "none", "implementation": "", "dtype": "float32", "unroll": 1}


def plain_config(config: ModelConfig, *, scan: bool) -> Any:
    """The same network without what only training and accelerators need."""
    wanted = _PLAIN | {"scan": scan}
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = plain_config(value, scan=scan)  # type: ignore[arg-type]
        elif field.name in wanted:
            changes[field.name] = wanted[field.name]
    return dataclasses.replace(config, **changes)


def check(
    source: Tower, exported: Callable[[np.ndarray], Sequence[np.ndarray]], *, what: str
) -> Difference:
    """Runs an export and its source on the same inputs, of several batch sizes.

    Args:
        source: the tower.
        exported: what the export gives for an input.
        what: names the export in messages.

    Raises:
        CmrjaxError: the outputs differ by more than `TOLERANCE`, relative, or are not finite.
    """
    array = source.example(max(_BATCHES))
    expected = [np.asarray(out, np.float64) for out in jax.jit(source.function)(array)]
    absolute = relative = 0.0
    for batch in _BATCHES:
        found = exported(array[:batch])
        for name, whole, theirs in zip(source.outputs, expected, found, strict=True):
            ours, theirs = whole[:batch], np.asarray(theirs, np.float64)
            if ours.shape != theirs.shape:
                raise CmrjaxError(f"{name} has shape {theirs.shape}, not {ours.shape}", where=what)
            apart = float(np.abs(ours - theirs).max())
            share = apart / max(float(np.abs(ours).max()), 1e-30)
            if not share <= TOLERANCE:  # also where it is not a number
                raise CmrjaxError(
                    f"{name} differs from the source by {share:.1e}, more than {TOLERANCE:.0e}",
                    where=what,
                    fix="nothing was written",
                )
            absolute, relative = max(absolute, apart), max(relative, share)
    return Difference(absolute, relative)
