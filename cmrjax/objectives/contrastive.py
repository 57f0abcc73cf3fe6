"""Studies against the sentences of their reports: softmax (CLIP) and sigmoid (SigLIP) losses.

With small batches and whole reports InfoNCE stays near ln(batch): half of the "negatives" of a
normal heart are other normal hearts. Here a sentence is drawn, and every study of the batch whose
report makes that statement is its positive.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.types import PAD_ID
from cmrjax.models.build import abstract_model, init_params
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.objectives.augment import AugmentConfig, augment, to_unit
from cmrjax.objectives.base import Aux, PyTree

LOSSES = ("softmax", "sigmoid")
POSITIVES = ("study", "statement")
# CLIP clips its scale at 100 (Radford et al. 2021, section 2.5).
MAX_LOGIT_SCALE = 4.6052


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """How studies and sentences are compared.

    Args:
        loss: `softmax` (Radford et al. 2021) or `sigmoid` (Zhai et al. 2023).
        positives: `study`: a sentence belongs to its own study alone; `statement`: to every study
            of the batch whose report holds the same statement.
    """

    loss: str = "softmax"
    positives: str = "statement"

    def __post_init__(self):
        for key, allowed in (("loss", LOSSES), ("positives", POSITIVES)):
            if getattr(self, key) not in allowed:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}",
                    where="config.objective",
                    fix=f"use {allowed}",
                )


def positive_pairs(statement: jax.Array, statements: jax.Array, *, shared: bool) -> jax.Array:
    """Which sentence is true of which study.

    Args:
        statement: uint32 `[b, s]`, the key of each drawn sentence; 0 is padding.
        statements: uint32 `[b, k]`, the keys of all sentences of each study's report; 0 pads.
        shared: count the studies whose report makes the same statement.

    Returns:
        bool `[b, b * s]`; a padded sentence is true of none.
    """
    b, s = statement.shape
    flat = statement.reshape(-1)
    if shared:
        pairs = (statements[:, :, None] == flat[None, None, :]).any(axis=1)
    else:
        pairs = jnp.repeat(jnp.eye(b, dtype=bool), s, axis=1)
    return pairs & (flat != 0)[None, :]


def softmax_loss(logits: jax.Array, positives: jax.Array, valid: jax.Array) -> jax.Array:
    """Symmetric cross-entropy with the target spread evenly over a row's or column's positives.

    Args:
        logits: `[b, m]`, studies by sentences, already scaled.
        positives: bool `[b, m]`.
        valid: bool `[m]`, False for padded sentences.
    """
    masked = jnp.where(valid[None, :], logits, -jnp.inf)
    to_text = _soft_cross_entropy(masked, positives, axis=1)
    to_video = _soft_cross_entropy(jnp.where(valid[None, :], logits, 0.0), positives, axis=0)
    has_text = positives.any(axis=1)
    return 0.5 * (_mean_where(to_text, has_text) + _mean_where(to_video, valid))


def _soft_cross_entropy(logits: jax.Array, positives: jax.Array, *, axis: int) -> jax.Array:
    target = positives / jnp.maximum(positives.sum(axis=axis, keepdims=True), 1)
    log_p = jax.nn.log_softmax(logits, axis=axis)
    return -jnp.sum(jnp.where(positives, target * log_p, 0.0), axis=axis)


def _mean_where(x: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(mask.sum(), 1)


def sigmoid_loss(logits: jax.Array, positives: jax.Array, valid: jax.Array) -> jax.Array:
    """Binary cross-entropy of every pair, summed over sentences, a mean over studies.

    Args:
        logits: `[b, m]`, already scaled and with the bias added.
        positives: bool `[b, m]`.
        valid: bool `[m]`, False for padded sentences.

    Reference:
        Zhai et al. 2023, algorithm 1.
    """
    signs = jnp.where(positives, 1.0, -1.0)
    pairs = jax.nn.softplus(-signs * logits)
    return jnp.sum(jnp.where(valid[None, :], pairs, 0.0)) / logits.shape[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrastive:
    """The two-tower objective; see `objectives.base.Objective`."""

    model: TwoTowerConfig
    config: ContrastiveConfig
    augment: AugmentConfig

    @property
    def network(self) -> TwoTowerConfig:
        """The trained network: both towers."""
        return self.model

    def abstract(self) -> TwoTower:
        """The two towers with shapes and axis names, no arrays."""
        return abstract_model(self.network)

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial parameters; there is no other state."""
        return init_params(self.network, key), {}

    def loss(self, params, extra, batch, key, step) -> tuple[jax.Array, Aux]:
        """The contrastive loss of a batch.

        Args:
            params: of `init`.
            extra: empty.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` `[b, cines]`, `tokens` int32
                `[b, s, l]`, `statement` uint32 `[b, s]`, `statements` uint32 `[b, k]`.
            key: random key of this step.
            step: optimizer steps done; unused.
        """
        del step
        model = nnx.merge(nnx.split(self.abstract())[0], params)
        b, cines = batch["clip_mask"].shape
        clips = to_unit(batch["clips"]).reshape(b * cines, *batch["clips"].shape[2:])
        clips = augment(clips, key, self.augment)
        z_video = model.encode_study(clips.reshape(batch["clips"].shape), batch["clip_mask"])
        tokens = batch["tokens"].reshape(-1, batch["tokens"].shape[-1])
        z_text = model.encode_text(tokens)
        positives = positive_pairs(
            batch["statement"], batch["statements"], shared=self.config.positives == "statement"
        )
        valid = (tokens != PAD_ID).any(axis=-1) & (batch["statement"].reshape(-1) != 0)
        scale = jnp.exp(jnp.minimum(model.logit_scale[...], MAX_LOGIT_SCALE))
        logits = scale * (z_video @ z_text.T)
        if self.config.loss == "softmax":
            loss = softmax_loss(logits, positives, valid)
        else:
            loss = sigmoid_loss(logits + model.logit_bias[...], positives, valid)
        metrics = {
            "logit_scale": scale,
            "video_spread": jnp.std(z_video, axis=0).mean() * z_video.shape[-1] ** 0.5,
            "positives_per_sentence": positives.sum() / jnp.maximum(valid.sum(), 1),
        }
        return loss, Aux(metrics, extra)
