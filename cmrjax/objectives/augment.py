"""Mild augmentation of cines on the device: shift, zoom, contrast and noise.

Never a flip: mirroring moves the right ventricle to the wrong side, which is a diagnosis.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Strengths; 0 turns one off.

    Args:
        shift: largest shift, as a share of the image side.
        zoom: largest relative change of size.
        gain: largest relative change of contrast about the middle grey.
        brightness: largest offset, in units of the 0..1 range.
        noise: standard deviation of additive Gaussian noise, same units.
    """

    shift: float = 0.06
    zoom: float = 0.06
    gain: float = 0.2
    brightness: float = 0.08
    noise: float = 0.02


def to_unit(clips: jax.Array) -> jax.Array:
    """Stored clips, uint8 or uint16, to float32 in 0..1: the contract's `unit` normalisation."""
    return clips.astype(jnp.float32) / jnp.iinfo(clips.dtype).max


class Draws(NamedTuple):
    """How each clip is changed; every field has the batch first, so that parts of it stay apart.

    Args:
        zoom: `[b]` relative size.
        shift: `[b, 2]` rows and columns, as a share of the image side.
        gain: `[b]` contrast about the middle grey.
        offset: `[b]`, added.
        noise: `[b]` random keys.
    """

    zoom: jax.Array
    shift: jax.Array
    gain: jax.Array
    offset: jax.Array
    noise: jax.Array


def draw(key: jax.Array, n: int, config: AugmentConfig) -> Draws:
    """Draws the changes of n clips."""
    keys = jax.random.split(key, 6)
    uniform = lambda k, strength: jax.random.uniform(k, (n,), minval=-strength, maxval=strength)  # noqa: E731
    return Draws(
        zoom=1.0 + uniform(keys[0], config.zoom),
        shift=jnp.stack([uniform(keys[1], config.shift), uniform(keys[2], config.shift)], axis=1),
        gain=1.0 + uniform(keys[3], config.gain),
        offset=uniform(keys[4], config.brightness),
        noise=jax.random.split(keys[5], n),
    )


def apply(clips: jax.Array, draws: Draws, config: AugmentConfig) -> jax.Array:
    """Changes each clip by its own draw, the same for all of its frames.

    Args:
        clips: `[b, t, h, w]` in 0..1.
        draws: of the same b clips.
        config: strengths.

    Returns:
        `[b, t, h, w]`, clipped to 0..1.
    """
    _, _, h, w = clips.shape
    rows = _resampling(h, draws.zoom, draws.shift[:, 0] * h)
    columns = _resampling(w, draws.zoom, draws.shift[:, 1] * w)
    # Zoom and shift are separable: two small matrix products instead of a gather a pixel.
    clips = jnp.einsum("bij,btjw->btiw", rows, clips)
    clips = jnp.einsum("bkw,btiw->btik", columns, clips)
    return change_intensity(clips, draws.gain, draws.offset, draws.noise, config)


def change_intensity(
    clips: jax.Array, gain: jax.Array, offset: jax.Array, keys: jax.Array, config: AugmentConfig
) -> jax.Array:
    """Contrast about the middle grey, brightness and noise.

    Args:
        clips: `[b, t, h, w]` in 0..1.
        gain: `[b]`.
        offset: `[b]`.
        keys: `[b]` random keys of the noise.
        config: the noise's strength.

    Returns:
        `[b, t, h, w]`, clipped to 0..1.
    """
    clips = (clips - 0.5) * gain[:, None, None, None] + 0.5 + offset[:, None, None, None]
    if config.noise:
        # A key a clip: which device or part of a batch it is in changes nothing.
        noise = jax.vmap(lambda key: jax.random.normal(key, clips.shape[1:]))(keys)
        clips = clips + config.noise * noise
    return jnp.clip(clips, 0.0, 1.0)


def augment(clips: jax.Array, key: jax.Array, config: AugmentConfig) -> jax.Array:
    """Draws and applies in one: clips `[b, t, h, w]` in 0..1 to as many changed ones."""
    return apply(clips, draw(key, len(clips), config), config)


def _resampling(size: int, zoom: jax.Array, shift: jax.Array) -> jax.Array:
    """Linear interpolation matrices `[b, size, size]` about the centre; edges are repeated."""
    target = jnp.arange(size, dtype=jnp.float32)
    centre = (size - 1) / 2
    source = (target - centre)[None] / zoom[:, None] + centre + shift[:, None]
    source = jnp.clip(source, 0, size - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(source[:, :, None] - target[None, None, :]))
