"""Heads on top of a video tower."""

import dataclasses

import jax
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.frames import TERMS, apart, as_input, over_frames
from cmrjax.models.layers import Dense
from cmrjax.models.pooling import GatedAttentionPool, masked_mean
from cmrjax.models.video import VideoConfig, make_video_tower

TARGETS = ("regression", "multi_label", "multi_class")
POOLS = ("mean", "gated")


class LinearHead(Dense):
    """One linear layer to `outputs` numbers: values, logits of labels, or logits of classes.

    Zero at the start, so that every target begins at its bias.

    Args:
        width: of the vectors.
        outputs: values, labels or classes.
        rngs: source of the initial values.
        target: one of `TARGETS`; what `predict` makes of the outputs.
    """

    def __init__(self, width: int, outputs: int, *, rngs: nnx.Rngs, target: str = "regression"):
        if target not in TARGETS:
            raise UserError(f"target = {target!r}", where="config", fix=f"use one of {TARGETS}")
        zeros, names = nnx.initializers.zeros_init(), ("embed", "classes")
        super().__init__(
            width,
            outputs,
            kernel_init=nnx.with_partitioning(zeros, names),
            bias_init=nnx.with_partitioning(zeros, names[1:]),
            rngs=rngs,
        )
        self.target = target

    def predict(self, x: jax.Array) -> jax.Array:
        """Vectors `[*b, width]` to values, or to probabilities: of each label, or over classes."""
        outputs = self(x)
        if self.target == "multi_label":
            return jax.nn.sigmoid(outputs)
        return jax.nn.softmax(outputs, axis=-1) if self.target == "multi_class" else outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRegressorConfig:
    """A network from a study's cines to numbers.

    Args:
        video: the video tower.
        outputs: how many numbers.
        pool: over a study's cines: their 'mean', or 'gated' attention (`GatedAttentionPool`).
        views: size of the view vocabulary that gated attention embeds; 0 leaves views out.
        frames: of a clip, where the tower sees single frames; see `models.frames`.
    """

    video: VideoConfig
    outputs: int
    pool: str = "mean"
    views: int = 0
    frames: int = 1

    def __post_init__(self):
        if self.pool not in POOLS:
            raise UserError(
                f"pool = {self.pool!r}", where="config.model", fix=f"use one of {POOLS}"
            )
        if self.views and self.pool != "gated":
            raise UserError("views without pool 'gated'", where="config.model")


class StudyRegressor(nnx.Module):
    """A video tower, pooling over a study's cines and a linear layer to `outputs` numbers."""

    def __init__(self, config: StudyRegressorConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.video = make_video_tower(config.video, rngs=rngs)
        width = config.video.width * min(config.frames, TERMS)
        if config.pool == "gated":
            self.pool = GatedAttentionPool(width, rngs=rngs, views=config.views)
            width = self.pool.width
        self.head = LinearHead(width, config.outputs, rngs=rngs)

    def __call__(
        self, clips: jax.Array, mask: jax.Array, views: jax.Array | None = None
    ) -> jax.Array:
        """Maps a study's clips to `[b, outputs]`.

        Args:
            clips: `[b, cines, t, h, w]`.
            mask: `[b, cines]`, True where there is a cine.
            views: int `[b, cines]`, with a view vocabulary.
        """
        x = self._vectors(clips, mask)
        if self.config.pool == "gated":
            return self.head(self.pool(x, mask, views))
        return self.head(masked_mean(x, mask))

    def weights(
        self, clips: jax.Array, mask: jax.Array, views: jax.Array | None = None
    ) -> jax.Array:
        """How much each cine counts, `[b, cines]`; arguments as for a call."""
        if self.config.pool == "gated":
            return self.pool.pool(self._vectors(clips, mask), mask, views)[1]
        share = mask.astype(clips.dtype)
        return share / share.sum(axis=-1, keepdims=True).clip(1.0)

    def _vectors(self, clips: jax.Array, mask: jax.Array) -> jax.Array:
        flat = clips.reshape(-1, *clips.shape[2:])
        clip = self.config.video.clip
        pooled = over_frames(self.video(as_input(clip, flat)), apart(clip, flat.shape[1]))
        return pooled.reshape(*mask.shape, -1)
