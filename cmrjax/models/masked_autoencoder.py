"""A tower that sees a part of the tubelets, and a light decoder that draws the rest."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import BlockConfig, Trunk, dense, layer_norm
from cmrjax.models.video import VideoConfig
from cmrjax.models.video_vit import VideoViT, VideoViTConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelDecoderConfig:
    """The decoder's trunk.

    Args:
        width: of its tokens; a multiple of 4, for the positions.
        depth: blocks.
        heads: attention heads.
    """

    width: int = 512
    depth: int = 8
    heads: int = 16

    def __post_init__(self):
        if self.width % 4:
            raise UserError(
                f"decoder width {self.width}", where="config.objective", fix="use a multiple of 4"
            )
        self.block("float32")  # checks the heads

    def block(self, dtype: str) -> BlockConfig:
        """The blocks of the trunk."""
        return BlockConfig(width=self.width, heads=self.heads, dtype=dtype)


class PixelDecoder(nnx.Module):
    """From the tokens of the patches that were seen to the pixels of those that were not.

    Positions are fixed sines and cosines of time, row and column: the decoder serves pretraining
    alone, and what it needs to know of a place needs no learning (He et al. 2022, section A.1).

    Args:
        config: of the trunk.
        video: of the tower whose tokens come in.
        rngs: source of the initial values.
    """

    def __init__(self, config: PixelDecoderConfig, video: VideoViTConfig, *, rngs: nnx.Rngs):
        self.width, self.grid = config.width, video.grid
        pixels, dtype = math.prod(video.tubelet), jnp.dtype(video.dtype)
        self.enter = dense(video.width, config.width, ("embed", "mlp"), rngs=rngs, dtype=dtype)
        init = nnx.with_partitioning(nnx.initializers.normal(0.02), ("position", "embed"))
        self.mask_token = nnx.Param(init(rngs.params(), (1, config.width)))
        block = config.block(video.dtype)
        self.trunk = Trunk(
            block,
            config.depth,
            rngs=rngs,
            remat=video.remat,
            unroll=min(video.unroll, config.depth),
            scan=video.scan,
        )
        self.norm = layer_norm(config.width, block.epsilon, rngs=rngs)
        self.leave = dense(config.width, pixels, ("embed", "patch"), rngs=rngs, dtype=dtype)

    def __call__(self, tokens: jax.Array, kept: jax.Array, hidden: jax.Array) -> jax.Array:
        """Predicts the hidden tubelets.

        Args:
            tokens: `[b, m, d]`, of the patches that were seen.
            kept: int32 `[b, m]`, which those are.
            hidden: int32 `[b, n - m]`, all others.

        Returns:
            float32 `[b, n - m, pixels of a tubelet]`.
        """
        positions = jnp.asarray(sincos_positions(self.grid, self.width))
        seen = self.enter(tokens) + positions[kept]
        unseen = self.mask_token[...] + positions[hidden]
        # Attention does not ask for an order: each token carries its own position, so the seen ones
        # stand first and nothing need be put back in its place.
        x = self.trunk(jnp.concatenate([seen, unseen], axis=1))
        return self.leave(self.norm(x[:, kept.shape[1] :])).astype(jnp.float32)


def sincos_positions(grid: tuple[int, int, int], width: int) -> np.ndarray:
    """A fixed vector for each token: sines and cosines of its row and column, plus those of time.

    Args:
        grid: times, rows and columns.
        width: a multiple of 4. Half of it speaks of the row, half of the column; time, where there
            is more than one, is added over all of it.

    Returns:
        float32 `[times * rows * columns, width]`.

    Reference:
        He et al. 2022 (space) and Vaswani et al. 2017, section 3.5 (one dimension).
    """
    times, rows, columns = (np.arange(n) for n in grid)
    shape = (*grid, width // 2)
    row = np.broadcast_to(_sincos(rows, width // 2)[None, :, None], shape)
    column = np.broadcast_to(_sincos(columns, width // 2)[None, None], shape)
    table = np.concatenate([row, column], axis=-1)
    if grid[0] > 1:
        table = table + _sincos(times, width)[:, None, None]
    return table.reshape(-1, width).astype(np.float32)


def _sincos(at: np.ndarray, width: int) -> np.ndarray:
    """`[n, width]`: sines, then cosines, at wavelengths from 2 pi to 10,000 times that."""
    frequencies = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
    angles = at[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


class MaskedAutoencoder(nnx.Module):
    """A video ViT and the decoder of its tokens.

    Args:
        video: of the tower, which attends jointly over space and time.
        decoder: of the decoder.
        rngs: source of the initial values.

    Raises:
        UserError: the tower cannot leave tokens out.
    """

    def __init__(self, video: VideoConfig, decoder: PixelDecoderConfig, *, rngs: nnx.Rngs):
        if not isinstance(video, VideoViTConfig) or video.attention != "joint":
            raise UserError(
                "this tower cannot leave tokens out",
                where="config.model",
                fix="use family 'vit' with attention 'joint'",
            )
        self.video = VideoViT(video, rngs=rngs)
        self.decoder = PixelDecoder(decoder, video, rngs=rngs)
