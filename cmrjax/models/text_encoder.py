"""A BERT-like text encoder over WordPiece ids (Devlin et al. 2019), pre-norm and mean-pooled."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.types import PAD_ID
from cmrjax.models.layers import BlockConfig, Trunk


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """What the text tower looks like.

    Args:
        vocabulary: number of token ids.
        max_tokens: longest sequence.
        width: width of the tokens.
        depth: number of blocks.
        heads: attention heads.
        remat: 'none', 'dots' or 'full': what the backward pass recomputes.
        dtype: of matrix products, `float32` or `bfloat16`.
    """

    vocabulary: int
    max_tokens: int
    width: int = 128
    depth: int = 2
    heads: int = 4
    remat: str = "none"
    dtype: str = "float32"


class TextEncoder(nnx.Module):
    """Token and position embeddings, a trunk, and the mean over the tokens that are not padding."""

    def __init__(self, config: TextEncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        init = nnx.initializers.normal(0.02)
        self.embed = nnx.Embed(
            config.vocabulary,
            config.width,
            embedding_init=nnx.with_partitioning(init, ("vocab", "embed")),
            rngs=rngs,
        )
        position = nnx.with_partitioning(init, ("position", "embed"))
        self.position = nnx.Param(position(rngs.params(), (config.max_tokens, config.width)))
        block = BlockConfig(width=config.width, heads=config.heads, dtype=config.dtype)
        self.trunk = Trunk(block, config.depth, rngs=rngs, remat=config.remat)
        self.norm = nnx.LayerNorm(config.width, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Encodes token ids `[b, l]`, padded with 0, into one vector each, `[b, d]`."""
        mask = ids != PAD_ID
        x = self.embed(ids) + self.position[...][None, : ids.shape[-1]]
        x = self.norm(self.trunk(x, mask))
        weights = mask[..., None].astype(x.dtype)
        return (x * weights).sum(axis=-2) / jnp.maximum(weights.sum(axis=-2), 1.0)
