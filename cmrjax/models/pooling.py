"""From many vectors to one: the tokens of a clip, the cines of a study."""

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.layers import dense


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over the cines that are there.

    Args:
        x: `[*b, cines, d]`.
        mask: `[*b, cines]`, True where there is a cine.

    Returns:
        `[*b, d]`; zero where a study has no cine.
    """
    weights = mask[..., None].astype(x.dtype)
    return (x * weights).sum(axis=-2) / jnp.maximum(weights.sum(axis=-2), 1.0)


def l2_normalise(x: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Scales the last axis of `[*b, d]` to length 1, with a gradient at zero."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + epsilon**2)


class AttentionPool(nnx.Module):
    """One learned query attends over all tokens, then an MLP (the MAP head of Zhai et al. 2022).

    Args:
        width: of the tokens and of the result.
        heads: attention heads.
        rngs: source of the initial values.
        mlp_ratio: hidden width of the MLP over `width`.
        epsilon: of the layer norm.
        dtype: of matrix products.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        rngs: nnx.Rngs,
        mlp_ratio: float = 4.0,
        epsilon: float = 1e-6,
        dtype: jnp.dtype | None = None,
    ):
        self.heads = heads
        init = nnx.with_partitioning(nnx.initializers.xavier_uniform(), ("position", "embed"))
        self.query = nnx.Param(init(rngs.params(), (1, width)))
        self.q = dense(width, width, ("embed", "heads"), rngs=rngs, dtype=dtype)
        self.kv = dense(width, 2 * width, ("embed", "heads"), rngs=rngs, dtype=dtype)
        self.out = dense(width, width, ("heads", "embed"), rngs=rngs, dtype=dtype)
        self.norm = nnx.LayerNorm(width, epsilon=epsilon, dtype=jnp.float32, rngs=rngs)
        hidden = int(width * mlp_ratio)
        self.up = dense(width, hidden, ("embed", "mlp"), rngs=rngs, dtype=dtype)
        self.down = dense(hidden, width, ("mlp", "embed"), rngs=rngs, dtype=dtype)

    def _parts(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The query `[b, 1, heads, head_dim]`, keys and values `[b, n, heads, head_dim]`."""
        b, n, d = tokens.shape
        key, value = jnp.split(self.kv(tokens), 2, axis=-1)
        query = jnp.broadcast_to(self.q(self.query[...]), (b, 1, d))
        size = d // self.heads
        return (
            query.reshape(b, 1, self.heads, size),
            key.reshape(b, n, self.heads, size),
            value.reshape(b, n, self.heads, size),
        )

    def __call__(self, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Pools.

        Args:
            tokens: `[b, n, d]`.
            mask: `[b, n]`, False where a token is padding; None pools all.

        Returns:
            `[b, d]`.
        """
        query, key, value = self._parts(tokens)
        keys = None if mask is None else mask[:, None, None, :]
        x = jax.nn.dot_product_attention(query, key, value, mask=keys)
        x = self.out(x.reshape(tokens.shape[0], -1))
        return x + self.down(jax.nn.gelu(self.up(self.norm(x))))

    def weights(self, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """How much the query attends to each token: `[b, heads, n]`, float32, rows summing to 1."""
        query, key, _ = self._parts(tokens)
        logits = jnp.einsum("bqhd,bnhd->bhn", query, key, preferred_element_type=jnp.float32)
        logits = logits / jnp.sqrt(jnp.float32(key.shape[-1]))
        if mask is not None:
            logits = jnp.where(mask[:, None, :], logits, jnp.finfo(jnp.float32).min)
        return jax.nn.softmax(logits, axis=-1)
