"""A multiscale vision transformer over a cine (MViT, Fan et al. 2021, arXiv 2104.11227).

The network of pytorchvideo's `create_multiscale_vision_transformers` with its default settings:
many narrow tokens first, then stage by stage a quarter of the tokens at twice the width.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import dense, layer_norm
from cmrjax.models.multiscale import (
    EPSILON,
    STAGE_STRIDE,
    Grid,
    MultiscaleBlock,
    MultiscaleBlockConfig,
    windows,
)
from cmrjax.models.tower import Features

# Variant -> (width and heads of the first block, depth), blocks that start a stage. "B" is
# MViT-B 16x4: 16 frames, every fourth of Kinetics' (Fan et al. 2021, table 2).
VARIANTS = {"B": ((96, 16, 1), (1, 3, 14))}

PATCH_KERNEL: Grid = (3, 7, 7)
PATCH_STRIDE: Grid = (2, 4, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MViTConfig:
    """What the video tower looks like.

    Fields that are left empty are filled in, so that equal networks have equal configs.

    Args:
        variant: one of `VARIANTS`.
        size: own width, depth and heads of the first block; empty takes the variant's.
        stages: blocks that double width and heads and halve rows and columns, ascending; empty
            takes the variant's, or none where `size` is one's own.
        kv_stride: pooling stride of keys and values in the first block; each stage divides it by
            its own. Empty keeps keys and values on the last stage's grid in every block, which is
            (1, 8, 8) in variant B.
        clip: frames, rows and columns of the input.
        channels: 3 feeds the clip three times, for weights that were trained on colours.
        mean: subtracted from pixels (0..1) before the patch embedding, which pads with zeros: a
            mean cannot be folded into its bias, as the border would see another black.
        std: that pixels are then divided by.
        classes: outputs of a linear head on the class token; 0 has none.
        remat: 'full' recomputes each block in the backward pass, 'none' keeps everything. XLA's
            CPU backend recomputes without saving memory.
        implementation: of `jax.nn.dot_product_attention`: 'xla', 'cudnn' (16-bit on GPU alone), or
            empty for its own choice.
        dtype: of matrix products, 'float32' or 'bfloat16'.
    """

    variant: str = "B"
    size: tuple[int, ...] = ()
    stages: tuple[int, ...] = ()
    kv_stride: tuple[int, ...] = ()
    clip: Grid = (16, 224, 224)
    channels: int = 1
    mean: float = 0.5
    std: float = 0.5
    classes: int = 0
    remat: str = "full"
    implementation: str = ""
    dtype: str = "float32"

    def __post_init__(self):
        self._check_choices()
        size, stages = VARIANTS[self.variant]
        if self.size:
            size, stages = self.size, ()
        stages = self.stages or stages
        if len(size) != 3 or min(size) < 1 or size[0] % size[2]:
            _refuse(f"size = {size}", fix="give width, depth and heads; heads divide width")
        last = size[1] - 1
        if [*stages] != sorted({*stages} & {*range(1, last + 1)}):
            _refuse(f"stages = {stages}", fix=f"give blocks of 1..{last}, ascending")
        scales = [step ** len(stages) for step in STAGE_STRIDE]
        kv_stride = self.kv_stride or tuple(scales)
        if len(kv_stride) != 3 or min(kv_stride) < 1:
            _refuse(f"kv_stride = {kv_stride}", fix="give time, rows, columns")
        for key, value in {"size": size, "stages": stages, "kv_stride": kv_stride}.items():
            object.__setattr__(self, key, value)
        units = [step * scale for step, scale in zip(PATCH_STRIDE, scales, strict=True)]
        if any(n % unit for n, unit in zip(self.clip, units, strict=True)):
            _refuse(
                f"clip = {self.clip}", fix=f"give frames, rows, columns in multiples of {units}"
            )

    def _check_choices(self) -> None:
        for key, values in {
            "variant": tuple(VARIANTS),
            "channels": (1, 3),
            "remat": ("none", "full"),
            "implementation": ("", "xla", "cudnn"),
            "dtype": ("float32", "bfloat16"),
        }.items():
            if getattr(self, key) not in values:
                _refuse(f"{key} = {getattr(self, key)!r}", fix=f"use one of {values}")
        if self.std <= 0:
            _refuse(f"std = {self.std}", fix="give a positive number")
        if self.classes < 0:
            _refuse(f"classes = {self.classes}", fix="give 0 or more")

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Width, depth and heads of the first block."""
        width, depth, heads = self.size
        return width, depth, heads

    @property
    def patch_grid(self) -> Grid:
        """Tokens along time, rows and columns that enter the first block."""
        t, h, w = (n // k for n, k in zip(self.clip, PATCH_STRIDE, strict=True))
        return t, h, w

    def blocks(self) -> list[MultiscaleBlockConfig]:
        """What each block looks like, first to last."""
        width, depth, heads = self.dimensions
        grid, (kt, kh, kw) = self.patch_grid, self.kv_stride
        found = []
        for i in range(depth):
            if pools := i in self.stages:
                width, heads = 2 * width, 2 * heads
                kt, kh, kw = (
                    max(k // s, 1) for k, s in zip((kt, kh, kw), STAGE_STRIDE, strict=True)
                )
            block = MultiscaleBlockConfig(
                grid=grid,
                width=width,
                # The widening for a stage happens in the MLP of the block before it.
                width_out=2 * width if i + 1 in self.stages else width,
                heads=heads,
                pools=pools,
                kv_stride=(kt, kh, kw),
                implementation=self.implementation,
                dtype=self.dtype,
            )
            found.append(block)
            grid = block.grid_out
        return found

    @property
    def grid(self) -> Grid:
        """Tokens along time, rows and columns that leave the last block."""
        return self.blocks()[-1].grid_out

    @property
    def width(self) -> int:
        """Width of the tokens that leave the last block."""
        return self.blocks()[-1].width_out


def _refuse(what: str, *, fix: str):
    raise UserError(what, where="config.model", fix=fix)


class MViT(nnx.Module):
    """Overlapping patches, separable positions, a class token and blocks of pooling attention."""

    def __init__(self, config: MViTConfig, *, rngs: nnx.Rngs):
        blocks = config.blocks()
        width, dtype = blocks[0].width, jnp.dtype(config.dtype)
        t, h, w = config.patch_grid
        pixels = math.prod(PATCH_KERNEL) * config.channels
        self.config = config
        # One row of the kernel a pixel of the window: frame, row, column, channel.
        self.embed = dense(pixels, width, ("patch", "embed"), rngs=rngs, dtype=dtype)
        position = nnx.with_partitioning(nnx.initializers.normal(0.02), ("position", "embed"))
        self.cls = nnx.Param(position(rngs.params(), (1, width)))
        self.cls_position = nnx.Param(position(rngs.params(), (1, width)))
        self.time = nnx.Param(position(rngs.params(), (t, width)))
        self.space = nnx.Param(position(rngs.params(), (h * w, width)))
        # Names of two digits keep parameter trees, which sort their keys, in the blocks' order.
        self.blocks = nnx.Dict(
            {f"{i:02d}": MultiscaleBlock(block, rngs=rngs) for i, block in enumerate(blocks)}
        )
        self.norm = layer_norm(config.width, EPSILON, rngs=rngs)
        if config.classes:
            names = ("embed", "classes")
            self.head = dense(config.width, config.classes, names, rngs=rngs, dtype=dtype)

    def _patches(self, video: jax.Array) -> jax.Array:
        """Patch tokens `[b, n, d]` of a video `[b, t, h, w, c]`."""
        # Each window as a row, then one matrix product: the strided convolution that this is takes
        # XLA's CPU backend two to four times as long, most of it in the kernel's gradient.
        pixels = windows(video, PATCH_KERNEL, PATCH_STRIDE)
        return self.embed(pixels.reshape(video.shape[0], math.prod(self.config.patch_grid), -1))

    def layers(self, video: jax.Array) -> list[jax.Array]:
        """The tokens that leave each block.

        Args:
            video: `[b, t, h, w, c]`, normalised as `normalise` does.

        Returns:
            One `[b, 1 + n, d]` a block, class token first, of its `grid_out`.
        """
        x = self._patches(video)
        b, _, d = x.shape
        x = x + (self.time[...][:, None] + self.space[...][None]).reshape(1, -1, d)
        cls = jnp.broadcast_to(self.cls[...] + self.cls_position[...], (b, 1, d))
        x = jnp.concatenate([cls, x], axis=1)
        found = []
        for _, block in sorted(self.blocks.items()):
            if self.config.remat == "full":
                graph, state = nnx.split(block)
                run = jax.checkpoint(lambda state, x, graph=graph: nnx.merge(graph, state)(x))
                x = run(state, x)
            else:
                x = block(x)
            found.append(x)
        return found

    def encode(self, video: jax.Array) -> jax.Array:
        """Normed tokens `[b, 1 + n, d]`, class token first, of a normalised `[b, t, h, w, c]`."""
        return self.norm(self.layers(video)[-1])

    def logits(self, video: jax.Array) -> jax.Array:
        """Class logits `[b, k]` of a normalised video `[b, t, h, w, c]`; needs `classes`."""
        return self.head(self.encode(video)[:, 0])

    def normalise(self, clips: jax.Array) -> jax.Array:
        """The network's own input `[b, t, h, w, c]` of clips `[b, t, h, w]`, values 0..1."""
        video = ((clips - self.config.mean) / self.config.std)[..., None]
        return jnp.broadcast_to(video, (*clips.shape, self.config.channels))

    def features(self, clips: jax.Array, frames: jax.Array | None = None) -> Features:
        """Encodes clips.

        Args:
            clips: `[b, t, h, w]`, values 0..1.
            frames: None. Pooling mixes neighbouring frames before any attention could mask one.

        Returns:
            The class token after the last norm `[b, d]`, and the last patch tokens `[b, n, d]`.

        Raises:
            UserError: a mask of frames is given.
            ValueError: the clips do not have the model's shape.
        """
        if frames is not None:
            raise UserError(
                "MViT takes clips of one length, not padded ones",
                where="config.model",
                fix="sample a fixed number of frames, or take the family 'vit'",
            )
        if clips.shape[1:] != self.config.clip:
            raise ValueError(f"clips are {clips.shape[1:]}, the model takes {self.config.clip}")
        x = self.encode(self.normalise(clips))
        return Features(x[:, 0], x[:, 1:])

    def __call__(self, clips: jax.Array, frames: jax.Array | None = None) -> jax.Array:
        """Encodes clips `[b, t, h, w]` into one vector each, `[b, d]`; see `features`."""
        return self.features(clips, frames).pooled
