"""pytorchvideo's MViT with its default arguments (Fan et al. 2021), as its checkpoints name it."""

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.multiscale import POOL_KERNEL, STAGE_STRIDE, MultiscaleBlockConfig
from cmrjax.models.mvit import PATCH_KERNEL, PATCH_STRIDE, MViTConfig
from cmrjax.models.pretrained.entries import Entry, linear, norm, qkv, same
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.images import square_grid
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import channel_shares, normalisation
from cmrjax.models.pretrained.resample import require_grid, resample_positions
from cmrjax.models.pretrained.source import depth_of, heads_of, is_of, pair, shape_of

# A network of three channels is asked for by its config alone, and so is the classifier.
FREE = ("channels", "classes")

_PATCH = "patch_embed.patch_model"
_POSITIONS = "cls_positional_encoding."
# Arguments that no tensor tells, as a config.json of the reference's own names would give them.
_KV_STRIDE, _Q_STRIDES, _SIZE = "pool_kv_stride_adaptive", "pool_q_stride_size", "spatial_size"


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    return is_of(weights, ("mvit",), rf"^{_POSITIONS}pos_embed_spatial$")


def config_from(weights: Weights, options: ImportOptions) -> MViTConfig:
    """Our config of the source's network, without its classifier.

    Its tensors tell all but the strides. Queries are pooled by `STAGE_STRIDE`; keys and values are
    kept on the last stage's grid, as in every network of the paper, unless config.json says else.

    Raises:
        UserError: it has other strides, or its normalisation is not known or not one number.
    """
    _check_choices(weights, options)
    width = shape_of(weights, f"{_PATCH}.weight", 5)[0]
    depth = depth_of(weights, "blocks.")
    head = shape_of(weights, "blocks.0.attn.pool_k.weight", 5)[0]
    mean, std = _normalisation(weights, options)
    clip = [cells * step for cells, step in zip(_grid(weights), PATCH_STRIDE, strict=True)]
    return MViTConfig(
        size=(width, depth, heads_of(weights, options, known=width // head)),
        stages=tuple(
            i for i in range(depth) if f"blocks.{i}.attn.pool_q.weight" in weights.tensors
        ),
        kv_stride=tuple((weights.config or {}).get(_KV_STRIDE) or ()),
        clip=(options.frames or clip[0], options.size or clip[1], options.size or clip[2]),
        mean=mean,
        std=std,
    )


def _check_choices(weights: Weights, options: ImportOptions) -> None:
    if options.pool not in ("", "cls"):
        raise UserError(f"pool = {options.pool!r}", where=weights.where, fix="its pool is cls")
    if options.tubelet_frames not in (0, PATCH_STRIDE[0]):
        raise UserError(
            f"tubelet_frames = {options.tubelet_frames}, the source has {PATCH_STRIDE[0]}",
            where=weights.where,
        )
    strides = (weights.config or {}).get(_Q_STRIDES) or []
    if wrong := [stride for _, *stride in strides if tuple(stride) != STAGE_STRIDE]:
        raise UserError(
            f"{_Q_STRIDES} of {wrong[0]}, not {STAGE_STRIDE}", where=f"{weights.where}: config.json"
        )


def _grid(weights: Weights) -> tuple[int, int, int]:
    """Times, rows and columns of the source's positions."""
    times = shape_of(weights, f"{_POSITIONS}pos_embed_temporal", 3)[1]
    if _SIZE in (weights.config or {}):
        rows, columns = pair(weights, _SIZE)
        return times, rows // PATCH_STRIDE[1], columns // PATCH_STRIDE[2]
    patches = shape_of(weights, f"{_POSITIONS}pos_embed_spatial", 3)[1]
    return times, *square_grid(weights, patches)


def _normalisation(weights: Weights, options: ImportOptions) -> tuple[float, float]:
    """The mean and std of all channels that count."""
    channels = shape_of(weights, f"{_PATCH}.weight", 5)[1]
    mean, std, origin = normalisation(weights, options, channels)
    counts = channel_shares(options.channels, channels) > 0
    found = {*zip(mean[counts].tolist(), std[counts].tolist(), strict=True)}
    if len(found) > 1:
        # Its patches overlap the border, where the source sees zeros, in each channel another grey.
        raise UserError(
            f"the channels have mean {mean.tolist()} and std {std.tolist()}, not one of each",
            where=f"{weights.where}: {origin}",
            fix="choose channels: red, green or blue",
        )
    return found.pop()


def entries(weights: Weights, config: MViTConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    width = config.dimensions[0]
    found = [_patch_kernel(weights, config, options)]
    found.append(same(("embed", "bias"), f"{_PATCH}.bias", (width,)))
    found += _positions(weights, config, options)
    for i, block in enumerate(config.blocks()):
        found += _block(("blocks", f"{i:02d}"), f"blocks.{i}.", block)
    found += norm(("norm",), "norm_embed", config.width)
    if config.classes:
        found += linear(("head",), "head.proj", config.width, config.classes)
    return found


def _patch_kernel(weights: Weights, config: MViTConfig, options: ImportOptions) -> Entry:
    width = config.dimensions[0]
    channels = shape_of(weights, f"{_PATCH}.weight", 5)[1]
    as_it_is = config.channels == channels
    if as_it_is and channels > 1 and options.channels:
        raise UserError(
            f"channels: {options.channels}, but the network has {channels} channels as the source",
            where=weights.where,
            fix="leave one of the two out",
        )
    if not as_it_is and (config.channels > 1 or not options.channels):
        raise UserError(
            f"the source sees {channels} channels, the network {config.channels}",
            where=weights.where,
            fix="choose channels: sum (what the source says of a grey image), mean, red, green, "
            "blue",
        )
    shares = channel_shares(options.channels, channels)

    def convert(kernel: np.ndarray) -> np.ndarray:
        if not as_it_is:
            kernel = np.tensordot(kernel, shares, axes=(1, 0))[:, None]
        return kernel.transpose(2, 3, 4, 1, 0).reshape(-1, width)

    return Entry(
        path=("embed", "kernel"),
        keys=(f"{_PATCH}.weight",),
        shapes=((width, channels, *PATCH_KERNEL),),
        convert=convert,
        note="" if as_it_is else f"channels: {options.channels}",
    )


def _positions(weights: Weights, config: MViTConfig, options: ImportOptions) -> list[Entry]:
    width = config.dimensions[0]
    (t, h, w), grid = _grid(weights), config.patch_grid
    require_grid((t, h, w), grid, options.positions, where=weights.where)

    def row(path: str, key: str) -> Entry:
        keys = (f"{_POSITIONS}{key}",)
        return Entry(path=(path,), keys=keys, shapes=((1, 1, width),), convert=lambda x: x[0])

    def table(path: str, key: str, one: tuple[int, int, int], other: tuple[int, int, int]) -> Entry:
        moved = f"{one} to {other}, {'linear' if path == 'time' else 'bicubic'}"
        return Entry(
            path=(path,),
            keys=(f"{_POSITIONS}{key}",),
            shapes=((1, one[0] * one[1] * one[2], width),),
            convert=lambda x: resample_positions(x[0], one, other),
            note=moved if one != other else "",
            resampled=one != other,
        )

    return [
        row("cls", "cls_token"),
        row("cls_position", "pos_embed_class"),
        table("time", "pos_embed_temporal", (t, 1, 1), (grid[0], 1, 1)),
        table("space", "pos_embed_spatial", (1, h, w), (1, *grid[1:])),
    ]


def _block(path: tuple[str, ...], at: str, block: MultiscaleBlockConfig) -> list[Entry]:
    width, hidden = block.width, int(block.width * block.mlp_ratio)
    attention = (*path, "attention")
    parts = (f"{at}attn.q", f"{at}attn.k", f"{at}attn.v")
    found = [
        *norm((*path, "norm1"), f"{at}norm1", width),
        *qkv((*attention, "qkv"), parts, width),
        *linear((*attention, "out"), f"{at}attn.proj", width, width),
        *norm((*path, "norm2"), f"{at}norm2", width),
        *linear((*path, "up"), f"{at}mlp.fc1", width, hidden),
        *linear((*path, "down"), f"{at}mlp.fc2", hidden, block.width_out),
    ]
    if block.width_out != width:
        found += linear((*path, "widen"), f"{at}proj", width, block.width_out)
    head = width // block.heads
    for name in "qkv" if block.pools else "kv":
        kernel = Entry(
            path=(*attention, f"pool_{name}", "kernel"),
            keys=(f"{at}attn.pool_{name}.weight",),
            shapes=((head, 1, *POOL_KERNEL),),
            convert=lambda x: np.moveaxis(x[:, 0], 0, -1),
        )
        found += [
            kernel,
            *norm((*attention, f"pool_{name}", "norm"), f"{at}attn.norm_{name}", head),
        ]
    return found
