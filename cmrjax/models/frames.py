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


def over_frames(x: jax.Array, clips: int) -> jax.Array:
    """Vectors of frames as one of a clip: the first terms of their cosine series over the cycle.

    They are the mean, what changes from the cycle's begin to its end (of two frames, half their
    difference), and what differs in its middle, which is end-systole.

    Args:
        x: `[clips * k, d]`, k frames of a clip after each other; k = 1 where the tower sees clips.
        clips: how many.

    Returns:
        `[clips, min(k, TERMS) * d]`.
    """
    k = len(x) // clips
    if k == 1:
        return x
    at = (np.arange(k) + 0.5) * np.pi / k
    basis = np.stack([np.cos(term * at) / k for term in range(min(k, TERMS))]).astype(np.float32)
    return jnp.einsum("kf,bfd->bkd", basis, x.reshape(clips, k, -1)).reshape(clips, -1)
