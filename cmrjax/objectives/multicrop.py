"""Random resized crops on the device, several of each clip, the same for all of its frames.

A crop is resampled along rows and columns apart, by two small matrix products instead of a gather a
pixel. Never a flip: mirroring moves the right ventricle to the wrong side, which is a diagnosis.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cmrjax.objectives.augment import AugmentConfig, change_intensity

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Crops of one kind.

    Args:
        count: crops of a clip.
        size: their rows and columns.
        scale: smallest and largest area, as a share of the image's.
        aspect: smallest and largest width over height.
    """

    count: int
    size: tuple[int, int]
    scale: Range
    aspect: Range = (3 / 4, 4 / 3)


def random_crops(
    clips: jax.Array, key: jax.Array, config: CropConfig, intensity: AugmentConfig
) -> jax.Array:
    """Cuts crops out of clips and changes the intensity of each by its own draw.

    Args:
        clips: `[n, t, h, w]` in 0..1.
        key: random key.
        config: of the crops.
        intensity: contrast, brightness and noise; crops take the place of shift and zoom.

    Returns:
        `[n, count, t, *size]` in 0..1.
    """
    n, t, h, w = clips.shape
    # One draw for all: compiling a draw takes longer than compiling what it is used for.
    u = jax.random.uniform(key, (n, config.count, 6))
    boxes = make_boxes(u[..., :4], size=(h, w), scale=config.scale, ratio=config.aspect)
    views = crop(clips, boxes, config.size).reshape(-1, t, *config.size)
    gain, offset = jnp.moveaxis(2.0 * u[..., 4:].reshape(-1, 2) - 1.0, 1, 0)
    views = change_intensity(
        views,
        1.0 + intensity.gain * gain,
        intensity.brightness * offset,
        jax.random.split(jax.random.fold_in(key, 1), len(views)),
        intensity,
    )
    return views.reshape(n, config.count, t, *config.size)


class Boxes(NamedTuple):
    """Where crops lie, in pixels and fractions of them; every field is `[n, c]`.

    Args:
        top: upper edge; 0 is the upper edge of the first row.
        left: left edge likewise.
        height: rows.
        width: columns.
    """

    top: jax.Array
    left: jax.Array
    height: jax.Array
    width: jax.Array


def make_boxes(u: jax.Array, *, size: tuple[int, int], scale: Range, ratio: Range) -> Boxes:
    """Boxes that all lie inside the image, from uniform draws.

    The area is uniform in `scale`. The logarithm of the aspect ratio is uniform over the part of
    `ratio` whose boxes fit, where the usual sampler draws anew until one fits.

    Args:
        u: `[n, c, 4]`, uniform in 0..1.
        size: rows and columns of the clips.
        scale: smallest and largest area, as a share of the image's.
        ratio: smallest and largest width over height, in pixels.
    """
    rows, columns = size
    area = scale[0] + (scale[1] - scale[0]) * u[..., 0]
    # A box of this area is as high, or as wide, as the image at these two ratios.
    narrowest, widest = area * columns / rows, columns / (rows * area)
    low = jnp.log(jnp.clip(ratio[0], narrowest, widest))
    high = jnp.log(jnp.clip(ratio[1], narrowest, widest))
    aspect = jnp.exp(low + (high - low) * u[..., 1])
    pixels = area * rows * columns
    height = jnp.minimum(jnp.sqrt(pixels / aspect), rows)
    width = jnp.minimum(jnp.sqrt(pixels * aspect), columns)
    top, left = (rows - height) * u[..., 2], (columns - width) * u[..., 3]
    return Boxes(top, left, height, width)


def crop(clips: jax.Array, boxes: Boxes, size: tuple[int, int]) -> jax.Array:
    """Cuts boxes out of clips and resamples them.

    Args:
        clips: `[n, t, h, w]`.
        boxes: c of each clip.
        size: rows and columns of the result.

    Returns:
        `[n, c, t, *size]`.
    """
    rows = interpolation(boxes.top, boxes.height, clips.shape[2], size[0])
    columns = interpolation(boxes.left, boxes.width, clips.shape[3], size[1])
    return jnp.einsum("ncsw,nctrw->nctrs", columns, jnp.einsum("ncrh,nthw->nctrw", rows, clips))


def interpolation(start: jax.Array, length: jax.Array, size: int, new_size: int) -> jax.Array:
    """Matrices of linear interpolation, which average where a crop shrinks.

    Args:
        start: `[*b]`, where the crops begin, in pixels.
        length: `[*b]`, their lengths.
        size: pixels of the image.
        new_size: pixels of a resampled crop.

    Returns:
        `[*b, new_size, size]`; rows sum to 1, so the image's edges are repeated.
    """
    step = (length / new_size)[..., None]
    # Pixels are squares: the centre of pixel i is at i + 1/2.
    source = start[..., None] + (jnp.arange(new_size) + 0.5) * step - 0.5
    distance = jnp.abs(source[..., None] - jnp.arange(size))
    # Shrinking without averaging would fold fine detail and noise into what is left.
    weights = jnp.maximum(0.0, 1.0 - distance / jnp.maximum(step, 1.0)[..., None])
    return weights / weights.sum(axis=-1, keepdims=True)
