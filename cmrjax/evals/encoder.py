"""What every evaluator sees of a model: functions from cines and sentences to vectors.

A checkpoint, the same network untrained, a supervised network, an exported and an imported model
are all Encoders, so an evaluator runs any of them beside the others. This module reads no file:
`evals.workdir_encoder` loads a run's checkpoint, `evals.model_folder` a folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import DatasetContract, InputContract
from cmrjax.evals.model import Model
from cmrjax.models.build import abstract_model
from cmrjax.models.heads import StudyRegressor
from cmrjax.models.pooling import l2_normalise, masked_mean
from cmrjax.models.two_tower import TwoTower
from cmrjax.objectives.contrastive import MAX_LOGIT_SCALE


class NoTextTowerError(UserError):
    """The model has no text tower, so it cannot do what was asked."""


class NoVideoTowerError(UserError):
    """The model has no video tower, so it cannot do what was asked."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A frozen model.

    Args:
        name: `checkpoint`, `random`, `supervised` or a rival's name.
        step: optimizer steps behind it; 0 untrained.
        dataset_contract: the preprocessing it was trained under; None for an imported model.
        input: what it adds between a record and its input.
        cine: jitted function, clips float32 `[b, t, h, w]` in 0..1 -> (z `[b, d]`, pooled
            `[b, 2 * width]`); None without a video tower.
        tokens: jitted function, clips -> patch tokens `[b, n, width]`; None likewise.
        text: function from sentences to unit vectors `[n, d]`; None without a text tower.
        logit_scale: inverse temperature of its contrastive objective; 1 without one.
    """

    name: str
    step: int
    dataset_contract: DatasetContract | None
    input: InputContract
    cine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    tokens: Callable[[np.ndarray], np.ndarray] | None = None
    text: Callable[[Sequence[str]], np.ndarray] | None = None
    logit_scale: float = 1.0

    def encode(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both vectors of clips `[b, t, h, w]`: z `[b, d]` and pooled `[b, 2 * width]`.

        Raises:
            NoVideoTowerError: the model has no video tower.
        """
        if self.cine is None:
            raise NoVideoTowerError("the model has no video tower", where=f"encoder {self.name}")
        z, pooled = self.cine(clips)
        return np.asarray(z), np.asarray(pooled)

    def encode_cine(self, clips: np.ndarray) -> np.ndarray:
        """Unit vectors `z_video` `[b, d]` of clips float32 `[b, t, h, w]` in 0..1."""
        return self.encode(clips)[0]

    def encode_pooled(self, clips: np.ndarray) -> np.ndarray:
        """Mean and spread of the patch tokens `[b, 2 * width]`; probes use these."""
        return self.encode(clips)[1]

    def encode_tokens(self, clips: np.ndarray) -> np.ndarray:
        """Patch tokens `[b, n, width]` of clips `[b, t, h, w]`: over time, then rows, then columns.

        Raises:
            NoVideoTowerError: the model has no video tower.
        """
        if self.tokens is None:
            raise NoVideoTowerError("the model has no video tower", where=f"encoder {self.name}")
        return np.asarray(self.tokens(clips))

    def encode_study(self, cines: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Unit vectors `[b, d]` of studies: the mean over their cines' `z_video`, normalised.

        Args:
            cines: float32 `[b, cines, t, h, w]` in 0..1.
            mask: bool `[b, cines]`, False where a study has no such cine.
        """
        z = self.encode_cine(cines.reshape(-1, *cines.shape[2:]))
        z = jnp.reshape(z, (*mask.shape, -1))
        return np.asarray(l2_normalise(masked_mean(z, jnp.asarray(mask))))

    def encode_text(self, sentences: Sequence[str]) -> np.ndarray:
        """Unit vectors `z_text` `[n, d]` of sentences.

        Raises:
            NoTextTowerError: the model has no text tower.
        """
        if self.text is None:
            raise NoTextTowerError("the model has no text tower", where=f"encoder {self.name}")
        return self.text(sentences)


def video_features(module: Any, clips: jax.Array):
    """Pooled vector and patch tokens of clips, by whichever tower a network has."""
    tower = module.video if isinstance(module, TwoTower | StudyRegressor) else module
    return tower.features(clips)


def video_vectors(module: Any, clips: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What `Encoder.encode` gives: z `[b, d]`, and mean and spread of the tokens."""
    pooled, tokens = video_features(module, clips)
    spread = jnp.concatenate([tokens.mean(axis=-2), tokens.std(axis=-2)], axis=-1)
    z = module.project_video(pooled) if isinstance(module, TwoTower) else pooled
    return l2_normalise(z), spread


def text_vectors(module: Any, ids: jax.Array) -> jax.Array:
    """Unit vectors `[n, d]` of token ids `[n, l]`."""
    if isinstance(module, TwoTower):
        return module.encode_text(ids)
    return l2_normalise(module(ids))


def bound(model: Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a module and arrays as one compiled function of the arrays."""
    graph = nnx.split(abstract_model(model.config))[0]
    params = jax.tree.map(jnp.asarray, model.params)
    compiled = jax.jit(lambda params, *arrays: function(nnx.merge(graph, params), *arrays))
    return lambda *arrays: compiled(params, *arrays)


def make_encoder(model: Model, *, name: str) -> Encoder:
    """The encoder of a model.

    Args:
        model: the network.
        name: what results call it.
    """
    cine = tokens = text = None
    if model.has_video:
        cine = bound(model, video_vectors)
        tokens = bound(model, lambda module, clips: video_features(module, clips).tokens)
    if model.has_text:
        text = _text_function(model)
    scale = 1.0
    if "logit_scale" in model.params:
        scale = float(np.exp(min(np.asarray(model.params["logit_scale"]), MAX_LOGIT_SCALE)))
    return Encoder(
        name=name,
        step=model.step,
        dataset_contract=model.dataset_contract,
        input=model.input,
        cine=cine,
        tokens=tokens,
        text=text,
        logit_scale=scale,
    )


def _text_function(model: Model) -> Callable[[Sequence[str]], np.ndarray]:
    vectors, tokenizer = bound(model, text_vectors), model.tokenizer
    if tokenizer is None:
        raise UserError("a text tower without a tokenizer", where="tokenizer.json")

    def encode_text(sentences: Sequence[str]) -> np.ndarray:
        ids = wordpiece.encode(tokenizer, sentences, max_tokens=model.input.max_tokens)
        return np.asarray(vectors(ids))

    return encode_text
