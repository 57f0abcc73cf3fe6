"""From the tokens of a tower back to pixels: a light decoder for dense outputs."""

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.layers import dense

_FEWEST = 16  # channels at full resolution: fewer would starve the last convolutions


def conv(channels_in: int, channels_out: int, *, rngs: nnx.Rngs, init=None) -> nnx.Conv:
    """A 3 x 3 convolution of single frames `[b, h, w, c]`, annotated with logical axis names."""
    init = nnx.initializers.he_normal() if init is None else init
    return nnx.Conv(
        channels_in,
        channels_out,
        (3, 3),
        kernel_init=nnx.with_partitioning(init, (None, None, "channel", "channel")),
        bias_init=nnx.with_partitioning(nnx.initializers.zeros_init(), ("channel",)),
        rngs=rngs,
    )


def upsampling(rows: int, columns: int) -> list[tuple[int, int]]:
    """Steps that together enlarge by (rows, columns), the large ones first, while pixels are few.

    Example:
        >>> upsampling(8, 8), upsampling(14, 2)
        ([(2, 2), (2, 2), (2, 2)], [(7, 2), (2, 1)])
    """
    both = [_factors(rows), _factors(columns)]
    length = max(map(len, both))
    padded = [side + [1] * (length - len(side)) for side in both]
    return list(zip(*padded, strict=True))


def _factors(n: int) -> list[int]:
    """Prime factors, largest first."""
    found, divisor = [], 2
    while n > 1:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 1
    return found[::-1]


class _Stage(nnx.Module):
    """One step of enlarging: interpolate, look at the frame itself at that size, convolve."""

    def __init__(
        self, inputs: int, outputs: int, *, step: tuple[int, int], cell: int, rngs: nnx.Rngs
    ):
        self.step = step
        self.conv = conv(inputs + cell, outputs, rngs=rngs)
        self.norm = nnx.LayerNorm(
            outputs,
            epsilon=1e-6,
            dtype=jnp.float32,
            scale_init=nnx.with_partitioning(nnx.initializers.ones_init(), ("channel",)),
            bias_init=nnx.with_partitioning(nnx.initializers.zeros_init(), ("channel",)),
            rngs=rngs,
        )

    def __call__(self, x: jax.Array, cells: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        larger = (b, h * self.step[0], w * self.step[1], c)
        x = jax.image.resize(x, larger, "linear")
        return jax.nn.gelu(self.norm(self.conv(jnp.concatenate([x, cells], axis=-1))))


class Decoder(nnx.Module):
    """Tokens to channels at every pixel of every frame.

    A token holds all frames of its tubelet: a linear layer gives each frame its own channels, and
    from there every frame is enlarged by itself, step by step. At each step the frame comes in as
    it is, its pixels folded into channels at that resolution, so that edges need not pass through
    the tokens. Serves single frames and cines alike.

    Args:
        width: of the tokens.
        outputs: channels of the result.
        clip: frames, rows and columns.
        grid: tokens along time, rows and columns; each divides its side of the clip.
        rngs: source of the initial values.
        channels: at the tokens' resolution; each step halves them down to 16.

    Raises:
        ValueError: the grid does not divide the clip.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        clip: tuple[int, int, int],
        grid: tuple[int, int, int],
        rngs: nnx.Rngs,
        channels: int = 64,
    ):
        if any(c % g for c, g in zip(clip, grid, strict=True)):
            raise ValueError(f"the grid {grid} does not divide the clip {clip}")
        self.clip, self.grid = clip, grid
        frames, *cell = (c // g for c, g in zip(clip, grid, strict=True))
        self.enter = dense(width, frames * channels, ("embed", "mlp"), rngs=rngs)
        stages, inputs = [], channels
        for step in upsampling(*cell) or [(1, 1)]:
            cell = [cell[0] // step[0], cell[1] // step[1]]
            # Never more channels than before, never fewer than the floor unless one asked for it.
            halved = min(inputs, max(_FEWEST, inputs // 2))
            area = cell[0] * cell[1]
            stages.append(_Stage(inputs, halved, step=step, cell=area, rngs=rngs))
            inputs = halved
        self.stages = nnx.List(stages)
        # Small at the start, so that the first predictions hardly differ from the bias.
        self.leave = conv(inputs, outputs, rngs=rngs, init=nnx.initializers.normal(0.01))

    def __call__(self, tokens: jax.Array, clips: jax.Array) -> jax.Array:
        """Decodes.

        Args:
            tokens: `[b, n, d]` in time-major order (or `[b, t', h', w', d]`).
            clips: `[b, t, h, w]` in 0..1, what the tokens were made from.

        Returns:
            `[b, t, h, w, outputs]`.
        """
        b, (t, h, w), (gt, gh, gw) = len(clips), self.clip, self.grid
        x = self.enter(tokens.reshape(b, gt, gh, gw, -1))
        x = x.reshape(b, gt, gh, gw, t // gt, -1).transpose(0, 1, 4, 2, 3, 5)
        x = x.reshape(b * t, gh, gw, -1)
        frames = clips.reshape(b * t, h, w) * 2 - 1
        for stage in self.stages:
            rows, columns = x.shape[1] * stage.step[0], x.shape[2] * stage.step[1]
            x = stage(x, space_to_depth(frames, rows, columns))
        return self.leave(x).reshape(b, t, h, w, -1)


def space_to_depth(frames: jax.Array, rows: int, columns: int) -> jax.Array:
    """Frames `[b, h, w]` as `[b, rows, columns, pixels of a cell]`; nothing is lost."""
    b, h, w = frames.shape
    cells = frames.reshape(b, rows, h // rows, columns, w // columns)
    return cells.transpose(0, 1, 3, 2, 4).reshape(b, rows, columns, -1)
