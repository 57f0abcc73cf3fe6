"""What the image transformers have in common: positions of one frame, a class token, registers."""

import dataclasses
from collections.abc import Callable

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.entries import Entry, zeros
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.resample import Grid, require_grid, resample_positions
from cmrjax.models.pretrained.source import integer, pair, shape_of
from cmrjax.models.video_vit import VideoViTConfig

# Of an image network every form over time is as good as another, and so is the number of frames.
FREE = ("tubelet_frames", "attention", "temporal_depth", "positions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSizes:
    """What a patch embedding of images is like.

    Args:
        width: of the tokens.
        channels: of the images.
        patch: rows and columns of a patch.
        grid: rows and columns of the patches that the positions are of.
    """

    width: int
    channels: int
    patch: tuple[int, int]
    grid: tuple[int, int]


def image_sizes(weights: Weights, *, patch: str, table: str) -> ImageSizes:
    """The sizes by config.json, or by the tensors where it does not say.

    Args:
        weights: a Hugging Face network of square images with a class token.
        patch: key of the patch convolution's kernel.
        table: key of the positions.
    """
    known = (weights.config or {}).keys() >= {"hidden_size", "patch_size", "num_channels"}
    shape = (0, 0, 0, 0) if known else shape_of(weights, patch, 4)
    width = integer(weights, "hidden_size", shape[0])
    h, w = pair(weights, "patch_size", shape[2])
    if "image_size" in (weights.config or {}):
        rows, columns = pair(weights, "image_size")
        grid = (rows // h, columns // w)
    else:
        grid = square_grid(weights, shape_of(weights, table, 3)[1] - 1)
    channels = integer(weights, "num_channels", shape[1])
    return ImageSizes(width=width, channels=channels, patch=(h, w), grid=grid)


def image_clip(sizes: ImageSizes, options: ImportOptions) -> tuple[Grid, Grid]:
    """`clip` and `tubelet` of our config: `frames`, `size` and `tubelet_frames`, or one image."""
    tubelet = options.tubelet_frames or 1
    h, w = (
        options.size or cells * pixels
        for cells, pixels in zip(sizes.grid, sizes.patch, strict=True)
    )
    return (options.frames or tubelet, h, w), (tubelet, *sizes.patch)


def position_entries(
    weights: Weights,
    config: VideoViTConfig,
    options: ImportOptions,
    *,
    key: str,
    tokens: tuple[tuple[str, str, int, bool], ...],
    grid: tuple[int, int],
    antialias: bool,
) -> list[Entry]:
    """Entries of the positions, and of the tokens before the patches with theirs folded in.

    Args:
        weights: the source.
        config: ours.
        options: `positions`.
        key: of the source's table `[1, tokens + patches, d]`.
        tokens: our parameter, the source's key, how many and whether the table has rows for them,
            of each kind of token before the patches, in the table's order.
        grid: rows and columns of the source's patches.
        antialias: how the source resizes its table.
    """
    width = config.width
    t, h, w = config.grid
    rows = sum(count for _, _, count, placed in tokens if placed)
    shape = (1, rows + grid[0] * grid[1], width)
    require_grid((1, *grid), (1, h, w), options.positions, where=weights.where)
    entries, first = [], 0
    for name, token, count, placed in tokens:
        entries.append(_token_entry(name, token, count, width, key, shape, first if placed else -1))
        first += count if placed else 0

    def space(table: np.ndarray) -> np.ndarray:
        return resample_positions(table[0, rows:], (1, *grid), (1, h, w), antialias=antialias)

    moved = grid != (h, w)
    note = f"{grid[0]} x {grid[1]} to {h} x {w}, bicubic" if moved else ""

    def entry(name: str, convert: Callable[..., np.ndarray]) -> Entry:
        return Entry(
            path=(name,), keys=(key,), shapes=(shape,), convert=convert, note=note, resampled=moved
        )

    if config.positions == "learned":
        return [*entries, entry("position", lambda x: np.tile(space(x), (t, 1)))]
    still = zeros(("time",), (t, width), "an image network knows no time")
    return [*entries, entry("space", space), still]


def _token_entry(
    name: str, token: str, count: int, width: int, key: str, table: tuple[int, ...], row: int
) -> Entry:
    """A class token or registers; `row` is their first in the table, -1 without one."""
    if row < 0:
        return Entry(
            path=(name,), keys=(token,), shapes=((1, count, width),), convert=lambda x: x[0]
        )
    return Entry(
        path=(name,),
        keys=(token, key),
        shapes=((1, count, width), table),
        convert=lambda x, positions: x[0] + positions[0, row : row + count],
        note="its position added",
    )


def square_grid(weights: Weights, patches: int) -> tuple[int, int]:
    """Rows and columns of a table whose image is known to be square.

    Raises:
        UserError: it is not a square number.
    """
    side = round(patches**0.5)
    if side * side != patches:
        raise UserError(
            f"positions for {patches} patches are no square",
            where=weights.where,
            fix="put its config.json there",
        )
    return side, side
