"""Schedules of an objective's own numbers, as functions of a traced step."""

import jax
import jax.numpy as jnp

Scalar = jax.Array | int | float


def linear(step: Scalar, *, start: float, end: float, steps: float) -> jax.Array:
    """From `start` at step 0 in a straight line to `end` at `steps`, and `end` from there on."""
    return start + (end - start) * _share(step, steps)


def cosine(step: Scalar, *, start: float, end: float, steps: float) -> jax.Array:
    """From `start` at step 0 along half a cosine to `end` at `steps`, and `end` from there on."""
    return end + (start - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * _share(step, steps)))


def _share(step: Scalar, steps: float) -> jax.Array:
    """How much of the way is done, 0..1; a way of no steps is done at once."""
    if steps <= 0:
        return jnp.float32(1.0)
    return jnp.clip(jnp.asarray(step, jnp.float32) / steps, 0.0, 1.0)
