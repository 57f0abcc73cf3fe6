"""Transformer blocks shared by every tower, annotated with logical axis names."""

import jax
import jax.numpy as jnp
from flax import nnx

import cmrjax.core.partitioning  # noqa: F401  (its flax setting, before any module is made)

_INIT = nnx.initializers.xavier_uniform()


def dense(
    features_in: int,
    features_out: int,
    names: tuple[str | None, str | None],
    *,
    rngs: nnx.Rngs,
    dtype: jnp.dtype | None = None,
    init=_INIT,
) -> nnx.Linear:
    """A linear layer whose kernel `[in, out]` carries logical axis names.

    Args:
        features_in: input width.
        features_out: output width.
        names: logical names of the kernel's two dimensions.
        rngs: source of the initial values.
        dtype: dtype of the matrix product; parameters stay float32.
        init: initializer of the kernel.
    """
    return nnx.Linear(
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
        q, k, v = jnp.moveaxis(self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads), 2, 0)
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
        dtype: jnp.dtype | None = None,
    ):
        self.remat = remat

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

        return jax.lax.scan(jax.checkpoint(body) if self.remat else body, x, layers)[0]
