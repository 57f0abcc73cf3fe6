"""From the vectors of a study's cines to one vector a study."""

import jax
import jax.numpy as jnp


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over the cines that are there.

    Args:
        x: `[*b, cines, d]`.
        mask: `[*b, cines]`, True where there is a cine.

    Returns:
        `[*b, d]`; zero where a study has no cine.
    """
    weights = mask[..., None].astype(x.dtype)
    return (x * weights).sum(axis=-2) / jnp.maximum(weights.sum(axis=-2), 1.0)


def l2_normalise(x: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Scales the last axis of `[*b, d]` to length 1, with a gradient at zero."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + epsilon**2)
