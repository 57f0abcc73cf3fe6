"""A text encoder over WordPiece ids: ours, pre-norm and mean-pooled, or BERT's own form."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.types import PAD_ID
from cmrjax.models.layers import BlockConfig, Trunk, dense, layer_norm
from cmrjax.models.pooling import masked_mean

STYLES = ("pre_norm", "bert")
POOLS = ("mean", "cls", "pooler")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """What the text tower looks like.

    Args:
        vocabulary: number of token ids.
        max_tokens: longest sequence.
        width: width of the tokens.
        depth: number of blocks.
        heads: attention heads.
        mlp_ratio: width of the MLP's hidden layer over `width`.
        style: 'pre_norm', with a norm after the last block, or 'bert' (Devlin et al. 2019): a norm
            of the embeddings and norms after the residual sums, as public checkpoints have it.
        pool: 'mean' over the tokens that are not padding, the first token 'cls', or BERT's
            'pooler': a tanh layer on that.
        activation: of the MLPs; empty takes the style's, for BERT the exact GELU.
        epsilon: of the layer norms; 0 takes the style's, for BERT 1e-12.
        remat: 'none', 'dots' or 'full': what the backward pass recomputes.
        dtype: of matrix products, `float32` or `bfloat16`.
    """

    vocabulary: int
    max_tokens: int
    width: int = 128
    depth: int = 2
    heads: int = 4
    mlp_ratio: float = 4.0
    style: str = "pre_norm"
    pool: str = "mean"
    activation: str = ""
    epsilon: float = 0.0
    remat: str = "none"
    dtype: str = "float32"

    def __post_init__(self):
        for key, values in {"style": STYLES, "pool": POOLS}.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}",
                    where="config.text",
                    fix=f"use one of {values}",
                )
        self.block  # noqa: B018  (checks its own fields)

    @property
    def block(self) -> BlockConfig:
        """The blocks of the trunk."""
        bert = self.style == "bert"
        return BlockConfig(
            width=self.width,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            post_norm=bert,
            activation=self.activation or ("gelu" if bert else "gelu_tanh"),
            epsilon=self.epsilon or (1e-12 if bert else 1e-6),
            dtype=self.dtype,
        )


class TextEncoder(nnx.Module):
    """Token and position embeddings, a trunk, and one vector of its tokens."""

    def __init__(self, config: TextEncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        width, epsilon = config.width, config.block.epsilon
        init = nnx.initializers.normal(0.02)
        self.embed = nnx.Embed(
            config.vocabulary,
            width,
            embedding_init=nnx.with_partitioning(init, ("vocab", "embed")),
            rngs=rngs,
        )
        position = nnx.with_partitioning(init, ("position", "embed"))
        self.position = nnx.Param(position(rngs.params(), (config.max_tokens, width)))
        self.trunk = Trunk(config.block, config.depth, rngs=rngs, remat=config.remat)
        if config.style == "bert":
            self.embed_norm = layer_norm(width, epsilon, rngs=rngs)
        else:
            self.norm = layer_norm(width, epsilon, rngs=rngs)
        if config.pool == "pooler":
            dtype = jnp.dtype(config.dtype)
            self.pooler = dense(width, width, ("embed", "joint"), rngs=rngs, dtype=dtype)

    def tokens(self, ids: jax.Array) -> jax.Array:
        """Encodes token ids `[b, l]`, padded with 0, into `[b, l, d]`."""
        x = self.embed(ids) + self.position[...][None, : ids.shape[-1]]
        mask = ids != PAD_ID
        if self.config.style == "bert":
            return self.trunk(self.embed_norm(x), mask)
        return self.norm(self.trunk(x, mask))

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Encodes token ids `[b, l]`, padded with 0, into one vector each, `[b, d]`."""
        x = self.tokens(ids)
        if self.config.pool == "mean":
            return masked_mean(x, ids != PAD_ID)
        first = x[..., 0, :]
        return jnp.tanh(self.pooler(first)) if self.config.pool == "pooler" else first
