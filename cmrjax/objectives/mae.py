"""Masked autoencoding: most of a clip is hidden, and its pixels are to be told from the rest.

He et al. 2022 (MAE, images), Tong et al. 2022 (VideoMAE, tubes), Feichtenhofer et al. 2022 (videos,
random).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.masked_autoencoder import MaskedAutoencoder, PixelDecoderConfig
from cmrjax.models.video_vit import VideoViTConfig, patchify
from cmrjax.objectives.augment import AugmentConfig, augment, to_unit
from cmrjax.objectives.base import Aux, PyTree
from cmrjax.objectives.health_metrics import effective_rank, embedding_spread

MASKINGS = ("tube", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaeConfig:
    """What is hidden, what is to be told, and by which decoder.

    Args:
        mask_ratio: share of the tubelets that is hidden: .75 for frames (He et al. 2022), .9 for
            videos (Tong et al. 2022, Feichtenhofer et al. 2022).
        masking: 'random', any tubelets; 'tube', the same places at all times, so that nothing can
            be copied from the frame before (Tong et al. 2022). Of single frames both are the same.
        normalise_targets: the pixels of each tubelet less their mean, over their deviation.
        decoder_width: of the decoder's tokens.
        decoder_depth: its blocks.
        decoder_heads: its attention heads.
    """

    mask_ratio: float = 0.75
    masking: str = "random"
    normalise_targets: bool = True
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16

    def __post_init__(self):
        if self.masking not in MASKINGS:
            raise UserError(
                f"masking = {self.masking!r}",
                where="config.objective",
                fix=f"use one of {MASKINGS}",
            )
        if not 0 < self.mask_ratio < 1:
            raise UserError(
                f"mask_ratio = {self.mask_ratio}",
                where="config.objective",
                fix="give 0 < ratio < 1",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mae:
    """Masked autoencoding of cines or of their frames; see `objectives.base.Objective`.

    With a tower of single frames every frame of a cine is an image of its own. Nothing here trains
    what pools the tokens: take `pool` 'mean', or train the pooling afterwards.
    """

    model: VideoViTConfig
    config: MaeConfig
    augment: AugmentConfig

    def __post_init__(self):
        self.abstract()  # the tower and the decoder check what they are given
        places = math.prod(self.model.grid[1 if self.config.masking == "tube" else 0 :])
        if not 0 < hidden_count(places, self.config.mask_ratio) < places:
            raise UserError(
                f"mask_ratio = {self.config.mask_ratio} of {places} tokens hides none or all",
                where="config.objective",
                fix="use smaller tubelets or another ratio",
            )

    @property
    def network(self) -> VideoViTConfig:
        """The tower, as an encoder builds it again."""
        return self.model

    @property
    def decoder(self) -> PixelDecoderConfig:
        """The decoder."""
        config = self.config
        return PixelDecoderConfig(
            width=config.decoder_width, depth=config.decoder_depth, heads=config.decoder_heads
        )

    def encoder_params(self, params: PyTree, extra: PyTree) -> PyTree:
        """The tower's parameters."""
        del extra
        return params["video"]

    def abstract(self) -> MaskedAutoencoder:
        """The tower and decoder with shapes and axis names, no arrays."""
        return nnx.eval_shape(lambda: MaskedAutoencoder(self.model, self.decoder, rngs=nnx.Rngs(0)))

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial parameters; there is no other state."""
        network = MaskedAutoencoder(self.model, self.decoder, rngs=nnx.Rngs(key))
        return nnx.to_pure_dict(nnx.state(network, nnx.Param)), {}

    def extra_of(self, params: PyTree) -> PyTree:
        """Nothing."""
        del params
        return {}

    def loss(self, params, extra, batch, key, step) -> tuple[jax.Array, Aux]:
        """Mean squared error over the hidden tubelets of the cines that are there.

        Args:
            params: of `init`.
            extra: empty.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` `[b, cines]`.
            key: random key of this step.
            step: optimizer steps done; unused.
        """
        del step
        model = nnx.merge(nnx.split(self.abstract())[0], params)
        augment_key, mask_key = jax.random.split(key)
        clips = to_unit(batch["clips"]).reshape(-1, *batch["clips"].shape[2:])
        clips = augment(clips, augment_key, self.augment)
        weights = batch["clip_mask"].reshape(-1).astype(jnp.float32)
        if self.model.clip[0] == 1:  # every frame of a cine is an image
            weights = jnp.repeat(weights, clips.shape[1])
            clips = clips.reshape(-1, 1, *clips.shape[2:])
        kept, hidden = draw_masks(
            mask_key,
            len(clips),
            self.model.grid,
            ratio=self.config.mask_ratio,
            masking=self.config.masking,
        )
        features = model.video.features(clips, kept=kept)
        predicted = model.decoder(features.tokens, kept, hidden)
        targets = patchify(clips, self.model.tubelet)
        if self.config.normalise_targets:
            targets = normalised(targets)
        targets = jnp.take_along_axis(targets, hidden[..., None], axis=1)
        loss, variance = masked_error(predicted, targets, weights)
        # One clip (or image) of each study: the others are much like it, and cost as much.
        pooled = features.pooled.reshape(len(batch["clips"]), -1, self.model.width)[:, 0]
        there = batch["clip_mask"][:, 0]
        metrics = {
            # 0 for telling the mean of all hidden pixels, 1 for telling each of them.
            "reconstruction_r2": 1 - loss / jnp.maximum(variance, 1e-12),
            "embedding_spread": embedding_spread(pooled, there),
            "effective_rank": effective_rank(pooled, there),
        }
        return loss, Aux(metrics, extra)


def hidden_count(places: int, ratio: float) -> int:
    """How many of the places are hidden: the ratio's share, rounded down.

    Example:
        >>> hidden_count(196, 0.75), hidden_count(196, 0.9)
        (147, 176)
    """
    return int(places * ratio + 1e-6)


def draw_masks(
    key: jax.Array, n: int, grid: tuple[int, int, int], *, ratio: float, masking: str
) -> tuple[jax.Array, jax.Array]:
    """Draws which tokens of each example are seen, by a key an example.

    Args:
        key: random key.
        n: examples.
        grid: times, rows and columns of the tokens.
        ratio: share that is hidden.
        masking: one of `MASKINGS`.

    Returns:
        int32 `[n, seen]` and `[n, hidden]`, numbers of tokens in rising order; together all.
    """
    times, places = grid[0], grid[1] * grid[2]
    if masking == "random":
        times, places = 1, times * places
    seen = places - hidden_count(places, ratio)

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        order = jnp.argsort(jax.random.uniform(key, (places,)))
        start = places * jnp.arange(times)[:, None]
        parts = jnp.sort(order[:seen]), jnp.sort(order[seen:])
        return (start + parts[0]).reshape(-1), (start + parts[1]).reshape(-1)

    return jax.vmap(one)(jax.random.split(key, n))


def normalised(tubelets: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Each tubelet's pixels less their mean, over their deviation; an even tubelet becomes 0.

    Args:
        tubelets: `[b, n, pixels]` in 0..1.
        epsilon: added to the variance (He et al. 2022).
    """
    mean = tubelets.mean(axis=-1, keepdims=True)
    return (tubelets - mean) * jax.lax.rsqrt(tubelets.var(axis=-1, keepdims=True) + epsilon)


def masked_error(
    predicted: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean squared error, and the variance of the targets, which is the error of their mean.

    Args:
        predicted: `[b, n, pixels]`.
        targets: likewise.
        weights: `[b]`, 0 where an example only pads the batch.
    """
    shares = weights / jnp.maximum(weights.sum(), 1.0)
    mean = lambda x: jnp.sum(shares * x.mean(axis=(1, 2)))  # noqa: E731
    return mean((predicted - targets) ** 2), mean((targets - mean(targets)) ** 2)
