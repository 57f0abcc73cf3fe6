"""Hugging Face ViT (Dosovitskiy et al. 2021): `google/vit-base-patch16-224` and its like."""

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained import images
from cmrjax.models.pretrained.entries import Entry, norm
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.hf import VIT, block_entries
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import patch_entries
from cmrjax.models.pretrained.source import (
    activation_of,
    depth_of,
    heads_of,
    integer,
    is_of,
    prefix_of,
    real,
)
from cmrjax.models.video_vit import VideoViTConfig

FREE = images.FREE
_LAYERS = "encoder.layer."
_PATCH = "embeddings.patch_embeddings.projection"
_TABLE = "embeddings.position_embeddings"


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    return is_of(weights, ("vit",), r"layernorm_before\.") and not any(
        key.endswith(".q_bias") for key in weights.tensors
    )


def config_from(weights: Weights, options: ImportOptions) -> VideoViTConfig:
    """Our config of the source's network."""
    prefix = prefix_of(weights, _LAYERS)
    sizes = _sizes(weights)
    hidden = integer(weights, "intermediate_size", 4 * sizes.width)
    if hidden != 4 * sizes.width:
        raise UserError(f"an MLP of {hidden}, not 4 x {sizes.width}", where=weights.where)
    depth = depth_of(weights, prefix + _LAYERS)
    clip, tubelet = images.image_clip(sizes, options)
    return VideoViTConfig(
        size=(sizes.width, depth, heads_of(weights, options)),
        clip=clip,
        tubelet=tubelet,
        cls_token=True,
        pool=options.pool or "cls",
        activation=activation_of(weights),
        epsilon=real(weights, "layer_norm_eps", 1e-12),
    )


def entries(weights: Weights, config: VideoViTConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    prefix, sizes = prefix_of(weights, _LAYERS), _sizes(weights)
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
            tokens=(("cls", f"{prefix}embeddings.cls_token", 1, True),),
            grid=sizes.grid,
            antialias=False,
        ),
        *block_entries(
            VIT,
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
