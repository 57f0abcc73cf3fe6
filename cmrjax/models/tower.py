"""What every video tower offers: one vector a clip, and the tokens behind it."""

from typing import NamedTuple, Protocol

import jax


class Features(NamedTuple):
    """What a video tower gives of a clip.

    Args:
        pooled: one vector a clip, `[b, d]`.
        tokens: patch tokens `[b, n, d]` over time, rows and columns; no class token, no registers.
    """

    pooled: jax.Array
    tokens: jax.Array


class VideoTowerConfig(Protocol):
    """What is known of a tower before it is built."""

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, rows and columns of the input."""
        ...

    @property
    def grid(self) -> tuple[int, int, int]:
        """Times, rows and columns of the tokens that come out."""
        ...

    @property
    def width(self) -> int:
        """Width of what comes out."""
        ...


class VideoTower(Protocol):
    """A network from clips to features."""

    @property
    def config(self) -> VideoTowerConfig:
        """What it was built from."""
        ...

    def features(self, clips: jax.Array, frames: jax.Array | None = None) -> Features:
        """Encodes clips.

        Args:
            clips: `[b, t, h, w]`, values 0..1.
            frames: `[b, t]`, False where a frame is padding; None where all are there.
        """
        ...

    def __call__(self, clips: jax.Array, frames: jax.Array | None = None) -> jax.Array:
        """The features' `pooled` alone."""
        ...
