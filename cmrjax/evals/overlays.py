"""Maps over cines as pictures: a sheet of frames, and the moving cine."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from cmrjax.evals.plots import png

SHEET_FRAMES = 4
_COLOURS = colormaps["inferno"]
_CONTOUR = "#35e0e0"
# Opacity of the largest value, and how it falls below it: the cine must stay visible where a map is
# no more than uniform.
_STRONGEST, _FALL = 0.8, 1.5
_SIDE, _STRIP = 160, 18  # pixels of a moving cine and of the line of text above it
CYCLE_MS = 1000  # every cine is shown at one cycle a second, whatever the patient's heart rate was
_QUALITY = 70
_NAMES = {"checkpoint": "this model", "random": "untrained"}


@dataclass(frozen=True)
class Overlay:
    """One cine and what was seen in it.

    Args:
        title: what the sheet is headed with.
        clip: `[t, h, w]` in 0..1.
        maps: (encoder, method) -> `[t, h, w]`, summing to 1.
        shares: (encoder, method) -> share of the map inside the heart; NaN without a mask.
        area: share of the pixels inside the heart; NaN without a mask.
        mask: bool `[t, h, w]`.
        annotated: bool `[t]`, frames that have a mask.
    """

    title: str
    clip: np.ndarray
    maps: Mapping[tuple[str, str], np.ndarray]
    shares: Mapping[tuple[str, str], float]
    area: float
    mask: np.ndarray
    annotated: np.ndarray


def times_uniform(values: np.ndarray) -> np.ndarray:
    """A map in multiples of the uniform one: 1 is what a map that sees nothing has everywhere."""
    return values * values.size


def colour_limits(overlay: Overlay) -> dict[str, float]:
    """The largest value that each method's colours tell apart, for all encoders alike.

    At least twice the uniform map, so that one that is nearly flat looks flat.
    """
    limits: dict[str, float] = {}
    for (_, method), values in overlay.maps.items():
        top = float(np.quantile(times_uniform(values), 0.995))
        limits[method] = max(limits.get(method, 2.0), top)
    return limits


def blend(frame: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """A grey frame `[h, w]` in 0..1 under the colours of a map `[h, w]`: `[h, w, 3]` in 0..1."""
    part = np.clip(values / limit, 0, 1)
    opacity = (_STRONGEST * part**_FALL)[..., None]
    return frame[..., None] * (1 - opacity) + _COLOURS(part)[..., :3] * opacity


def chosen_frames(overlay: Overlay) -> list[int]:
    """The annotated frames where there are some, else frames spread over the cycle."""
    count = len(overlay.clip)
    annotated = np.flatnonzero(overlay.annotated)
    if len(annotated):
        return annotated[:SHEET_FRAMES].tolist()
    return sorted({i * count // SHEET_FRAMES for i in range(SHEET_FRAMES)})


def sheet(overlay: Overlay) -> bytes:
    """A PNG: a row a frame, a column the cine itself and each encoder's map by each method."""
    frames, limits, keys = chosen_frames(overlay), colour_limits(overlay), list(overlay.maps)
    columns = 1 + len(keys)
    figure = Figure(figsize=(1.4 * columns + 0.3, 1.32 * len(frames) + 1.15), layout="constrained")
    figure.suptitle(overlay.title, fontsize=10)
    ratios = [*[1.0] * len(frames), 0.07]
    grid = figure.add_gridspec(len(frames) + 1, columns, height_ratios=ratios)
    for row, t in enumerate(frames):
        for column, key in enumerate([None, *keys]):
            axis = figure.add_subplot(grid[row, column])
            axis.set(xticks=[], yticks=[])
            grey = overlay.clip[t]
            picture = np.repeat(grey[..., None], 3, axis=-1)
            if key is not None:
                picture = blend(grey, times_uniform(overlay.maps[key])[t], limits[key[1]])
            axis.imshow(np.clip(picture, 0, 1), interpolation="bilinear")
            if overlay.annotated[t] and overlay.mask[t].any():
                axis.contour(overlay.mask[t], levels=[0.5], colors=_CONTOUR, linewidths=0.8)
            if column == 0:
                axis.set_ylabel(f"frame {t + 1} of {len(overlay.clip)}", fontsize=8)
            if row == 0:
                axis.set_title(_heading(overlay, key), fontsize=8)
    for column, (_, method) in enumerate(keys, start=1):
        bar = figure.add_subplot(grid[-1, column])
        scale = ScalarMappable(Normalize(0, limits[method]), _COLOURS)
        ticks = [0, 1, math.floor(limits[method] * 10) / 10]  # rounded up it would lie outside
        drawn = figure.colorbar(scale, cax=bar, orientation="horizontal", ticks=ticks)
        drawn.ax.set_xticklabels([f"{tick:g}" for tick in ticks], fontsize=7)
    note = figure.add_subplot(grid[-1, 0])
    note.axis("off")
    note.text(1.0, 0.5, "times uniform", fontsize=7, ha="right", va="center")
    return png(figure)


def _heading(overlay: Overlay, key: tuple[str, str] | None) -> str:
    share = overlay.area if key is None else overlay.shares[key]
    if key is None:
        return "cine" if np.isnan(share) else f"cine\nheart: {share:.2f} of area"
    encoder, method = key
    name = f"{_NAMES.get(encoder, encoder)}\n{method.replace('_', ' ')}"
    return name if np.isnan(share) else f"{name}\n{share:.2f} in heart"


def moving(overlay: Overlay, encoder: str) -> bytes:
    """An endlessly repeating WebP: the cine, and beside it one encoder's map by each method."""
    methods = [method for name, method in overlay.maps if name == encoder]
    limits = colour_limits(overlay)
    frames = []
    for t, grey in enumerate(overlay.clip):
        pictures = [np.repeat(grey[..., None], 3, axis=-1)]
        for method in methods:
            values = times_uniform(overlay.maps[encoder, method])[t]
            pictures.append(blend(grey, values, limits[method]))
        frames.append(_labelled(pictures, ["cine", *methods]))
    return animation(frames, quality=_QUALITY)


def animation(frames: Sequence[Image.Image], *, quality: int) -> bytes:
    """One heart beat that repeats, as an animated WebP.

    Args:
        frames: of one size, over the cycle.
        quality: of the encoder, 0..100.
    """
    out = io.BytesIO()
    frames[0].save(
        out,
        "WEBP",
        save_all=True,
        append_images=list(frames[1:]),
        duration=max(20, CYCLE_MS // len(frames)),
        loop=0,
        quality=quality,
        method=2,
    )
    return out.getvalue()


def _labelled(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> Image.Image:
    """Pictures `[h, w, 3]` in 0..1 side by side, each under its label."""
    whole = Image.new("RGB", (_SIDE * len(pictures), _SIDE + _STRIP), "black")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
        whole.paste(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (_SIDE * i, _STRIP))
        pen.text((_SIDE * i + 4, 2), label.replace("_", " "), fill="white", font=font)
    return whole
