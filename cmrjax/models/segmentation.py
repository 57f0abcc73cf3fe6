"""Dense segmentation from a tower's tokens, of single frames and of cines."""

import jax
from flax import nnx

from cmrjax.models.decoder import Decoder


class SegmentationHead(nnx.Module):
    """A light decoder (`Decoder`) to class logits at full resolution.

    Args:
        width: of the tokens.
        classes: classes, the background among them.
        clip: frames, rows and columns.
        grid: tokens along time, rows and columns.
        rngs: source of the initial values.
        channels: of the decoder at the tokens' resolution.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        clip: tuple[int, int, int],
        grid: tuple[int, int, int],
        rngs: nnx.Rngs,
        channels: int = 64,
    ):
        self.decoder = Decoder(width, classes, clip=clip, grid=grid, rngs=rngs, channels=channels)

    def __call__(self, tokens: jax.Array, clips: jax.Array) -> jax.Array:
        """Tokens `[b, n, d]` and their clips `[b, t, h, w]` to logits `[b, t, h, w, k]`."""
        return self.decoder(tokens, clips)
