"""timm's VisionTransformer (Wightman 2019), which is also how DINO and DeiT name their tensors."""

import dataclasses
import re
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained import images
from cmrjax.models.pretrained.entries import Entry, linear, norm, same, zeros
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.hf import BLOCKS
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import patch_entries
from cmrjax.models.pretrained.source import depth_of, heads_of, shape_of, whole
from cmrjax.models.video_vit import VideoViTConfig

FREE = images.FREE

# Width -> heads of the named sizes whose blocks are ours; of the others heads must be given.
HEADS = {"tiny": (192, 3), "small": (384, 6), "base": (768, 12), "large": (1024, 16)}
HEADS |= {"huge": (1280, 16)}
# Parts of names whose networks may have another activation, which no tensor tells.
_OTHERS = ("clip", "siglip", "so400m", "giantopt", "_xp_", "radio")


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    known = "model_type" not in (weights.config or {})
    return known and any(re.search(r"^blocks\.\d+\.attn\.qkv\.", key) for key in weights.tensors)


def config_from(weights: Weights, options: ImportOptions) -> VideoViTConfig:
    """Our config of the source's network."""
    width = shape_of(weights, "patch_embed.proj.weight", 4)[0]
    architecture = (weights.config or {}).get("architecture", "")
    if wrong := [word for word in _OTHERS if word in architecture]:
        raise UserError(f"no {wrong[0]} network can be read", where=f"{weights.where}: config.json")
    if _argument(weights, "mlp_ratio") not in (None, 4):
        raise UserError("an MLP of another width than 4 x the tokens'", where=weights.where)
    depth = depth_of(weights, "blocks.", _argument(weights, "depth"))
    prefix = _prefix(weights)
    pooled = any(key.startswith("fc_norm.") for key in weights.tensors)
    mean = pooled or _argument(weights, "global_pool") == "avg"
    clip, tubelet = images.image_clip(_sizes(weights, prefix), options)
    return VideoViTConfig(
        size=(width, depth, _heads(weights, options, architecture, width)),
        clip=clip,
        tubelet=tubelet,
        cls_token="cls" in prefix.tokens,
        registers=prefix.registers,
        pool=options.pool or ("mean" if mean else "cls"),
        final_norm="pooled" if pooled else "tokens",
        layer_scale=any(key.endswith(".ls1.gamma") for key in weights.tensors),
        activation="gelu",
        epsilon=1e-6,
    )


def entries(weights: Weights, config: VideoViTConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    prefix, width = _prefix(weights), config.width
    sizes = _sizes(weights, prefix)
    found = [
        *patch_entries(
            weights,
            options,
            key="patch_embed.proj",
            tubelet=config.tubelet,
            width=width,
            channels=sizes.channels,
        ),
        *images.position_entries(
            weights,
            config,
            options,
            key="pos_embed",
            tokens=tuple(
                (name, key, count, prefix.placed) for name, (key, count) in prefix.tokens.items()
            ),
            grid=sizes.grid,
            antialias=True,
        ),
        *norm(("norm",), "fc_norm" if config.final_norm == "pooled" else "norm", width),
    ]
    for i in range(config.dimensions[1]):
        found += _block(f"blocks.{i}.", i, config, _argument(weights, "qkv_bias") is not False)
    return found


def _block(at: str, i: int, config: VideoViTConfig, bias: bool) -> list[Entry]:
    width = config.width
    path = (*BLOCKS, "attention", "qkv")
    kernel, with_bias = linear(path, f"{at}attn.qkv", width, 3 * width, layer=i)
    without = zeros((*path, "bias"), (3 * width,), "no bias in the source", layer=i)
    found = [
        kernel,
        with_bias if bias else without,
        *linear((*BLOCKS, "attention", "out"), f"{at}attn.proj", width, width, layer=i),
        *linear((*BLOCKS, "up"), f"{at}mlp.fc1", width, 4 * width, layer=i),
        *linear((*BLOCKS, "down"), f"{at}mlp.fc2", 4 * width, width, layer=i),
        *norm((*BLOCKS, "norm1"), f"{at}norm1", width, layer=i),
        *norm((*BLOCKS, "norm2"), f"{at}norm2", width, layer=i),
    ]
    if config.layer_scale:
        for ours, theirs in (("scale1", "ls1.gamma"), ("scale2", "ls2.gamma")):
            found.append(same((*BLOCKS, ours), at + theirs, (width,), layer=i))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Prefix:
    """The tokens before the patches: our name -> key and how many; whether they have positions."""

    tokens: dict[str, tuple[str, int]]
    placed: bool
    patches: int

    @property
    def registers(self) -> int:
        return self.tokens.get("registers", ("", 0))[1]


def _prefix(weights: Weights) -> _Prefix:
    tokens: dict[str, tuple[str, int]] = {}
    rows = shape_of(weights, "pos_embed", 3)[1]
    if "cls_token" in weights.tensors or not _is_square(rows):
        tokens["cls"] = ("cls_token", 1)
    if "reg_token" in weights.tensors:
        tokens["registers"] = ("reg_token", shape_of(weights, "reg_token", 3)[1])
    count = sum(n for _, n in tokens.values())
    # Where the config does not say it: the patches are a square, or the whole table is.
    unplaced = _argument(weights, "no_embed_class")
    placed = not unplaced if isinstance(unplaced, bool) else _is_square(rows - count)
    return _Prefix(tokens=tokens, placed=placed, patches=rows - (count if placed else 0))


def _sizes(weights: Weights, prefix: _Prefix) -> images.ImageSizes:
    width, channels, h, w = shape_of(weights, "patch_embed.proj.weight", 4)
    size = _argument(weights, "img_size") or (_cfg(weights).get("input_size") or [0, 0, 0])[1:]
    size = [size, size] if isinstance(size, int) else list(size)
    grid = (size[0] // h, size[1] // w)
    if grid[0] * grid[1] != prefix.patches:
        grid = images.square_grid(weights, prefix.patches)
    return images.ImageSizes(width=width, channels=channels, patch=(h, w), grid=grid)


def _heads(weights: Weights, options: ImportOptions, architecture: str, width: int) -> int:
    known = whole(weights, "num_heads", _argument(weights, "num_heads") or 0, least=0)
    named = re.match(r"(?:vit|deit3?)_(\w+?)_patch\d", architecture)
    if not known and named and HEADS.get(named.group(1), (0, 0))[0] == width:
        known = HEADS[named.group(1)][1]
    return heads_of(weights, options, known=known)


def _argument(weights: Weights, name: str) -> Any:
    """What timm's config.json says of one argument of the network; None where it says nothing."""
    config = weights.config or {}
    return (config.get("model_args") or {}).get(name, config.get(name))


def _cfg(weights: Weights) -> dict[str, Any]:
    return (weights.config or {}).get("pretrained_cfg") or {}


def _is_square(n: int) -> bool:
    return n >= 0 and round(n**0.5) ** 2 == n
