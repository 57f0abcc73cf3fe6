"""Landmarks from a tower's tokens: a heatmap each, read to a fraction of a pixel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.decoder import Decoder
from cmrjax.models.layers import dense


class Landmarks(NamedTuple):
    """What the head says of every frame.

    Args:
        heatmaps: `[b, t, h, w, k]` logits.
        absent: `[b, t, k]` logit of a landmark that the frame does not show; it competes with the
            pixels of the heatmap in one softmax (`absent_probability`).
        points: `[b, t, k, 2]` (row, column) in pixels, 0 at the centre of the first one.
    """

    heatmaps: jax.Array
    absent: jax.Array
    points: jax.Array


def soft_argmax(heatmaps: jax.Array) -> jax.Array:
    """The mean place under the softmax of a heatmap: differentiable, and finer than a pixel.

    Args:
        heatmaps: logits `[*b, h, w, k]`.

    Returns:
        `[*b, k, 2]` (row, column) in pixels, 0 at the centre of the first one.

    Reference:
        Sun et al. Integral human pose regression. ECCV 2018.
    """
    h, w = heatmaps.shape[-3:-1]
    share = jax.nn.softmax(heatmaps.astype(jnp.float32), axis=(-3, -2))
    rows = jnp.einsum("...hwk,h->...k", share, jnp.arange(h, dtype=jnp.float32))
    columns = jnp.einsum("...hwk,w->...k", share, jnp.arange(w, dtype=jnp.float32))
    return jnp.stack([rows, columns], axis=-1)


def absent_probability(landmarks: Landmarks) -> jax.Array:
    """Confidence in 0..1 that a frame does not show a landmark: `[b, t, k]`."""
    anywhere = jax.nn.logsumexp(landmarks.heatmaps.astype(jnp.float32), axis=(-3, -2))
    return jax.nn.sigmoid(landmarks.absent - anywhere)


class LandmarkHead(nnx.Module):
    """A light decoder (`Decoder`) to one heatmap a landmark and frame, and whether it is absent.

    Args:
        width: of the tokens.
        landmarks: how many.
        clip: frames, rows and columns.
        grid: tokens along time, rows and columns.
        rngs: source of the initial values.
        channels: of the decoder at the tokens' resolution.
    """

    def __init__(
        self,
        width: int,
        landmarks: int,
        *,
        clip: tuple[int, int, int],
        grid: tuple[int, int, int],
        rngs: nnx.Rngs,
        channels: int = 64,
    ):
        self.decoder = Decoder(width, landmarks, clip=clip, grid=grid, rngs=rngs, channels=channels)
        frames = clip[0] // grid[0]
        self.absent = dense(width, frames * landmarks, ("embed", "classes"), rngs=rngs)

    def __call__(self, tokens: jax.Array, clips: jax.Array) -> Landmarks:
        """Tokens `[b, n, d]` and their clips `[b, t, h, w]` to landmarks of every frame."""
        heatmaps = self.decoder(tokens, clips)
        b, t = clips.shape[:2]
        of_time = tokens.reshape(b, self.decoder.grid[0], -1, tokens.shape[-1]).mean(axis=2)
        absent = self.absent(of_time).reshape(b, t, -1)
        return Landmarks(heatmaps, absent, soft_argmax(heatmaps))
