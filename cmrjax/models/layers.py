"""Transformer blocks shared by every tower, annotated with logical axis names."""

import jax
import jax.numpy as jnp
from flax import nnx

import cmrjax.core.partitioning  # noqa: F401  (its flax setting, before any module is made)

_INIT = nnx.initializers.xavier_uniform()


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


class Attention(nnx.Module):
    """Multi-head self-attention over the tokens of one sequence."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs, dtype=None):
        self.heads = heads
        self.qkv = dense(width, 3 * width, ("embed", "heads"), rngs=rngs, dtype=dtype)
        self.out = dense(width, width, ("heads", "embed"), rngs=rngs, dtype=dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Attends.

        Args:
            x: tokens `[b, n, d]`.
            mask: `[b, n]`, False where a token is padding; None attends everywhere.

        Returns:
            `[b, n, d]`.
        """
        b, n, d = x.shape
        parts = jnp.split(self.qkv(x), 3, axis=-1)
        q, k, v = (part.reshape(b, n, self.heads, d // self.heads) for part in parts)
        keys = None if mask is None else mask[:, None, None, :]
        return self.out(jax.nn.dot_product_attention(q, k, v, mask=keys).reshape(b, n, d))


class Block(nnx.Module):
    """A pre-norm transformer block (Xiong et al. 2020): attention, then a GELU MLP."""

    def __init__(
        self, width: int, heads: int, mlp_ratio: float, *, rngs: nnx.Rngs, dtype: jnp.dtype | None
    ):
        hidden = int(width * mlp_ratio)
        self.norm1 = nnx.LayerNorm(width, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs, dtype=dtype)
        self.norm2 = nnx.LayerNorm(width, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)
        self.up = dense(width, hidden, ("embed", "mlp"), rngs=rngs, dtype=dtype)
        self.down = dense(hidden, width, ("mlp", "embed"), rngs=rngs, dtype=dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps tokens `[b, n, d]` to `[b, n, d]`."""
        x = x + self.attention(self.norm1(x), mask)
        return x + self.down(jax.nn.gelu(self.up(self.norm2(x))))


class Trunk(nnx.Module):
    """A stack of equal blocks, held as one set of stacked parameters and run by `lax.scan`.

    Scanning keeps compile time independent of depth; rematerialisation keeps only the blocks'
    inputs for the backward pass.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        *,
        rngs: nnx.Rngs,
        mlp_ratio: float = 4.0,
        remat: bool = True,
        unroll: int = 1,
        dtype: jnp.dtype | None = None,
    ):
        self.remat, self.unroll = remat, unroll

        @nnx.split_rngs(splits=depth)
        @nnx.vmap(in_axes=(0,), out_axes=0, transform_metadata={nnx.PARTITION_NAME: "layers"})
        def make(layer_rngs: nnx.Rngs) -> Block:
            return Block(width, heads, mlp_ratio, rngs=layer_rngs, dtype=dtype)

        self.blocks = make(rngs)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps tokens `[b, n, d]` to `[b, n, d]` through every block."""
        graph, layers = nnx.split(self.blocks)

        def body(tokens, layer):
            return nnx.merge(graph, layer)(tokens, mask), None

        body = jax.checkpoint(body) if self.remat else body
        return jax.lax.scan(body, x, layers, unroll=self.unroll)[0]
