"""A vision transformer over the tubelets of a cine (ViViT, Arnab et al. 2021, model 1)."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import BlockConfig, TokenGrid, Trunk, dense, layer_norm
from cmrjax.models.pooling import AttentionPool, masked_mean
from cmrjax.models.tower import Features

# Variant letter -> width, depth, heads (Dosovitskiy et al. 2021, table 1; Ti and S: Touvron 2021).
# "N" is our own, small enough for a laptop's demo.
VARIANTS = {
    "N": (128, 4, 4),
    "Ti": (192, 12, 3),
    "S": (384, 12, 6),
    "B": (768, 12, 12),
    "L": (1024, 24, 16),
    "H": (1280, 32, 16),
}


ATTENTIONS = ("joint", "factorised", "divided")
POOLS = ("mean", "cls", "attention")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoViTConfig:
    """What the video tower looks like.

    Args:
        variant: one of `VARIANTS`.
        size: width, depth and heads of one's own; empty takes the variant's.
        tubelet: frames, rows and columns of one token.
        clip: frames, rows and columns of the input.
        attention: 'joint' over space and time, 'factorised' (a trunk over each frame's tokens, then
            one over the frames; ViViT model 2) or 'divided' (each block over time, then over space;
            TimeSformer, Bertasius et al. 2021).
        temporal_depth: blocks of the second trunk of a 'factorised' tower.
        positions: 'separable' (a vector a time plus a vector a place) or 'learned' (one a token).
        cls_token: a class token.
        registers: further tokens that belong to no place (Darcet et al. 2024).
        pool: 'mean' over patch tokens, the 'cls' token, or 'attention' (one learned query).
        final_norm: the last layer norm is of the 'tokens', of the 'pooled' vector, or 'none'.
        layer_scale: see `BlockConfig`, like the next three.
        activation: of the MLPs.
        epsilon: of the layer norms.
        implementation: of the attention.
        remat: 'none', 'dots' or 'full': what the backward pass recomputes.
        scan: one compiled block for all; False compiles each.
        unroll: blocks that one turn of the scan holds; more compile slower and run faster on CPU.
        dtype: of matrix products, `float32` or `bfloat16`.
        motion_gain: tubelets enter as a cosine series over their frames, the terms that change in
            time scaled by this. 0 enters the frames themselves, as published ViTs do. The functions
            that the layer can learn are the same; but most of a cine's variance does not move, and
            a gain of about 4 puts motion on one scale with it, which shortens the first plateau.
    """

    variant: str = "N"
    size: tuple[int, ...] = ()
    tubelet: tuple[int, int, int] = (2, 16, 16)
    clip: tuple[int, int, int] = (16, 224, 224)
    attention: str = "joint"
    temporal_depth: int = 4
    positions: str = "separable"
    cls_token: bool = False
    registers: int = 0
    pool: str = "mean"
    final_norm: str = "tokens"
    layer_scale: bool = False
    activation: str = "gelu_tanh"
    epsilon: float = 1e-6
    implementation: str = ""
    remat: str = "full"
    scan: bool = True
    unroll: int = 1
    dtype: str = "float32"
    motion_gain: float = 0.0

    def __post_init__(self):
        for key, values in {
            "variant": tuple(VARIANTS),
            "attention": ATTENTIONS,
            "positions": ("separable", "learned"),
            "pool": POOLS,
            "final_norm": ("tokens", "pooled", "none"),
        }.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"unknown {key} {getattr(self, key)!r}",
                    where="config.model",
                    fix=f"use one of {values}",
                )
        if len(self.size) not in (0, 3):
            raise UserError(
                f"size = {self.size}", where="config.model", fix="give (width, depth, heads) or ()"
            )
        if any(c % t for c, t in zip(self.clip, self.tubelet, strict=True)):
            raise UserError(
                f"tubelet {self.tubelet} does not divide the clip {self.clip}", where="config.model"
            )
        if self.pool == "cls" and not self.cls_token:
            raise UserError("pool 'cls' without a class token", where="config.model")
        if self.attention == "factorised" and self.positions != "separable":
            raise UserError("factorised attention needs separable positions", where="config.model")
        self.block  # noqa: B018  (checks its own fields)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens along time, rows and columns."""
        t, h, w = (c // s for c, s in zip(self.clip, self.tubelet, strict=True))
        return t, h, w

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Width, depth and heads."""
        width, depth, heads = self.size or VARIANTS[self.variant]
        return width, depth, heads

    @property
    def width(self) -> int:
        """Width of the tokens."""
        return self.dimensions[0]

    @property
    def block(self) -> BlockConfig:
        """The blocks of the trunk."""
        return BlockConfig(
            width=self.width,
            heads=self.dimensions[2],
            activation=self.activation,
            epsilon=self.epsilon,
            layer_scale=self.layer_scale,
            divided=self.attention == "divided",
            implementation=self.implementation,
            dtype=self.dtype,
        )


def patchify(clips: jax.Array, tubelet: tuple[int, int, int]) -> jax.Array:
    """Cuts clips into tubelets by reshaping, which beats a strided convolution on every backend.

    Args:
        clips: `[b, t, h, w]`.
        tubelet: frames, rows, columns of a token.

    Returns:
        `[b, n, tubelet pixels]` with n running over time, then rows, then columns.
    """
    b, t, h, w = clips.shape
    dt, dh, dw = tubelet
    x = clips.reshape(b, t // dt, dt, h // dh, dh, w // dw, dw)
    return x.transpose(0, 1, 3, 5, 2, 4, 6).reshape(b, -1, dt * dh * dw)


def cosine_series(tubelets: jax.Array, frames: int, gain: float) -> jax.Array:
    """Orthonormal cosine transform (DCT-II) over a tubelet's frames.

    Args:
        tubelets: `[b, n, frames * pixels]`.
        frames: frames of a tubelet.
        gain: scale of every term but the constant one.

    Returns:
        `[b, n, frames * pixels]`, the constant term first.
    """
    basis = np.asarray(scipy.fft.dct(np.eye(frames), axis=0, norm="ortho"))
    basis[1:] *= gain
    x = tubelets.reshape(*tubelets.shape[:-1], frames, -1)
    return jnp.einsum("kt,bntp->bnkp", basis.astype(np.float32), x).reshape(tubelets.shape)


class Hidden(NamedTuple):
    """Patches that the tower shall not see, as in masked image modelling (iBOT, Zhou et al. 2022).

    Args:
        mask: bool `[b, n]`, True for the hidden ones.
        vector: `[d]`, stands for the embedding of each.
    """

    mask: jax.Array
    vector: jax.Array


class VideoViT(nnx.Module):
    """Tubelet embedding, learned positions and a trunk over space and time.

    Tokens run class token, registers, then patches over time, rows and columns.
    """

    def __init__(self, config: VideoViTConfig, *, rngs: nnx.Rngs):
        width, depth, heads = config.dimensions
        t, h, w = config.grid
        self.config = config
        self.embed = dense(
            math.prod(config.tubelet),
            width,
            ("patch", "embed"),
            rngs=rngs,
            dtype=jnp.dtype(config.dtype),
        )
        position = nnx.with_partitioning(nnx.initializers.normal(0.02), ("position", "embed"))

        def table(rows: int) -> nnx.Param:
            return nnx.Param(position(rngs.params(), (rows, width)))

        if config.positions == "separable":
            self.time, self.space = table(t), table(h * w)
        else:
            self.position = table(t * h * w)
        if config.cls_token:
            self.cls = table(1)
        if config.registers:
            self.registers = table(config.registers)
        repeat = {"remat": config.remat, "unroll": config.unroll, "scan": config.scan}
        self.trunk = Trunk(config.block, depth, rngs=rngs, **repeat)
        if config.attention == "factorised":
            self.temporal = Trunk(config.block, config.temporal_depth, rngs=rngs, **repeat)
            if config.cls_token:
                self.cls_time = table(1)
        if config.final_norm != "none":
            self.norm = layer_norm(width, config.epsilon, rngs=rngs)
        if config.pool == "attention":
            self.pool = AttentionPool(width, heads, rngs=rngs, epsilon=config.epsilon)

    def features(
        self,
        clips: jax.Array,
        frames: jax.Array | None = None,
        *,
        kept: jax.Array | None = None,
        hidden: Hidden | None = None,
    ) -> Features:
        """Encodes clips.

        Args:
            clips: `[b, t, h, w]`, values 0..1.
            frames: `[b, t]`, False where a frame is padding; None where all are there. A tubelet
                counts if any of its frames is there, the others enter as mid-grey.
            kept: int32 `[b, m]`, the patches that enter the trunk, counted over time, rows and
                columns; None for all. The tokens are then those, `[b, m, d]`. Joint attention
                alone: the others need every token of a time.
            hidden: patches whose embedding is replaced, before positions are added.

        Returns:
            One vector a clip and the patch tokens.

        Raises:
            ValueError: the clips do not have the model's shape, or tokens are dropped from an
                attention that needs all.
        """
        config = self.config
        if kept is not None and config.attention != "joint":
            raise ValueError(f"{config.attention} attention needs every token")
        x = self._embed(clips, frames)
        if hidden is not None:
            mask = hidden.mask.reshape(*x.shape[:-1], 1)
            x = jnp.where(mask, hidden.vector.astype(x.dtype), x)
        valid = None if frames is None else token_mask(frames, config.tubelet[0])
        if config.attention == "factorised":
            sequence, prefix, mask, tokens = self._factorised(x, valid)
        else:
            sequence, prefix, mask, tokens = self._joint(x, valid, kept)
        if config.final_norm == "tokens":
            sequence = self.norm(sequence)
            tokens = sequence[:, prefix:] if tokens is None else self.norm(tokens)
        elif tokens is None:
            tokens = sequence[:, prefix:]
        pooled = self._pool(sequence, prefix, mask)
        return Features(self.norm(pooled) if config.final_norm == "pooled" else pooled, tokens)

    def tokens(self, clips: jax.Array, frames: jax.Array | None = None) -> jax.Array:
        """Patch tokens `[b, n, d]` of clips `[b, t, h, w]`; see `features`."""
        return self.features(clips, frames).tokens

    def __call__(self, clips: jax.Array, frames: jax.Array | None = None) -> jax.Array:
        """Encodes clips `[b, t, h, w]` into one vector each, `[b, d]`; see `features`."""
        return self.features(clips, frames).pooled

    def prefix(self, batch: int) -> jax.Array:
        """Class token and registers `[b, prefix, d]`, which stand before the patches."""
        parts = [self.cls[...]] if self.config.cls_token else []
        parts += [self.registers[...]] if self.config.registers else []
        if not parts:
            return jnp.zeros((batch, 0, self.config.width))
        rows = jnp.concatenate(parts)
        return jnp.broadcast_to(rows[None], (batch, *rows.shape))

    def _embed(self, clips: jax.Array, frames: jax.Array | None) -> jax.Array:
        """Tubelets `[b, t, places, d]` without positions."""
        if clips.shape[1:] != self.config.clip:
            raise ValueError(f"clips are {clips.shape[1:]}, the model takes {self.config.clip}")
        # Centred on the middle of the intensity window, so that the first layer sees both signs.
        x = clips * 2 - 1
        if frames is not None:
            x = jnp.where(frames[:, :, None, None], x, 0.0)
        x = patchify(x, self.config.tubelet)
        if self.config.motion_gain:
            x = cosine_series(x, self.config.tubelet[0], self.config.motion_gain)
        x = self.embed(x)
        return x.reshape(x.shape[0], self.config.grid[0], -1, x.shape[-1])

    def _joint(self, x: jax.Array, valid: jax.Array | None, kept: jax.Array | None):
        """One trunk over all tokens that enter, joint or divided."""
        b, t, places, d = x.shape
        if self.config.positions == "separable":
            x = x + (self.time[...][:, None] + self.space[...][None])
        else:
            x = x + self.position[...].reshape(t, places, d)
        x = x.reshape(b, -1, d)
        there = None if valid is None else jnp.repeat(valid, places, axis=1)
        if kept is not None:
            x = jnp.take_along_axis(x, kept[..., None], axis=1)
            there = None if there is None else jnp.take_along_axis(there, kept, axis=1)
        prefix = self.prefix(b)
        p = prefix.shape[1]
        sequence = jnp.concatenate([prefix, x], axis=1) if p else x
        mask = None
        if there is not None:
            mask = jnp.concatenate([jnp.ones((b, p), bool), there], axis=1)
        sequence = self.trunk(sequence, mask, TokenGrid(p, t, places))
        return sequence, p, mask, None

    def _factorised(self, x: jax.Array, valid: jax.Array | None):
        """A trunk over each time's tokens, then one over a vector a time.

        A time's tokens carry on what their vector learned from the other times, so that dense heads
        see motion too.
        """
        b, t, places, d = x.shape
        prefix = self.prefix(b)
        p = prefix.shape[1]
        # The times join the batch last: ONNX cannot broadcast the prefix to b * t rows.
        prefix = jnp.broadcast_to(prefix[:, None], (b, t, p, d))
        x = jnp.concatenate([prefix, x + self.space[...][None, None]], axis=2)
        x = self.trunk(x.reshape(b * t, p + places, d))
        frames = x[:, 0] if self.config.cls_token else x[:, p:].mean(axis=1)
        frames = frames.reshape(b, t, d) + self.time[...]
        lead = jnp.zeros((b, 0, d))
        if self.config.cls_token:
            lead = jnp.broadcast_to(self.cls_time[...][None], (b, 1, d))
        line = jnp.concatenate([lead, frames], axis=1)
        q = lead.shape[1]
        mask = None
        if valid is not None:
            mask = jnp.concatenate([jnp.ones((b, q), bool), valid], axis=1)
        out = self.temporal(line, mask)
        learned = (out - line)[:, q:, None]
        tokens = x[:, p:].reshape(b, t, places, d) + learned
        return out, q, mask, tokens.reshape(b, t * places, d)

    def _pool(self, sequence: jax.Array, prefix: int, mask: jax.Array | None) -> jax.Array:
        if self.config.pool == "cls":
            return sequence[:, 0]
        rest = sequence[:, prefix:]
        if self.config.pool == "attention":
            return self.pool(rest, None if mask is None else mask[:, prefix:])
        return rest.mean(axis=-2) if mask is None else masked_mean(rest, mask[:, prefix:])


def token_mask(frames: jax.Array, tubelet_frames: int) -> jax.Array:
    """Which times have a frame that is there: `[b, t]` to `[b, t / tubelet_frames]`."""
    return frames.reshape(frames.shape[0], -1, tubelet_frames).any(axis=-1)
