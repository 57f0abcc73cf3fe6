"""Cines as animated images inside the page."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from cmrjax.data.contract import VIEWS
from cmrjax.data.records import RecordSource, Study
from cmrjax.evals.overlays import animation

MAX_FRAMES = 24
# (side in pixels, WebP quality), tried in this order until all cines fit.
QUALITIES = ((96, 62), (72, 50), (56, 40), (40, 25))
# What a page shows first of a study: where most of the heart is seen.
_PREFERRED = ("4ch", "sax", "2ch", "3ch", "lvot", "unknown")


def as_grey(stored: np.ndarray) -> np.ndarray:
    """Stored pixels as the 256 greys of a picture."""
    return stored if stored.dtype == np.uint8 else np.rint(stored / 257).astype(np.uint8)


def encode_cine(cine: np.ndarray, *, side: int, quality: int) -> bytes:
    """An endlessly repeating WebP of one cardiac cycle.

    Args:
        cine: uint8 or uint16 `[t, h, w]`.
        side: longest rows and columns of the result; smaller cines keep their size.
        quality: of WebP, 0..100.
    """
    if len(cine) > MAX_FRAMES:
        cine = cine[np.linspace(0, len(cine), MAX_FRAMES, endpoint=False).astype(int)]
    frames = [Image.fromarray(frame) for frame in as_grey(cine)]
    if max(frames[0].size) > side:
        frames = [frame.resize((side, side), Image.Resampling.LANCZOS) for frame in frames]
    return animation(frames, quality=quality)


def data_uri(content: bytes, kind: str) -> str:
    """A `data:` address of some bytes."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def encode_all(source: RecordSource, uses: Mapping[int, int], *, budget: int) -> dict[int, str]:
    """The cines of some rows as data addresses that together stay within a budget.

    Args:
        source: the dataset.
        uses: row of the index -> how many times the page shows it.
        budget: characters that all uses may take.

    Returns:
        Row -> address. Past the lowest quality, cines that no longer fit are left out.
    """
    images: dict[int, str] = {}
    for side, quality in QUALITIES:
        images = {}
        for row in uses:
            cine = source.decode(source.payload(row))["cine"]
            images[row] = data_uri(encode_cine(cine, side=side, quality=quality), "image/webp")
        if sum(len(images[row]) * n for row, n in uses.items()) <= budget:
            return images
    left, kept = budget, {}
    for row, n in uses.items():
        left -= len(images[row]) * n
        if left >= 0:
            kept[row] = images[row]
    return kept


def representative(study: Study, *, limit: int) -> list[tuple[int, str]]:
    """Rows of the index and views that stand for a study.

    The middle slice of each view; where there are fewer views than asked for, further slices of
    the view that has most of them.
    """
    views = [view for view in _PREFERRED if view in study.views]
    chosen = [(_middle(study, view), view) for view in views][:limit]
    most = max(views, key=study.views.count)
    slices = _rows_of(study, most)
    for row in slices[len(slices) // 4 :]:
        if len(chosen) < limit and (row, most) not in chosen:
            chosen.append((row, most))
    return chosen


def _rows_of(study: Study, view: str) -> list[int]:
    return [row for row, v in zip(study.rows, study.views, strict=True) if v == view]


def _middle(study: Study, view: str) -> int:
    rows = _rows_of(study, view)
    return rows[len(rows) // 2]


def contact_sheet(members: Sequence[Study], *, per_view: int) -> list[tuple[int, str]]:
    """Rows of the index and views, evenly spread over the studies, the same number of each view."""
    sheet = []
    for view in VIEWS:
        of_view = [s for s in members if view in s.views]
        rows = [_middle(s, view) for s in of_view]
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(per_view, len(rows))).astype(int))
        sheet += [(rows[i], view) for i in chosen]
    return sheet
