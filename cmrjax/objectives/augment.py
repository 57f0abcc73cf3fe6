"""Mild augmentation of cines on the device: shift, zoom, contrast and noise.

Never a flip: mirroring moves the right ventricle to the wrong side, which is a diagnosis.
"""

import dataclasses

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
    """uint8 clips to float32 in 0..1, the contract's `unit` normalisation."""
    return clips.astype(jnp.float32) / 255.0


def augment(clips: jax.Array, key: jax.Array, config: AugmentConfig) -> jax.Array:
    """Changes each clip by its own draw, the same for all of its frames.

    Args:
        clips: `[b, t, h, w]` in 0..1.
        key: random key.
        config: strengths.

    Returns:
        `[b, t, h, w]`, clipped to 0..1.
    """
    b, _, h, w = clips.shape
    keys = jax.random.split(key, 6)
    uniform = lambda k, strength: jax.random.uniform(k, (b,), minval=-strength, maxval=strength)  # noqa: E731
    zoom = 1.0 + uniform(keys[0], config.zoom)
    rows = _resampling(h, zoom, uniform(keys[1], config.shift) * h)
    columns = _resampling(w, zoom, uniform(keys[2], config.shift) * w)
    # Zoom and shift are separable: two small matrix products instead of a gather a pixel.
    clips = jnp.einsum("bij,btjw->btiw", rows, clips)
    clips = jnp.einsum("bkw,btiw->btik", columns, clips)
    gain = 1.0 + uniform(keys[3], config.gain)
    offset = uniform(keys[4], config.brightness)
    clips = (clips - 0.5) * gain[:, None, None, None] + 0.5 + offset[:, None, None, None]
    if config.noise:
        clips = clips + config.noise * jax.random.normal(keys[5], clips.shape)
    return jnp.clip(clips, 0.0, 1.0)


def _resampling(size: int, zoom: jax.Array, shift: jax.Array) -> jax.Array:
    """Linear interpolation matrices `[b, size, size]` about the centre; edges are repeated."""
    target = jnp.arange(size, dtype=jnp.float32)
    centre = (size - 1) / 2
    source = (target - centre)[None] / zoom[:, None] + centre + shift[:, None]
    source = jnp.clip(source, 0, size - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(source[:, :, None] - target[None, None, :]))
