"""What every evaluator sees of a model: functions from cines and sentences to vectors.

A checkpoint, the same network untrained, a supervised network, an exported and an imported model
are all Encoders, so an evaluator runs any of them beside the others. This module reads no file:
`evals.workdir_encoder` loads a run's checkpoint, `evals.model_folder` a folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import DatasetContract, InputContract
from cmrjax.evals.model import Model
from cmrjax.evals.tower_attention import video_map
from cmrjax.models.build import ModelConfig, abstract_model
from cmrjax.models.frames import apart, as_input, over_frames
from cmrjax.models.heads import StudyRegressor
from cmrjax.models.pooling import l2_normalise, masked_mean
from cmrjax.models.tower import VideoTower
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
            `[b, p]`); None without a video tower.
        tokens: jitted function, clips -> patch tokens `[b, n, width]`; None likewise.
        text: function from sentences to unit vectors `[n, d]`; None without a text tower.
        maps: function from clips, a method and a direction of z (or None) to maps
            `[b, t, h, w]`, see `tower_attention.video_map`; None without a video tower.
        logit_scale: inverse temperature of its contrastive objective; 1 without one.
    """

    name: str
    step: int
    dataset_contract: DatasetContract | None
    input: InputContract
    cine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    tokens: Callable[[np.ndarray], np.ndarray] | None = None
    text: Callable[[Sequence[str]], np.ndarray] | None = None
    maps: Callable[[np.ndarray, str, np.ndarray | None], np.ndarray] | None = None
    logit_scale: float = 1.0

    def encode(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both vectors of clips `[b, t, h, w]`: z `[b, d]` and pooled `[b, p]`.

        z is of unit length, or as long as the clip weighs in its study (`TwoTower.project`); pooled
        is what probes use: `token_summary`, of single frames `over_frames`.

        Raises:
            NoVideoTowerError: the model has no video tower.
        """
        if self.cine is None:
            raise NoVideoTowerError("the model has no video tower", where=f"encoder {self.name}")
        z, pooled = self.cine(clips)
        return np.asarray(z), np.asarray(pooled)

    def encode_cine(self, clips: np.ndarray) -> np.ndarray:
        """Vectors `z_video` `[b, d]` of clips float32 `[b, t, h, w]` in 0..1; see `encode`."""
        return self.encode(clips)[0]

    def encode_pooled(self, clips: np.ndarray) -> np.ndarray:
        """The summary of the patch tokens `[b, p]` that probes use; see `encode`."""
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

    def attention(self, clips: np.ndarray, method: str, *, sentence: str = "") -> np.ndarray:
        """Where the video tower looks in clips: `[b, t, h, w]`, each clip's map summing to 1.

        Args:
            clips: float32 `[b, t, h, w]` in 0..1.
            method: one of `tower_attention.METHODS`.
            sentence: what a gradient map asks for; empty asks for all of the embedding.

        Raises:
            NoVideoTowerError: the model has no video tower.
            NoTextTowerError: a sentence is given and the model has no text tower.
            NoMapError: the tower has no map of this method.
        """
        if self.maps is None:
            raise NoVideoTowerError("the model has no video tower", where=f"encoder {self.name}")
        direction = self.encode_text([sentence])[0] if sentence else None
        return self.maps(clips, method, direction)


def video_tower(module: Any) -> VideoTower:
    """The video tower of a network, which may be all of it."""
    return module.video if isinstance(module, TwoTower | StudyRegressor) else module


def video_vectors(module: Any, clips: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What `Encoder.encode` gives: z `[b, d]`, and the summary of the tokens."""
    tower = video_tower(module)
    features = tower.features(as_input(tower.config.clip, clips))
    k = apart(tower.config.clip, clips.shape[1])
    pooled = features.pooled.reshape(-1, k, features.pooled.shape[-1]).mean(axis=1)
    z = module.project(pooled) if isinstance(module, TwoTower) else l2_normalise(pooled)
    return z, over_frames(token_summary(features.tokens, tower.config.grid), k)


def clip_tokens(module: Any, clips: jax.Array) -> jax.Array:
    """Patch tokens `[b, n, width]` of clips `[b, t, h, w]`, also of a tower of single frames."""
    tower = video_tower(module)
    tokens = tower.features(as_input(tower.config.clip, clips)).tokens
    k = apart(tower.config.clip, clips.shape[1])
    return tokens.reshape(-1, k * tokens.shape[1], tokens.shape[-1])


def token_summary(tokens: jax.Array, grid: tuple[int, int, int]) -> jax.Array:
    """What a linear probe sees of a clip: the mean of its tokens, and of those around the heart.

    `prepare` puts the heart into the middle of the crop. Mean and spread of the middle half of rows
    and columns beside the mean over all take a tenth off the LVEF error on the phantom.

    Args:
        tokens: `[b, n, d]` over time, rows and columns.
        grid: times, rows and columns.

    Returns:
        `[b, 3 * d]`: mean over all, mean over the middle, standard deviation over the middle.
    """
    b, _, d = tokens.shape
    t, h, w = grid
    middle = tokens.reshape(b, t, h, w, d)[:, :, h // 4 : h - h // 4, w // 4 : w - w // 4]
    middle = middle.reshape(b, -1, d)
    parts = [tokens.mean(axis=-2), middle.mean(axis=-2), middle.std(axis=-2)]
    return jnp.concatenate(parts, axis=-1)


def text_vectors(module: Any, ids: jax.Array) -> jax.Array:
    """Unit vectors `[n, d]` of token ids `[n, l]`."""
    if isinstance(module, TwoTower):
        return module.encode_text(ids)
    return l2_normalise(module(ids))


@lru_cache(maxsize=8)
def _graph(config: ModelConfig) -> nnx.GraphDef:
    """A network without its parameters; kept, as making it takes half a second."""
    return nnx.split(abstract_model(config))[0]


def bound(model: Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a module and arrays as one compiled function of the arrays."""
    graph = _graph(model.config)
    params = jax.tree.map(jnp.asarray, model.params)
    compiled = jax.jit(lambda params, *arrays: function(nnx.merge(graph, params), *arrays))
    return lambda *arrays: compiled(params, *arrays)


def make_encoder(model: Model, *, name: str) -> Encoder:
    """The encoder of a model.

    Args:
        model: the network.
        name: what results call it.
    """
    cine = tokens = text = maps = None
    if model.has_video:
        maps = _map_function(model)
        cine = bound(model, video_vectors)
        tokens = bound(model, clip_tokens)
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
        maps=maps,
        logit_scale=scale,
    )


def _map_function(model: Model) -> Callable[[np.ndarray, str, np.ndarray | None], np.ndarray]:
    compiled: dict[str, Callable[..., Any]] = {}

    def maps(clips: np.ndarray, method: str, direction: np.ndarray | None) -> np.ndarray:
        if method not in compiled:
            compiled[method] = bound(model, partial(video_map, method=method))
        return np.asarray(compiled[method](clips, direction))

    return maps


def _text_function(model: Model) -> Callable[[Sequence[str]], np.ndarray]:
    vectors, tokenizer = bound(model, text_vectors), model.tokenizer
    if tokenizer is None:
        raise UserError("a text tower without a tokenizer", where="tokenizer.json")

    def encode_text(sentences: Sequence[str]) -> np.ndarray:
        ids = wordpiece.encode(tokenizer, sentences, max_tokens=model.input.max_tokens)
        return np.asarray(vectors(ids))

    return encode_text
