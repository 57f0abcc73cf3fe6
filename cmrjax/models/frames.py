"""Towers of single frames on clips: every frame by itself, then what changes over the cycle."""

import jax
import jax.numpy as jnp
import numpy as np

TERMS = 3


def as_input(clip: tuple[int, int, int], clips: jax.Array) -> jax.Array:
    """Clips as a tower takes them.

    Args:
        clip: what the tower sees; of a tower of single frames it is one frame.
        clips: `[b, t, h, w]`.

    Returns:
        The clips, or `[b * t, 1, h, w]`.
    """
    return clips.reshape(-1, 1, *clips.shape[2:]) if clip[0] == 1 else clips


def apart(clip: tuple[int, int, int], frames: int) -> int:
    """How many inputs of a tower a clip of so many frames becomes."""
    return frames if clip[0] == 1 else 1


def over_frames(x: jax.Array, k: int) -> jax.Array:
    """Vectors of frames as one of a clip: the first terms of their cosine series over the cycle.

    They are the mean, what changes from the cycle's begin to its end (of two frames, their
    difference times cos(pi / 4) / 2), and what differs in its middle, which is end-systole.

    Args:
        x: `[b * k, d]`, the k frames of a clip one after the other.
        k: see `apart`; 1 leaves the vectors as they are.

    Returns:
        `[b, min(k, TERMS) * d]`.
    """
    if k == 1:
        return x
    at = (np.arange(k) + 0.5) * np.pi / k
    basis = np.stack([np.cos(term * at) / k for term in range(min(k, TERMS))]).astype(np.float32)
    d = x.shape[-1]
    return jnp.einsum("kf,bfd->bkd", basis, x.reshape(-1, k, d)).reshape(-1, len(basis) * d)
