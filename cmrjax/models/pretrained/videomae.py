"""Hugging Face VideoMAE (Tong et al. 2022): the encoder, with or without the classifier's norm."""

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.entries import Entry, norm, zeros
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.hf import BLOCKS, VIT, block_entries
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import patch_entries
from cmrjax.models.pretrained.resample import require_grid, resample_positions
from cmrjax.models.pretrained.source import (
    activation_of,
    depth_of,
    heads_of,
    integer,
    is_of,
    pair,
    prefix_of,
    real,
)
from cmrjax.models.video_vit import VideoViTConfig

FREE = ()
# Its positions are computed from the config alone, which must not fill the memory.
_MAX_TOKENS = 2**18
_LAYERS = "encoder.layer."
_PATCH = "embeddings.patch_embeddings.projection"


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    return is_of(weights, ("videomae",), r"attention\.attention\.q_bias$")


def config_from(weights: Weights, options: ImportOptions) -> VideoViTConfig:
    """Our config of the source's network.

    Raises:
        UserError: it has no config.json, without which its fixed positions are unknown.
    """
    if weights.config is None:
        raise UserError(
            "its fixed positions are in no tensor", where=weights.where, fix="add its config.json"
        )
    prefix = prefix_of(weights, _LAYERS)
    width = integer(weights, "hidden_size")
    hidden = integer(weights, "intermediate_size", 4 * width)
    if hidden != 4 * width:
        raise UserError(f"an MLP of {hidden}, not 4 x {width}", where=weights.where)
    frames, rows, columns = _clip(weights)
    tubelet = integer(weights, "tubelet_size", 2)
    if options.tubelet_frames not in (0, tubelet):
        raise UserError(
            f"tubelet_frames = {options.tubelet_frames}, the source has {tubelet}",
            where=weights.where,
        )
    h, w = pair(weights, "patch_size", 16)
    if (frames // tubelet) * (rows // h) * (columns // w) > _MAX_TOKENS:
        clip = f"{frames} x {rows} x {columns}"
        raise UserError(f"clips of {clip}", where=f"{weights.where}: config.json")
    depth = depth_of(weights, prefix + _LAYERS)
    return VideoViTConfig(
        size=(width, depth, heads_of(weights, options)),
        clip=(options.frames or frames, options.size or rows, options.size or columns),
        tubelet=(tubelet, h, w),
        positions="learned",
        pool=options.pool or "mean",
        final_norm=_final_norm(weights),
        activation=activation_of(weights),
        epsilon=real(weights, "layer_norm_eps", 1e-12),
    )


def _clip(weights: Weights) -> tuple[int, int, int]:
    rows, columns = pair(weights, "image_size", 224)
    return integer(weights, "num_frames", 16), rows, columns


def _final_norm(weights: Weights) -> str:
    """Where the last norm is: `use_mean_pooling` moves it into the classifier.

    There its epsilon is torch's 1e-5, and ours that of the blocks: of a vector whose variance is 1,
    that is 5e-6 of every value.
    """
    if (weights.config or {}).get("use_mean_pooling", True) is False:
        return "tokens"
    architectures = (weights.config or {}).get("architectures") or []
    classifies = "VideoMAEForVideoClassification" in architectures
    has = any(key.startswith("fc_norm.") for key in weights.tensors)
    return "pooled" if classifies or has else "none"


def entries(weights: Weights, config: VideoViTConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    prefix, width, depth = prefix_of(weights, _LAYERS), config.width, config.dimensions[1]
    own = tuple(c // s for c, s in zip(_clip(weights), config.tubelet, strict=True))
    grid = (own[0], own[1], own[2])
    require_grid(grid, config.grid, options.positions, where=weights.where)
    moved = "" if grid == config.grid else f", {grid} to {config.grid}, bicubic, linear over time"
    found = [
        *patch_entries(
            weights,
            options,
            key=prefix + _PATCH,
            tubelet=config.tubelet,
            width=width,
            channels=integer(weights, "num_channels", 3),
            frames=config.tubelet[0],
        ),
        Entry(
            path=("position",),
            keys=(),
            convert=lambda: resample_positions(sinusoids(grid, width), grid, config.grid),
            note=f"fixed sinusoids, computed{moved}",
            resampled=bool(moved),
        ),
        *block_entries(
            VIT, prefix + _LAYERS, depth=depth, width=width, hidden=4 * width, qkv_bias=None
        ),
        *(_qkv_bias(weights, f"{prefix}{_LAYERS}{i}.", width, i) for i in range(depth)),
    ]
    if config.final_norm != "none":
        key = f"{prefix}layernorm" if config.final_norm == "tokens" else "fc_norm"
        found += norm(("norm",), key, width)
    return found


def _qkv_bias(weights: Weights, at: str, width: int, i: int) -> Entry:
    path = (*BLOCKS, "attention", "qkv", "bias")
    if (weights.config or {}).get("qv_bias", True) is False:
        return zeros(path, (3 * width,), "no bias in the source", layer=i)
    none = np.zeros(width, np.float32)
    return Entry(
        path=path,
        keys=(f"{at}attention.attention.q_bias", f"{at}attention.attention.v_bias"),
        shapes=((width,), (width,)),
        convert=lambda q, v: np.concatenate([q, none, v]),
        layer=i,
        note="keys have no bias",
    )


def sinusoids(grid: tuple[int, int, int], width: int) -> np.ndarray:
    """VideoMAE's fixed positions: sines and cosines of a token's number (Vaswani et al. 2017).

    Args:
        grid: times, rows and columns; the number runs over all three.
        width: of the tokens.

    Returns:
        float32 `[t * h * w, width]`, sines at even places and cosines at odd ones.
    """
    number = np.arange(np.prod(grid))[:, None]
    place = np.arange(width)
    angle = number / np.power(10000, 2 * (place // 2) / width)
    return np.where(place % 2, np.cos(angle), np.sin(angle)).astype(np.float32)
