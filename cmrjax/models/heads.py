"""Heads on top of a video tower."""

import dataclasses

import jax
from flax import nnx

from cmrjax.models.layers import dense
from cmrjax.models.pooling import masked_mean
from cmrjax.models.video import VideoConfig, make_video_tower


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRegressorConfig:
    """A network from a study's cines to numbers.

    Args:
        video: the video tower.
        outputs: how many numbers.
    """

    video: VideoConfig
    outputs: int


class StudyRegressor(nnx.Module):
    """A video tower, the mean over a study's cines and a linear layer to `outputs` numbers."""

    def __init__(self, config: StudyRegressorConfig, *, rngs: nnx.Rngs):
        self.video = make_video_tower(config.video, rngs=rngs)
        self.head = dense(
            config.video.width,
            config.outputs,
            ("embed", "classes"),
            rngs=rngs,
            init=nnx.initializers.zeros_init(),
        )

    def __call__(self, clips: jax.Array, mask: jax.Array) -> jax.Array:
        """Clips `[b, cines, t, h, w]` with mask `[b, cines]` to `[b, outputs]`."""
        pooled = self.video(clips.reshape(-1, *clips.shape[2:]))
        return self.head(masked_mean(pooled.reshape(*mask.shape, -1), mask))
