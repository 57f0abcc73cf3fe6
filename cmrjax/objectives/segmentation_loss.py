"""Losses and overlap of segmentations of which only some pixels were drawn."""

import jax
import jax.numpy as jnp

from cmrjax.objectives.augment import AugmentConfig, apply, draw


def drawn(segmentation: jax.Array, classes: int) -> jax.Array:
    """Which pixels count: those that hold one of the classes. bool, the shape of the input."""
    return segmentation < classes


def pixel_cross_entropy(logits: jax.Array, segmentation: jax.Array) -> jax.Array:
    """Mean cross-entropy over the drawn pixels; 0 where nobody drew any.

    Args:
        logits: `[*b, h, w, k]`.
        segmentation: uint8 class numbers `[*b, h, w]`; those from k on, `UNDRAWN` among them, do
            not count.
    """
    counted = drawn(segmentation, logits.shape[-1])
    target = jnp.where(counted, segmentation, 0).astype(jnp.int32)
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    each = -jnp.take_along_axis(log_p, target[..., None], axis=-1)[..., 0]
    return jnp.sum(jnp.where(counted, each, 0.0)) / jnp.maximum(counted.sum(), 1)


def soft_dice_loss(logits: jax.Array, segmentation: jax.Array) -> jax.Array:
    """1 - Dice of the probabilities, a mean over the foreground classes drawn in this batch.

    Sums run over all pixels of the batch before they are divided, so a slice that shows little of
    a class weighs little. A class that is nowhere drawn has no Dice and is left to the
    cross-entropy; without any class the loss is 0.

    Args:
        logits: `[*b, h, w, k]`, class 0 is the background.
        segmentation: as for `pixel_cross_entropy`.

    Reference:
        Milletari et al. V-Net. 3DV 2016, section 3, without the squares in the denominator
        (Drozdzal et al. 2016).
    """
    counted = drawn(segmentation, logits.shape[-1])
    p = jax.nn.softmax(logits.astype(jnp.float32), axis=-1) * counted[..., None]
    dice, present = _dice(p, segmentation)
    missed = jnp.where(present, 1.0 - dice, 0.0)[1:]
    return missed.sum() / jnp.maximum(present[1:].sum(), 1)


def hard_dice(logits: jax.Array, segmentation: jax.Array) -> jax.Array:
    """Dice of the most probable class over the batch's drawn pixels.

    Args:
        logits: `[*b, h, w, k]`.
        segmentation: as for `pixel_cross_entropy`.

    Returns:
        `[k]`; NaN for a class that is nowhere drawn.
    """
    classes = logits.shape[-1]
    counted = drawn(segmentation, classes)
    predicted = jax.nn.one_hot(logits.argmax(axis=-1), classes) * counted[..., None]
    dice, present = _dice(predicted, segmentation)
    return jnp.where(present, dice, jnp.nan)


def _dice(p: jax.Array, segmentation: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Dice of each class `[k]`, and which classes are drawn at all `[k]`."""
    truth = jax.nn.one_hot(segmentation, p.shape[-1])  # a number from k on is no class: all zero
    over = tuple(range(p.ndim - 1))
    size = truth.sum(over)
    # A class without a drawn pixel is left out by the caller; its denominator need only not be 0.
    dice = 2 * (p * truth).sum(over) / jnp.where(size > 0, size + p.sum(over), 1.0)
    return dice, size > 0


def augment_pair(
    clips: jax.Array, segmentation: jax.Array, key: jax.Array, config: AugmentConfig
) -> tuple[jax.Array, jax.Array]:
    """Augments clips and moves their segmentation along, by the nearest pixel.

    Args:
        clips: `[b, t, h, w]` in 0..1.
        segmentation: uint8 `[b, t, h, w]`.
        key: random key; the clips are those that `augment` gives of it.
        config: strengths; contrast and noise leave the segmentation alone.

    Returns:
        Both, the same shapes.
    """
    draws = draw(key, len(clips), config)
    h, w = clips.shape[-2:]
    rows = nearest_source(h, draws.zoom, draws.shift[:, 0] * h)
    columns = nearest_source(w, draws.zoom, draws.shift[:, 1] * w)
    moved = jax.vmap(lambda s, r, c: s[:, r][:, :, c])(segmentation, rows, columns)
    return apply(clips, draws, config), moved


def nearest_source(size: int, zoom: jax.Array, shift: jax.Array) -> jax.Array:
    """The row or column that each one of the result is read from, int32 `[b, size]`.

    The nearest of those that `augment` interpolates between: about the centre, edges repeated.
    """
    centre = (size - 1) / 2
    target = jnp.arange(size, dtype=jnp.float32)
    source = (target - centre)[None] / zoom[:, None] + centre + shift[:, None]
    return jnp.round(jnp.clip(source, 0, size - 1)).astype(jnp.int32)
