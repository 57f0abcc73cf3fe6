"""Hugging Face DINOv2 (Oquab et al. 2024), also with registers (Darcet et al. 2024)."""

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained import images
from cmrjax.models.pretrained.entries import Entry, norm
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.hf import DINOV2, block_entries
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import patch_entries
from cmrjax.models.pretrained.source import (
    activation_of,
    depth_of,
    heads_of,
    is_of,
    prefix_of,
    real,
    whole,
)
from cmrjax.models.video_vit import VideoViTConfig

FREE = images.FREE
_LAYERS = "encoder.layer."
_PATCH = "embeddings.patch_embeddings.projection"
_TABLE = "embeddings.position_embeddings"
_REGISTERS = "embeddings.register_tokens"


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    return is_of(weights, ("dinov2", "dinov2_with_registers"), r"layer_scale[12]\.lambda1")


def config_from(weights: Weights, options: ImportOptions) -> VideoViTConfig:
    """Our config of the source's network."""
    prefix, config = prefix_of(weights, _LAYERS), weights.config or {}
    if config.get("use_swiglu_ffn") or any(".mlp.weights_in." in key for key in weights.tensors):
        raise UserError("its MLP is gated (SwiGLU), which we do not have", where=weights.where)
    sizes = _sizes(weights)
    if real(weights, "mlp_ratio", 4) != 4:
        raise UserError(f"an MLP of {config['mlp_ratio']} x the width, not 4", where=weights.where)
    depth = depth_of(weights, prefix + _LAYERS)
    table = weights.tensors.get(prefix + _REGISTERS)
    held = 0 if table is None else table.shape[1]
    registers = config.get("num_register_tokens", held)
    clip, tubelet = images.image_clip(sizes, options)
    return VideoViTConfig(
        size=(sizes.width, depth, heads_of(weights, options)),
        clip=clip,
        tubelet=tubelet,
        cls_token=True,
        registers=whole(weights, "num_register_tokens", registers, least=0),
        pool=options.pool or "cls",
        layer_scale=True,
        activation=activation_of(weights),
        epsilon=real(weights, "layer_norm_eps", 1e-6),
    )


def entries(weights: Weights, config: VideoViTConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    prefix, sizes = prefix_of(weights, _LAYERS), _sizes(weights)
    tokens = [("cls", f"{prefix}embeddings.cls_token", 1, True)]
    if config.registers:
        tokens.append(("registers", prefix + _REGISTERS, config.registers, False))
    return [
        *patch_entries(
            weights,
            options,
            key=prefix + _PATCH,
            tubelet=config.tubelet,
            width=config.width,
            channels=sizes.channels,
        ),
        *images.position_entries(
            weights,
            config,
            options,
            key=prefix + _TABLE,
            tokens=tuple(tokens),
            grid=sizes.grid,
            # transformers antialiases in the one with registers alone.
            antialias=bool(config.registers),
        ),
        *block_entries(
            DINOV2,
            prefix + _LAYERS,
            depth=config.dimensions[1],
            width=config.width,
            hidden=4 * config.width,
            qkv_bias=(weights.config or {}).get("qkv_bias", True) is not False,
        ),
        *norm(("norm",), f"{prefix}layernorm", config.width),
    ]


def _sizes(weights: Weights) -> images.ImageSizes:
    prefix = prefix_of(weights, _LAYERS)
    return images.image_sizes(weights, patch=f"{prefix}{_PATCH}.weight", table=prefix + _TABLE)
