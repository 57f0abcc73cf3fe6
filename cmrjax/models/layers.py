"""Transformer blocks shared by every tower, annotated with logical axis names."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import cmrjax.core.partitioning  # noqa: F401  (its flax setting, before any module is made)
from cmrjax.core.errors import UserError

_INIT = nnx.initializers.xavier_uniform()

# "gelu_tanh" is the tanh approximation; published checkpoints of ViTs and BERT use the exact form.
ACTIVATIONS = {
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "gelu": partial(jax.nn.gelu, approximate=False),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """What the equal blocks of a trunk look like.

    Args:
        width: of the tokens.
        heads: attention heads; they divide the width.
        mlp_ratio: width of the MLP's hidden layer over `width`.
        post_norm: norms after the residual sums (Vaswani et al. 2017, BERT), not before the layers.
        activation: of the MLP, one of `ACTIVATIONS`.
        epsilon: of the layer norms.
        layer_scale: a learned scale per channel on both branches (Touvron et al. 2021, DINOv2).
        divided: attention over time, then over space (TimeSformer, Bertasius et al. 2021).
        implementation: of `jax.nn.dot_product_attention`: 'xla', 'cudnn' (16-bit on GPU alone), or
            empty for its own choice.
        dtype: of matrix products, 'float32' or 'bfloat16'.
    """

    width: int
    heads: int
    mlp_ratio: float = 4.0
    post_norm: bool = False
    activation: str = "gelu_tanh"
    epsilon: float = 1e-6
    layer_scale: bool = False
    divided: bool = False
    implementation: str = ""
    dtype: str = "float32"

    def __post_init__(self):
        if self.width % self.heads:
            raise UserError(
                f"{self.heads} heads do not divide the width {self.width}", where="config"
            )
        for key, values in {
            "activation": tuple(ACTIVATIONS),
            "implementation": ("", "xla", "cudnn"),
            "dtype": ("float32", "bfloat16"),
        }.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}", where="config", fix=f"use one of {values}"
                )


class Dense(nnx.Linear):
    """A linear layer that flattens all but the last axis first.

    XLA's CPU backend computes the kernel's gradient of a `[b, n, d]` input two to three times
    slower than that of the same numbers as `[b * n, d]`; on other backends it is the same program.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[*b, in]` to `[*b, out]`."""
        flat = super().__call__(x.reshape(-1, x.shape[-1]))
        return flat.reshape(*x.shape[:-1], flat.shape[-1])


def dense(
    features_in: int,
    features_out: int,
    names: tuple[str | None, str | None],
    *,
    rngs: nnx.Rngs,
    dtype: jnp.dtype | None = None,
    init=_INIT,
) -> Dense:
    """A linear layer whose kernel `[in, out]` carries logical axis names.

    Args:
        features_in: input width.
        features_out: output width.
        names: logical names of the kernel's two dimensions.
        rngs: source of the initial values.
        dtype: dtype of the matrix product; parameters stay float32.
        init: initializer of the kernel.
    """
    return Dense(
        features_in,
        features_out,
        kernel_init=nnx.with_partitioning(init, names),
        bias_init=nnx.with_partitioning(nnx.initializers.zeros_init(), (names[1],)),
        dtype=dtype,
        param_dtype=jnp.float32,
        rngs=rngs,
    )


def layer_norm(width: int, epsilon: float, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A layer norm over the last axis, always computed in float32."""
    return nnx.LayerNorm(width, epsilon=epsilon, dtype=jnp.float32, rngs=rngs)


class Attention(nnx.Module):
    """Multi-head self-attention over the tokens of one sequence."""

    def __init__(self, config: BlockConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, jnp.dtype(config.dtype)
        self.heads = config.heads
        self.implementation: Any = config.implementation or None
        self.qkv = dense(width, 3 * width, ("embed", "heads"), rngs=rngs, dtype=dtype)
        self.out = dense(width, width, ("heads", "embed"), rngs=rngs, dtype=dtype)

    def _split(self, x: jax.Array) -> list[jax.Array]:
        """Queries, keys and values, each `[b, n, heads, head width]`."""
        shape = (*x.shape[:-1], self.heads, x.shape[-1] // self.heads)
        return [part.reshape(shape) for part in jnp.split(self.qkv(x), 3, axis=-1)]

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Attends.

        Args:
            x: tokens `[b, n, d]`.
            mask: `[b, n]`, False where a token is padding; None attends everywhere.

        Returns:
            `[b, n, d]`.
        """
        q, k, v = self._split(x)
        keys = None if mask is None else mask[:, None, None, :]
        mixed = jax.nn.dot_product_attention(q, k, v, mask=keys, implementation=self.implementation)
        return self.out(mixed.reshape(x.shape))

    def weights(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """How much each token looks at each other: `[b, heads, n, n]`, rows sum to 1."""
        q, k, _ = (part.astype(jnp.float32) for part in self._split(x))
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        if mask is not None:
            logits = jnp.where(mask[:, None, None, :], logits, -jnp.inf)
        return jax.nn.softmax(logits, axis=-1)


@dataclasses.dataclass(frozen=True)
class TokenGrid:
    """Where the tokens of a sequence come from: `prefix` ones, then `times * places`.

    Args:
        prefix: class token and registers, which belong to no place.
        times: tokens along time.
        places: tokens of one time.
    """

    prefix: int
    times: int
    places: int


class Block(nnx.Module):
    """A transformer block: attention, then an MLP.

    Pre-norm (Xiong et al. 2020) unless `post_norm`; with `divided`, attention over time comes first
    and the other one is over space alone.
    """

    def __init__(self, config: BlockConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, jnp.dtype(config.dtype)
        hidden = int(width * config.mlp_ratio)
        self.post_norm, self.divided = config.post_norm, config.divided
        self.activation = config.activation
        self.norm1 = layer_norm(width, config.epsilon, rngs=rngs)
        self.attention = Attention(config, rngs=rngs)
        self.norm2 = layer_norm(width, config.epsilon, rngs=rngs)
        self.up = dense(width, hidden, ("embed", "mlp"), rngs=rngs, dtype=dtype)
        self.down = dense(hidden, width, ("mlp", "embed"), rngs=rngs, dtype=dtype)
        if config.divided:
            self.norm_time = layer_norm(width, config.epsilon, rngs=rngs)
            self.attention_time = Attention(config, rngs=rngs)
        self.layer_scale = config.layer_scale
        if config.layer_scale:
            # Near zero at the start, as DINOv2 (Oquab et al. 2024) trains deep trunks.
            small = nnx.with_partitioning(nnx.initializers.constant(1e-5), ("embed",))
            self.scale1 = nnx.Param(small(rngs.params(), (width,)))
            self.scale2 = nnx.Param(small(rngs.params(), (width,)))

    def _mlp(self, x: jax.Array) -> jax.Array:
        return self.down(ACTIVATIONS[self.activation](self.up(x)))

    def _scaled(self, x: jax.Array, name: str) -> jax.Array:
        return x * getattr(self, name)[...] if self.layer_scale else x

    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, grid: TokenGrid | None = None
    ) -> jax.Array:
        """Maps tokens `[b, n, d]` to `[b, n, d]`.

        Args:
            x: tokens.
            mask: `[b, n]`, False where a token is padding.
            grid: where the tokens come from; needed by a divided block alone.
        """
        if self.post_norm:
            x = self.norm1(x + self._scaled(self.attention(x, mask), "scale1"))
            return self.norm2(x + self._scaled(self._mlp(x), "scale2"))
        if self.divided:
            assert grid is not None, "a divided block needs the grid of its tokens"
            x = _over_time(lambda y, m: self.attention_time(self.norm_time(y), m), x, mask, grid)
            attended = _over_space(self.attention, self.norm1(x), mask, grid)
        else:
            attended = self.attention(self.norm1(x), mask)
        x = x + self._scaled(attended, "scale1")
        return x + self._scaled(self._mlp(self.norm2(x)), "scale2")


def _over_time(attend, x: jax.Array, mask: jax.Array | None, grid: TokenGrid) -> jax.Array:
    """Adds to each place's tokens what they see of the other times; the prefix passes by."""
    b, _, d = x.shape
    p, t, s = grid.prefix, grid.times, grid.places
    lines = x[:, p:].reshape(b, t, s, d).swapaxes(1, 2).reshape(b * s, t, d)
    valid = None
    if mask is not None:
        valid = mask[:, p:].reshape(b, t, s).swapaxes(1, 2).reshape(b * s, t)
    seen = (lines + attend(lines, valid)).reshape(b, s, t, d).swapaxes(1, 2)
    return jnp.concatenate([x[:, :p], seen.reshape(b, t * s, d)], axis=1)


def _over_space(attend, x: jax.Array, mask: jax.Array | None, grid: TokenGrid) -> jax.Array:
    """Attention inside each time; the prefix joins every time and leaves as the mean of them."""
    b, _, d = x.shape
    p, t, s = grid.prefix, grid.times, grid.places
    prefix = jnp.broadcast_to(x[:, None, :p], (b, t, p, d))
    frames = jnp.concatenate([prefix, x[:, p:].reshape(b, t, s, d)], axis=2)
    valid = there = None
    if mask is not None:
        there = mask[:, p:].reshape(b, t, s)
        ones = jnp.ones((b, t, p), bool)
        # A frame that is not there still attends, to itself: an empty softmax would be NaN.
        empty = ~there.any(axis=-1, keepdims=True)
        valid = jnp.concatenate([ones, there | empty], axis=2).reshape(b * t, p + s)
    seen = attend(frames.reshape(b * t, p + s, d), valid).reshape(b, t, p + s, d)
    weights = jnp.ones((b, t)) if there is None else there.any(axis=-1).astype(x.dtype)
    weights = weights / jnp.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    shared = jnp.einsum("bt,btpd->bpd", weights, seen[:, :, :p])
    return jnp.concatenate([shared, seen[:, :, p:].reshape(b, t * s, d)], axis=1)


class Trunk(nnx.Module):
    """A stack of equal blocks, held as one set of stacked parameters and run by `lax.scan`.

    Scanning keeps compile time independent of depth; rematerialisation keeps only the blocks'
    inputs ('full') or also the products of matrices ('dots') for the backward pass.
    """

    def __init__(
        self,
        block: BlockConfig,
        depth: int,
        *,
        rngs: nnx.Rngs,
        remat: str = "full",
        unroll: int = 1,
        scan: bool = True,
    ):
        if remat not in (choices := ("none", "dots", "full")):
            raise UserError(f"remat = {remat!r}", where="config", fix=f"use one of {choices}")
        self.depth, self.remat, self.unroll, self.scan = depth, remat, unroll, scan

        @nnx.split_rngs(splits=depth)
        @nnx.vmap(in_axes=(0,), out_axes=0, transform_metadata={nnx.PARTITION_NAME: "layers"})
        def make(layer_rngs: nnx.Rngs) -> Block:
            return Block(block, rngs=layer_rngs)

        self.blocks = make(rngs)

    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, grid: TokenGrid | None = None
    ) -> jax.Array:
        """Maps tokens `[b, n, d]` to `[b, n, d]` through every block; arguments as `Block`'s."""
        graph, layers = nnx.split(self.blocks)

        def body(tokens, layer):
            return nnx.merge(graph, layer)(tokens, mask, grid), None

        if self.remat == "full":
            body = jax.checkpoint(body)
        elif self.remat == "dots":
            policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
            body = jax.checkpoint(body, policy=policy)
        if self.scan:
            return jax.lax.scan(body, x, layers, unroll=self.unroll)[0]
        for i in range(self.depth):
            x, _ = body(x, jax.tree.map(lambda leaf, i=i: leaf[i], layers))
        return x

    def layers(self) -> list[Block]:
        """One module a block, first to last, for looking inside."""
        graph, layers = nnx.split(self.blocks)
        return [
            nnx.merge(graph, jax.tree.map(lambda leaf, i=i: leaf[i], layers))
            for i in range(self.depth)
        ]
