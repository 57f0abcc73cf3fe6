"""A contact sheet: what a phantom population looks like, for the eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cmrjax.data.phantom.findings import Truth
from cmrjax.data.phantom.motion import end_systole_fraction
from cmrjax.data.phantom.render import Cine, Study, render_study
from cmrjax.data.phantom.scanner import Profile

TILE, CAPTION, COLUMNS = 144, 16, 8


def contact_sheet(truths: Sequence[Truth], *, profile: Profile, path: Path) -> None:
    """Writes a PNG: a row a patient, end-diastole beside end-systole of up to four views.

    Args:
        truths: patients to show.
        profile: how large their studies are.
        path: the PNG to write.
    """
    sheet = Image.new("L", (COLUMNS * TILE, len(truths) * (TILE + CAPTION)), 0)
    draw = ImageDraw.Draw(sheet)
    for row, patient in enumerate(truths):
        top = row * (TILE + CAPTION)
        found = [name for name, label in patient.labels.items() if label]
        caption = f"EDV {patient.lvedv_ml:.0f} EF {patient.lvef:.0f}  {', '.join(found)}"
        draw.text((4, top + 2), caption, fill=255)
        study = render_study(patient, profile)
        for column, image in enumerate(_tiles(study)):
            sheet.paste(Image.fromarray(image), (column * TILE, top + CAPTION))
    sheet.save(path)


def _tiles(study: Study) -> list[np.ndarray]:
    end_systole = end_systole_fraction(study.protocol.heart_rate)
    stack = [cine for cine in study.cines if cine.plane.view == "sax"]
    middle = min(stack, key=lambda cine: abs(cine.plane.centre[2] + 42.0))
    others = {cine.plane.view: cine for cine in study.cines if cine.plane.view != "sax"}
    shown = [stack[0], middle, others["4ch"], others["2ch"]]
    return [
        _tile(cine, frame)
        for cine in shown
        for frame in (0, int(np.argmin(np.abs(cine.phase - end_systole))))
    ]


def _tile(cine: Cine, frame: int) -> np.ndarray:
    """The 160 mm around the image centre, windowed on the cine."""
    half = min(cine.plane.size // 2, round(80.0 / cine.plane.spacing))
    middle = cine.plane.size // 2
    part = cine.pixels[:, middle - half : middle + half, middle - half : middle + half]
    window = np.percentile(part, 99.5)
    image = np.clip(part[frame] / window * 255.0, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))
