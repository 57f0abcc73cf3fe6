"""The video and the text tower, joined by a learnable temperature."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import dense
from cmrjax.models.pooling import GatedAttentionPool, l2_normalise, masked_mean
from cmrjax.models.text_encoder import TextEncoder, TextEncoderConfig
from cmrjax.models.video import VideoConfig, make_video_tower

STUDY_POOLS = ("mean", "gated")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoTowerConfig:
    """Both towers and the joint space.

    Args:
        video: the video tower.
        text: the text tower.
        joint: width of the joint embedding space.
        init_temperature: at the start; its inverse is the logit scale. 0.07 is published for the
            softmax (Radford et al. 2021), 0.1 for the sigmoid loss (Zhai et al. 2023).
        init_bias: logit bias at the start, used by the sigmoid loss alone; -10 is published.
        study_pool: how a study's cines become one vector: the 'mean' of their unit vectors, or
            'gated' attention over what the tower makes of them (`GatedAttentionPool`).
    """

    video: VideoConfig
    text: TextEncoderConfig
    joint: int = 128
    init_temperature: float = 0.07
    init_bias: float = -10.0
    study_pool: str = "mean"

    def __post_init__(self):
        if self.study_pool not in STUDY_POOLS:
            raise UserError(
                f"study_pool = {self.study_pool!r}", where="config.model", fix=f"use {STUDY_POOLS}"
            )
        if self.init_temperature <= 0 or self.joint < 1:
            raise UserError(
                f"init_temperature = {self.init_temperature}, joint = {self.joint}",
                where="config.model",
                fix="give a temperature above 0, and a width of 1 or more",
            )


class TwoTower(nnx.Module):
    """Maps studies and sentences into one space of unit vectors."""

    def __init__(self, config: TwoTowerConfig, *, rngs: nnx.Rngs):
        self.video = make_video_tower(config.video, rngs=rngs)
        self.text = TextEncoder(config.text, rngs=rngs)
        names = ("embed", "joint")
        width = config.video.width
        self.gated = config.study_pool == "gated"
        if self.gated:
            self.gate = GatedAttentionPool(width, rngs=rngs)
            width = self.gate.width
        self.project_video = dense(width, config.joint, names, rngs=rngs)
        self.project_text = dense(config.text.width, config.joint, names, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.float32(math.log(1 / config.init_temperature)))
        self.logit_bias = nnx.Param(jnp.float32(config.init_bias))

    def encode_cine(self, clips: jax.Array) -> jax.Array:
        """Clips `[b, t, h, w]` to vectors `[b, d]`; see `project`."""
        return self.project(self.video(clips))

    def project(self, pooled: jax.Array) -> jax.Array:
        """What the video tower makes of clips, `[*b, width]`, in the joint space, `[*b, d]`.

        Unit vectors; with gated attention as long as the clip weighs in its study. Either way the
        sum over a study's cines points to where the study's embedding does, so that an evaluator
        that adds cines up gets what training sees.
        """
        if self.gated:
            hidden, score = self.gate.parts(pooled)
            return jnp.exp(score)[..., None] * self.project_video(hidden)
        return l2_normalise(self.project_video(pooled))

    def unscaled(self, pooled: jax.Array) -> jax.Array:
        """`project` before its vectors are given a length."""
        return self.project_video(self.gate.parts(pooled)[0] if self.gated else pooled)

    def pool_study(self, pooled: jax.Array, mask: jax.Array) -> jax.Array:
        """Clips' pooled vectors `[b, cines, width]` with mask `[b, cines]` to unit `[b, d]`."""
        if self.gated:
            return l2_normalise(self.project_video(self.gate(pooled, mask)))
        return l2_normalise(masked_mean(self.project(pooled), mask))

    def encode_study(self, clips: jax.Array, mask: jax.Array) -> jax.Array:
        """Clips `[b, cines, t, h, w]`, mask `[b, cines]` to one unit vector a study `[b, d]`."""
        pooled = self.video(clips.reshape(-1, *clips.shape[2:]))
        return self.pool_study(pooled.reshape(*mask.shape, -1), mask)

    def encode_text(self, ids: jax.Array) -> jax.Array:
        """Token ids `[b, l]` to unit vectors `[b, d]`."""
        return l2_normalise(self.project_text(self.text(ids)))
