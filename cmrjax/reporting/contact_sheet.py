"""Pictures of some cines of each view, with the contours of their masks where frames have them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cmrjax.data.contract import VIEWS
from cmrjax.data.masks import CLASSES, INFARCT, LV, MYOCARDIUM, NO_REFLOW, RV, RV_WALL
from cmrjax.data.records import RecordSource, Study, studies
from cmrjax.reporting.cines import as_grey

# Told apart by their lightness, too, for those who see fewer colours.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "rv": (80, 150, 255),
    "myocardium": (110, 230, 120),
    "lv": (255, 95, 80),
    "infarct": (255, 225, 70),
    "no_reflow": (235, 130, 255),
    "rv_wall": (70, 225, 235),
}
# What lies within a wall belongs to its outline: of a border that two share one line is enough.
_WITHIN = {MYOCARDIUM: (LV, INFARCT, NO_REFLOW), RV_WALL: (RV,)}
CINES, PER_ROW = 12, 4  # shown of a view, and of a stack
# Pixels of a frame, at least, of the line above it and its letters, between cines.
_SIDE, _TEXT, _FONT, _GAP = 144, 22, 16, 4
_INK = (205, 210, 215)
_MID_CYCLE = 0.4  # of the cycle; the heart is small then


@dataclass(frozen=True)
class ViewSheet:
    """The picture of one view.

    Args:
        view: the view.
        picture: a row a study, or several studies a row where each has one or two cines.
        shown: how many cines it shows.
        contoured: how many of them have a contour.
        classes: the classes that are outlined, in the vocabulary's order.
    """

    view: str
    picture: Image.Image
    shown: int
    contoured: int
    classes: tuple[str, ...]


def sheets(source: RecordSource) -> list[ViewSheet]:
    """A picture of each view that a dataset has; the same dataset gives the same ones."""
    grouped = studies(source.index)
    chosen = ((view, _chosen(grouped, view)) for view in VIEWS)
    return [_sheet(source, view, lines) for view, lines in chosen if lines]


def joined(parts: Sequence[ViewSheet]) -> Image.Image:
    """All views in one picture, one below the other."""
    width = max(part.picture.width for part in parts)
    out = Image.new("RGB", (width, sum(part.picture.height for part in parts)))
    y = 0
    for part in parts:
        out.paste(part.picture, (0, y))
        y += part.picture.height
    return out


def _chosen(grouped: Sequence[Study], view: str) -> list[list[int]]:
    """Rows of the index, those of a line of the picture together.

    Studies are spread evenly over the dataset, slices over their stack.
    """
    of_view = [
        [r for r, v in zip(s.rows, s.views, strict=True) if v == view]
        for s in grouped
        if view in s.views
    ]
    each = min(PER_ROW, max(map(len, of_view), default=0))
    if not each:
        return []
    lines = [_spread(rows, each) for rows in _spread(of_view, max(1, CINES // each))]
    beside = PER_ROW // each
    return [list(chain(*lines[i : i + beside])) for i in range(0, len(lines), beside)]


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Some items, evenly spread, none of them at an end if it can be helped."""
    count = min(count, len(items))
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]


def _sheet(source: RecordSource, view: str, lines: Sequence[Sequence[int]]) -> ViewSheet:
    zoom = max(1, math.ceil(_SIDE / source.contract.size))
    side = zoom * source.contract.size
    wide, high = 2 * side + _GAP, side + _TEXT
    picture = Image.new("RGB", (PER_ROW * wide - _GAP, len(lines) * high))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT)
    contoured, classes = 0, set()
    for y, line in enumerate(lines):
        for x, row in enumerate(line):
            record = source.decode(source.payload(row))
            frames, drawn = _frames(record)
            contoured += drawn
            for i, frame in enumerate(frames):
                tile, found = _tile(record, frame, zoom)
                classes |= found
                at = (x * wide + i * side, y * high)
                picture.paste(tile, (at[0], at[1] + _TEXT))
                draw.text((at[0] + 3, at[1] + 1), _caption(record, frame), fill=_INK, font=font)
    return ViewSheet(
        view, picture, sum(map(len, lines)), contoured, tuple(c for c in CLASSES if c in classes)
    )


def _caption(record: Mapping[str, Any], frame: int) -> str:
    number = f" {record['slice_index'] + 1}" if record["gap_mm"] else ""
    return f"{record['view']}{number}, frame {frame + 1}/{len(record['cine'])}"


def _frames(record: Mapping[str, Any]) -> tuple[list[int], bool]:
    """The frames shown of a cine: the first and the last that have a mask, or two of the cycle."""
    count = len(record["cine"])
    drawn = np.flatnonzero(record["mask_frames"]) if "mask_frames" in record else np.array([], int)
    if len(drawn):
        return sorted({int(drawn[0]), int(drawn[-1])}), True
    return sorted({0, math.ceil(count * _MID_CYCLE) % count}), False


def _tile(record: Mapping[str, Any], frame: int, zoom: int) -> tuple[Image.Image, set[str]]:
    """An enlarged frame with the outlines of its mask, and the classes outlined."""
    still = Image.fromarray(as_grey(record["cine"][frame]))
    size = (still.width * zoom, still.height * zoom)
    pixels = np.array(still.resize(size, Image.Resampling.BICUBIC).convert("RGB"))
    found = set()
    if "mask" in record and record["mask_frames"][frame]:
        for label, name in enumerate(CLASSES[1:], 1):
            if (record["mask"][frame] == label).any():
                inside = np.isin(record["mask"][frame], (label, *_WITHIN.get(label, ())))
                pixels[_outline(inside, size)] = COLOURS[name]
                found.add(name)
    return Image.fromarray(pixels), found


def _outline(inside: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inner edge, one pixel wide, of a class enlarged: smooth where the mask had steps."""
    shares = Image.fromarray(inside.astype(np.uint8) * 255).resize(size, Image.Resampling.BICUBIC)
    large = np.pad(np.asarray(shares) > 127, 1)
    core = large[:-2, 1:-1] & large[2:, 1:-1] & large[1:-1, :-2] & large[1:-1, 2:]
    return large[1:-1, 1:-1] & ~core
