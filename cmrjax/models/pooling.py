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


class GatedAttentionPool(nnx.Module):
    """Gated-attention multiple-instance pooling over the cines of a study.

    Each cine's vector goes through two hidden layers; its weight is a softmax over the study's
    cines of a score that a tanh layer gates with a sigmoid one. The sizes are those of Shad et
    al. 2026 (512 -> 256 -> 256, gate 128 -> 1); the ReLU between them is not from the paper.

    Args:
        width: of the cines' vectors.
        rngs: source of the initial values.
        hidden: widths of the two hidden layers; the second is the width of the result.
        gate: width of the gate.
        views: size of the view vocabulary, whose learned embedding is added to each vector; 0 for
            none.

    Reference:
        Ilse, Tomczak, Welling. Attention-based deep multiple instance learning. ICML 2018, eq. 9.
    """

    def __init__(
        self,
        width: int,
        *,
        rngs: nnx.Rngs,
        hidden: tuple[int, int] = (256, 256),
        gate: int = 128,
        views: int = 0,
    ):
        self.width = hidden[1]
        self.first = dense(width, hidden[0], ("embed", "mlp"), rngs=rngs)
        self.second = dense(hidden[0], hidden[1], ("mlp", "embed"), rngs=rngs)
        self.tanh = dense(hidden[1], gate, ("embed", "mlp"), rngs=rngs)
        self.sigmoid = dense(hidden[1], gate, ("embed", "mlp"), rngs=rngs)
        self.score = dense(gate, 1, ("mlp", None), rngs=rngs)
        self.views = views
        if views:
            init = nnx.with_partitioning(nnx.initializers.normal(0.02), ("vocab", "embed"))
            self.view = nnx.Embed(views, width, embedding_init=init, rngs=rngs)

    def pool(
        self, x: jax.Array, mask: jax.Array, views: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Pools, and says how.

        Args:
            x: `[*b, cines, width]`.
            mask: `[*b, cines]`, True where there is a cine; what stands elsewhere is not looked at.
            views: int `[*b, cines]`, each cine's view; needed with a view vocabulary.

        Returns:
            `[*b, hidden]`, zero where a study has no cine; the weights `[*b, cines]`, which sum to
            1 over a study's cines and are 0 elsewhere.

        Raises:
            ValueError: views are given without a vocabulary, or the other way round.
        """
        if (views is not None) != bool(self.views):
            raise ValueError("views and a view vocabulary come together")
        x = jnp.where(mask[..., None], x, 0.0)
        if views is not None:
            x = x + self.view(jnp.where(mask, views, 0))
        x, score = self.parts(x)
        # The lowest finite number, not -inf: a study without cines must have finite gradients too.
        score = jnp.where(mask, score, jnp.finfo(jnp.float32).min)
        weights = jnp.where(mask, jax.nn.softmax(score, axis=-1), 0.0)
        return jnp.einsum("...n,...nd->...d", weights, x), weights

    def parts(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What is pooled of each cine `[*b, hidden]`, and its score `[*b]`, float32."""
        x = nnx.relu(self.second(nnx.relu(self.first(x))))
        score = self.score(jnp.tanh(self.tanh(x)) * jax.nn.sigmoid(self.sigmoid(x)))[..., 0]
        return x, score.astype(jnp.float32)

    def __call__(self, x: jax.Array, mask: jax.Array, views: jax.Array | None = None) -> jax.Array:
        """The pooled vectors `[*b, hidden]` alone; arguments as for `pool`."""
        return self.pool(x, mask, views)[0]
