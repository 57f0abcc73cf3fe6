"""The overlays that the attention evaluator drew, made small enough for a page."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cmrjax.evals.base import RESULTS
from cmrjax.reporting.cines import data_uri

MAX_SHOWN = 8
_WIDTH, _QUALITY = 1000, 78  # of a sheet on the page; the evaluator's own PNG stays as it is
_NAME = re.compile(r"(?P<study>[0-9a-f]{8})[0-9a-f]*_(?P<view>[0-9a-z]+)\.png")


@dataclass(frozen=True)
class SeenCine:
    """One cine with the maps of a model over it.

    Args:
        name: first characters of the study's hashed id.
        view: of the cine.
        step: of the checkpoint.
        moving: address of the moving overlay.
        sheet: address of the sheet.
    """

    name: str
    view: str
    step: int
    moving: str
    sheet: str


def seen_cines(workdir: Path) -> list[SeenCine]:
    """What the newest step of each attention evaluation drew, at most `MAX_SHOWN`."""
    found = []
    for evaluator in sorted((workdir / "evals").glob("attention*")):
        steps = [p for p in evaluator.iterdir() if p.name.isdigit() and (p / RESULTS).is_file()]
        if steps:
            folder = max(steps, key=lambda p: int(p.name))
            found += [s for path in sorted(folder.glob("*.png")) if (s := _seen(path))]
    return found[:MAX_SHOWN]


def _seen(sheet: Path) -> SeenCine | None:
    """A sheet with its moving overlay, or None where it is not one of the evaluator's."""
    moving = sheet.with_suffix(".webp")
    match = _NAME.fullmatch(sheet.name)
    if match is None or not moving.is_file():
        return None
    return SeenCine(
        name=match["study"],
        view=match["view"],
        step=int(sheet.parent.name),
        moving=data_uri(moving.read_bytes(), "image/webp"),
        sheet=data_uri(_smaller(sheet), "image/webp"),
    )


def _smaller(path: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        rgb.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
        rgb.save(out, "WEBP", quality=_QUALITY, method=4)
    return out.getvalue()
