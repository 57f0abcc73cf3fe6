"""The video and the text tower, joined by a learnable temperature."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.layers import dense
from cmrjax.models.pooling import l2_normalise, masked_mean
from cmrjax.models.text_encoder import TextEncoder, TextEncoderConfig
from cmrjax.models.video import VideoConfig, make_video_tower


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoTowerConfig:
    """Both towers and the joint space.

    Args:
        video: the video tower.
        text: the text tower.
        joint: width of the joint embedding space.
        init_temperature: softmax temperature at the start; its inverse is the logit scale.
        init_bias: logit bias at the start, used by the sigmoid loss alone.
    """

    video: VideoConfig
    text: TextEncoderConfig
    joint: int = 128
    init_temperature: float = 0.07
    init_bias: float = -10.0


class TwoTower(nnx.Module):
    """Maps studies and sentences into one space of unit vectors."""

    def __init__(self, config: TwoTowerConfig, *, rngs: nnx.Rngs):
        self.video = make_video_tower(config.video, rngs=rngs)
        self.text = TextEncoder(config.text, rngs=rngs)
        names = ("embed", "joint")
        self.project_video = dense(config.video.width, config.joint, names, rngs=rngs)
        self.project_text = dense(config.text.width, config.joint, names, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.float32(math.log(1 / config.init_temperature)))
        self.logit_bias = nnx.Param(jnp.float32(config.init_bias))

    def encode_cine(self, clips: jax.Array) -> jax.Array:
        """Clips `[b, t, h, w]` to unit vectors `[b, d]`."""
        return l2_normalise(self.project_video(self.video(clips)))

    def encode_study(self, clips: jax.Array, mask: jax.Array) -> jax.Array:
        """Clips `[b, cines, t, h, w]` with mask `[b, cines]` to one unit vector a study `[b, d]`.

        The mean is over the cines' unit vectors, so that what training sees is what an evaluator
        gets from averaging `encode_cine`.
        """
        z = self.encode_cine(clips.reshape(-1, *clips.shape[2:]))
        return l2_normalise(masked_mean(z.reshape(*mask.shape, -1), mask))

    def encode_text(self, ids: jax.Array) -> jax.Array:
        """Token ids `[b, l]` to unit vectors `[b, d]`."""
        return l2_normalise(self.project_text(self.text(ids)))
