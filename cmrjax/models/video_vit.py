"""A vision transformer over the tubelets of a cine (ViViT, Arnab et al. 2021, model 1)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import Trunk, dense

# Variant letter -> width, depth, heads (Dosovitskiy et al. 2021, table 1; Ti and S: Touvron 2021).
# "N" is our own, small enough for a laptop's demo.
VARIANTS = {
    "N": (128, 4, 4),
    "Ti": (192, 12, 3),
    "S": (384, 12, 6),
    "B": (768, 12, 12),
    "L": (1024, 24, 16),
    "H": (1280, 32, 16),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoViTConfig:
    """What the video tower looks like.

    Args:
        variant: one of `VARIANTS`.
        tubelet: frames, rows and columns of one token.
        clip: frames, rows and columns of the input.
        remat: recompute activations in the backward pass.
        unroll: blocks that one turn of the scan holds; more compile slower and run faster on CPU.
        dtype: of matrix products, `float32` or `bfloat16`.
        motion_gain: tubelets enter as a cosine series over their frames, the terms that change in
            time scaled by this. 0 enters the frames themselves, as published ViTs do. The functions
            that the layer can learn are the same; but most of a cine's variance does not move, and
            a gain of about 4 puts motion on one scale with it, which shortens the first plateau.
    """

    variant: str = "N"
    tubelet: tuple[int, int, int] = (2, 16, 16)
    clip: tuple[int, int, int] = (16, 224, 224)
    remat: bool = True
    unroll: int = 1
    dtype: str = "float32"
    motion_gain: float = 0.0

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise UserError(
                f"unknown variant {self.variant!r}", where="config.model", fix=f"use {[*VARIANTS]}"
            )
        if any(c % t for c, t in zip(self.clip, self.tubelet, strict=True)):
            raise UserError(
                f"tubelet {self.tubelet} does not divide the clip {self.clip}", where="config.model"
            )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens along time, rows and columns."""
        t, h, w = (c // s for c, s in zip(self.clip, self.tubelet, strict=True))
        return t, h, w

    @property
    def width(self) -> int:
        """Width of the tokens."""
        return VARIANTS[self.variant][0]


def patchify(clips: jax.Array, tubelet: tuple[int, int, int]) -> jax.Array:
    """Cuts clips into tubelets by reshaping, which beats a strided convolution on every backend.

    Args:
        clips: `[b, t, h, w]`.
        tubelet: frames, rows, columns of a token.

    Returns:
        `[b, n, tubelet pixels]` with n running over time, then rows, then columns.
    """
    b, t, h, w = clips.shape
    dt, dh, dw = tubelet
    x = clips.reshape(b, t // dt, dt, h // dh, dh, w // dw, dw)
    return x.transpose(0, 1, 3, 5, 2, 4, 6).reshape(b, -1, dt * dh * dw)


def cosine_series(tubelets: jax.Array, frames: int, gain: float) -> jax.Array:
    """Orthonormal cosine transform (DCT-II) over a tubelet's frames.

    Args:
        tubelets: `[b, n, frames * pixels]`.
        frames: frames of a tubelet.
        gain: scale of every term but the constant one.

    Returns:
        `[b, n, frames * pixels]`, the constant term first.
    """
    basis = np.asarray(scipy.fft.dct(np.eye(frames), axis=0, norm="ortho"))
    basis[1:] *= gain
    x = tubelets.reshape(*tubelets.shape[:-1], frames, -1)
    return jnp.einsum("kt,bntp->bnkp", basis.astype(np.float32), x).reshape(tubelets.shape)


class VideoViT(nnx.Module):
    """Tubelet embedding, separable learned positions, joint space-time attention, mean pooling."""

    def __init__(self, config: VideoViTConfig, *, rngs: nnx.Rngs):
        width, depth, heads = VARIANTS[config.variant]
        t, h, w = config.grid
        dtype = jnp.dtype(config.dtype)
        pixels = config.tubelet[0] * config.tubelet[1] * config.tubelet[2]
        self.config = config
        self.embed = dense(pixels, width, ("patch", "embed"), rngs=rngs, dtype=dtype)
        position = nnx.with_partitioning(nnx.initializers.normal(0.02), ("position", "embed"))
        self.time = nnx.Param(position(rngs.params(), (t, width)))
        self.space = nnx.Param(position(rngs.params(), (h * w, width)))
        self.trunk = Trunk(
            width,
            depth,
            heads,
            rngs=rngs,
            remat=config.remat,
            unroll=config.unroll,
            dtype=dtype,
        )
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)

    def tokens(self, clips: jax.Array) -> jax.Array:
        """Encodes clips `[b, t, h, w]`, values 0..1, into tokens `[b, n, d]`."""
        if clips.shape[1:] != self.config.clip:
            raise ValueError(f"clips are {clips.shape[1:]}, the model takes {self.config.clip}")
        # Centred on the middle of the intensity window, so that the first layer sees both signs.
        x = patchify(clips * 2 - 1, self.config.tubelet)
        if self.config.motion_gain:
            x = cosine_series(x, self.config.tubelet[0], self.config.motion_gain)
        x = self.embed(x)
        x = x + (self.time[...][:, None] + self.space[...][None]).reshape(1, -1, x.shape[-1])
        return self.norm(self.trunk(x))

    def __call__(self, clips: jax.Array) -> jax.Array:
        """Encodes clips `[b, t, h, w]` into one vector each, `[b, d]`."""
        return self.tokens(clips).mean(axis=-2)
