"""One tower for a segmentation of every frame and a diagnosis of every study."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.heads import POOLS, LinearHead
from cmrjax.models.pooling import GatedAttentionPool, masked_mean
from cmrjax.models.segmentation import SegmentationHead
from cmrjax.models.video import VideoConfig, make_video_tower

TASKS = ("segmentation", "diagnosis")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultitaskNetworkConfig:
    """A tower and its heads.

    Args:
        video: the video tower. A tower of single frames takes cines too, every frame an image.
        tasks: some of `TASKS`; each has a head.
        classes: of the segmentation, the background among them.
        diagnoses: classes of the diagnosis.
        pool: over a study's cines (or images), for the diagnosis: their 'mean', or 'gated'
            attention (`GatedAttentionPool`).
        channels: of the segmentation's decoder at the tokens' resolution.
        learned_weights: hold a log variance a task, by which the losses are weighted.
    """

    video: VideoConfig
    tasks: tuple[str, ...] = TASKS
    classes: int = 4
    diagnoses: int = 5
    pool: str = "mean"
    channels: int = 64
    learned_weights: bool = False

    def __post_init__(self):
        if not self.tasks or set(self.tasks) - set(TASKS) or len({*self.tasks}) < len(self.tasks):
            raise UserError(
                f"tasks = {self.tasks}", where="config.objective", fix=f"use some of {TASKS}"
            )
        if self.pool not in POOLS:
            raise UserError(
                f"pool = {self.pool!r}", where="config.objective", fix=f"use one of {POOLS}"
            )
        for name in ("classes", "diagnoses"):
            if getattr(self, name) < 2:
                raise UserError(
                    f"{name} = {getattr(self, name)}",
                    where="config.objective",
                    fix="give 2 or more",
                )


class MultitaskNetwork(nnx.Module):
    """A video tower, a decoder of its tokens and a classifier of its pooled vectors."""

    def __init__(self, config: MultitaskNetworkConfig, *, rngs: nnx.Rngs):
        self.config = config
        video = config.video
        self.video = make_video_tower(video, rngs=rngs)
        if "segmentation" in config.tasks:
            self.segmentation = SegmentationHead(
                video.width,
                config.classes,
                clip=video.clip,
                grid=video.grid,
                rngs=rngs,
                channels=config.channels,
            )
        if "diagnosis" in config.tasks:
            width = video.width
            if config.pool == "gated":
                self.pool = GatedAttentionPool(width, rngs=rngs)
                width = self.pool.width
            self.diagnosis = LinearHead(width, config.diagnoses, rngs=rngs, target="multi_class")
        if config.learned_weights:
            self.log_variance = nnx.Param(jnp.zeros(len(config.tasks)))

    def predict(self, clips: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        """Logits of the config's tasks.

        Args:
            clips: `[b, cines, t, h, w]`, values 0..1.
            mask: `[b, cines]`, True where there is a cine.

        Returns:
            `segmentation` `[b, cines, t, h, w, classes]`, `diagnosis` `[b, diagnoses]`; what stands
            at a cine that is not there means nothing.
        """
        b, cines, t, *_ = clips.shape
        frames = self.config.video.clip[0]
        if frames == 1:  # every frame of a cine is an image
            mask = jnp.repeat(mask, t, axis=1)
        inputs = clips.reshape(b * cines * t // frames, frames, *clips.shape[3:])
        pooled, tokens = self.video.features(inputs)
        out = {}
        if "segmentation" in self.config.tasks:
            logits = self.segmentation(tokens, inputs)
            out["segmentation"] = logits.reshape(*clips.shape, -1)
        if "diagnosis" in self.config.tasks:
            vectors = pooled.reshape(*mask.shape, -1)
            pool = self.pool if self.config.pool == "gated" else masked_mean
            out["diagnosis"] = self.diagnosis(pool(vectors, mask))
        return out
