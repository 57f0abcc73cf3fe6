"""Pooling attention and the block around it (MViT, Fan et al. 2021, arXiv 2104.11227).

A sequence is one class token, then the patch tokens of a grid over time, rows and columns.
Queries, keys and values are pooled over that grid by small depthwise convolutions; the class token
passes by.
"""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.models.layers import dense, layer_norm

Grid = tuple[int, int, int]

POOL_KERNEL: Grid = (3, 3, 3)
# A stage halves rows and columns; time keeps its length.
STAGE_STRIDE: Grid = (1, 2, 2)
EPSILON = 1e-6


def _grid(sizes: Sequence[int]) -> Grid:
    t, h, w = sizes
    return t, h, w


def pooled(grid: Grid, stride: Grid) -> Grid:
    """The grid after a padded pool of odd kernel.

    Example:
        >>> pooled((8, 14, 7), (1, 2, 2))
        (8, 7, 4)
    """
    return _grid([-(-size // step) for size, step in zip(grid, stride, strict=True)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiscaleBlockConfig:
    """What one block looks like.

    Args:
        grid: patch tokens along time, rows and columns that enter.
        width: of the tokens that enter.
        width_out: of the tokens that leave; the MLP widens them.
        heads: attention heads; they divide the width.
        pools: queries and residual are pooled by `STAGE_STRIDE`: the first block of a stage.
        kv_stride: pooling stride of keys and values.
        mlp_ratio: width of the MLP's hidden layer over `width`.
        implementation: of `jax.nn.dot_product_attention`; empty for its own choice.
        dtype: of matrix products.
    """

    grid: Grid
    width: int
    width_out: int
    heads: int
    pools: bool
    kv_stride: Grid
    mlp_ratio: float = 4.0
    implementation: str = ""
    dtype: str = "float32"

    @property
    def grid_out(self) -> Grid:
        """Patch tokens along time, rows and columns that leave."""
        return pooled(self.grid, STAGE_STRIDE) if self.pools else self.grid


def taps(x: jax.Array, kernel: Grid, stride: Grid, fill: float) -> Iterator[jax.Array]:
    """What each element of a sliding window sees, one array an element, the last axis fastest.

    Args:
        x: `[b, t, h, w, *c]`.
        kernel: size of the window, odd.
        stride: its steps.
        fill: value outside of the grid.

    Yields:
        `[b, *pooled(grid, stride), *c]`.
    """
    x = _padded(x, kernel, fill)
    spans = _spans(x, kernel, stride)
    for start in itertools.product(*map(range, kernel)):
        yield x[:, *map(slice, start, np.add(start, spans), stride)]


def _padded(x: jax.Array, kernel: Grid, fill: float) -> jax.Array:
    around = [(0, 0), *((size // 2, size // 2) for size in kernel)]
    return jnp.pad(x, around + [(0, 0)] * (x.ndim - 4), constant_values=fill)


def _spans(padded: jax.Array, kernel: Grid, stride: Grid) -> list[int]:
    """How much of a padded grid one element of the window slides over."""
    return [
        (n - size) // step * step + 1
        for n, size, step in zip(padded.shape[1:4], kernel, stride, strict=True)
    ]


def windows(x: jax.Array, kernel: Grid, stride: Grid) -> jax.Array:
    """Windows of `[b, t, h, w, c]`, padded with zeros, as `[b, t', h', w', *kernel, c]`.

    One axis after another: 17 slices for 3 x 7 x 7, not 147, which compile for seconds.
    """
    for i in (2, 1, 0):
        size, step = [1, 1, 1], [1, 1, 1]
        size[i], step[i] = kernel[i], stride[i]
        x = jnp.stack([*taps(x, _grid(size), _grid(step), 0.0)], axis=i - 4)
    return x


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 3 x 3 places, by `STAGE_STRIDE`, of `[b, t, h, w, d]`."""
    return functools.reduce(jnp.maximum, taps(x, (1, 3, 3), STAGE_STRIDE, -jnp.inf))


def _depthwise(x: jax.Array, kernel: jax.Array, stride: Grid) -> jax.Array:
    weights = jnp.expand_dims(kernel.reshape(-1, *kernel.shape[3:]), -2)  # [27, m, 1, d]
    seen = taps(x, POOL_KERNEL, stride, 0.0)
    return functools.reduce(operator.add, (tap * weights[i] for i, tap in enumerate(seen)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x: jax.Array, kernel: jax.Array, stride: Grid) -> jax.Array:
    """A depthwise convolution, padded with zeros, whose kernel the heads share.

    A sum of 27 shifted products, which fuse into one pass over the output. XLA's CPU backend takes
    10 to 100 times as long for a convolution with a group a channel, forwards and backwards.

    Args:
        x: `[b, t, h, w, m, heads, d]`, float32; m sequences on one grid.
        kernel: `[*POOL_KERNEL, m, d]`.
        stride: of the output.
    """
    return _depthwise(x, kernel, stride)


def _depthwise_forward(x: jax.Array, kernel: jax.Array, stride: Grid):
    return _depthwise(x, kernel, stride), (x, kernel)


def _depthwise_backward(stride: Grid, saved: tuple[jax.Array, jax.Array], gradient: jax.Array):
    x, kernel = saved
    (to_x,) = jax.vjp(lambda x: _depthwise(x, kernel, stride), x)[1](gradient)
    x = _padded(x, POOL_KERNEL, 0.0)
    spans = _spans(x, POOL_KERNEL, stride)
    sizes = (x.shape[0], *spans, *x.shape[4:])

    def to_one(start: jax.Array) -> jax.Array:
        seen = jax.lax.dynamic_slice(x, (0, *start, 0, 0, 0), sizes)
        seen = seen[:, :: stride[0], :: stride[1], :: stride[2]]
        return (seen * gradient).sum(axis=(0, 1, 2, 3, 5))

    # One element of the kernel after the other: the 27 sums that differentiation would make are
    # compiled twice as slowly, run two to three times as long, and hold four times the memory.
    starts = jnp.asarray([*itertools.product(*map(range, POOL_KERNEL))])
    return to_x, jax.lax.map(to_one, starts).reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


class Pool(nnx.Module):
    """The learned parts of a pool: a depthwise kernel that the heads share, and a layer norm."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        # PyTorch's default for such a convolution: uniform within 27^-1/2; fan-in is the window.
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        # 27 numbers a channel, needed by every head: not worth a split over a mesh.
        init = nnx.with_partitioning(init, (None, None, None, None))
        self.kernel = nnx.Param(init(rngs.params(), (*POOL_KERNEL, width)))
        self.norm = layer_norm(width, EPSILON, rngs=rngs)


def pool(x: jax.Array, pools: list[Pool], grid: Grid, stride: Grid) -> list[jax.Array]:
    """Pools several sequences over one grid at once, each its own way.

    Args:
        x: `[b, 1 + n, pools, heads, d]`, class token first.
        pools: one a sequence.
        grid: of the `n` patch tokens.
        stride: of the pools.

    Returns:
        `[b, 1 + n', heads, d]` a sequence. The class token is not pooled, but normed with the rest.
    """
    b, _, *rest = x.shape
    kernel = jnp.stack([p.kernel[...] for p in pools], axis=-2)
    patches = x[:, 1:].astype(jnp.float32).reshape(b, *grid, *rest)
    patches = jnp.asarray(depthwise(patches, kernel, stride)).reshape(b, -1, *rest)
    found = jnp.concatenate([x[:, :1], patches], axis=1)
    return [p.norm(found[:, :, i]).astype(x.dtype) for i, p in enumerate(pools)]


class PoolingAttention(nnx.Module):
    """Multi-head attention of pooled queries over pooled keys and values."""

    def __init__(self, config: MultiscaleBlockConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, jnp.dtype(config.dtype)
        head = width // config.heads
        self.config = config
        self.implementation: Any = config.implementation or None
        self.qkv = dense(width, 3 * width, ("embed", "heads"), rngs=rngs, dtype=dtype)
        self.out = dense(width, width, ("heads", "embed"), rngs=rngs, dtype=dtype)
        if config.pools:
            self.pool_q = Pool(head, rngs=rngs)
        self.pool_k = Pool(head, rngs=rngs)
        self.pool_v = Pool(head, rngs=rngs)

    def _split(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Pooled queries, keys and values, each `[b, 1 + n', heads, head width]`."""
        config = self.config
        b, n, d = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, config.heads, d // config.heads)
        q = qkv[:, :, 0]
        if config.pools:
            (q,) = pool(qkv[:, :, :1], [self.pool_q], config.grid, STAGE_STRIDE)
        k, v = pool(qkv[:, :, 1:], [self.pool_k, self.pool_v], config.grid, config.kv_stride)
        return q, k, v

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps tokens `[b, 1 + n, d]` of `grid` to `[b, 1 + n', d]` of `grid_out`."""
        q, k, v = self._split(x)
        mixed = jax.nn.dot_product_attention(q, k, v, implementation=self.implementation)
        return self.out(mixed.reshape(x.shape[0], -1, x.shape[-1]))

    def weights(self, x: jax.Array) -> jax.Array:
        """How much each pooled query looks at each pooled key: `[b, heads, n', m]`."""
        q, k, _ = (part.astype(jnp.float32) for part in self._split(x))
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        return jax.nn.softmax(logits, axis=-1)


class MultiscaleBlock(nnx.Module):
    """Pooling attention and an MLP, pre-norm; the residual follows the queries' grid.

    Where the width grows, it grows in the MLP, and the second residual is a linear map of the
    normed tokens.
    """

    def __init__(self, config: MultiscaleBlockConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, jnp.dtype(config.dtype)
        hidden = int(width * config.mlp_ratio)
        self.config = config
        self.norm1 = layer_norm(width, EPSILON, rngs=rngs)
        self.attention = PoolingAttention(config, rngs=rngs)
        self.norm2 = layer_norm(width, EPSILON, rngs=rngs)
        self.up = dense(width, hidden, ("embed", "mlp"), rngs=rngs, dtype=dtype)
        self.down = dense(hidden, config.width_out, ("mlp", "embed"), rngs=rngs, dtype=dtype)
        if config.width_out != width:
            names = (None, "embed")  # "embed" twice would use one mesh axis twice.
            self.widen = dense(width, config.width_out, names, rngs=rngs, dtype=dtype)

    def _skip(self, x: jax.Array) -> jax.Array:
        """The residual of the attention: the class token, and the patches on the queries' grid."""
        if not self.config.pools:
            return x
        b, _, d = x.shape
        patches = max_pool(x[:, 1:].reshape(b, *self.config.grid, d))
        return jnp.concatenate([x[:, :1], patches.reshape(b, -1, d)], axis=1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps tokens `[b, 1 + n, width]` to `[b, 1 + n', width_out]`."""
        x = self._skip(x) + self.attention(self.norm1(x))
        normed = self.norm2(x)
        mixed = self.down(jax.nn.gelu(self.up(normed), approximate=False))
        return (x if self.config.width_out == x.shape[-1] else self.widen(normed)) + mixed
