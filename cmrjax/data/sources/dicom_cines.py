"""From the images of a study to its cines: what every source of DICOM files shares."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cmrjax.data import geometry
from cmrjax.data.dicom import Image, Rejected, read_images, read_pixels
from cmrjax.data.masks import Drawn
from cmrjax.data.series import Cine, cines_of
from cmrjax.data.standardise import motion_centre
from cmrjax.data.study import RawCine, Settings


def read_headers(paths: Iterable[str]) -> tuple[list[Image], Counter[str]]:
    """The images of files, and how many files were left out, by reason."""
    images, rejected = [], Counter()
    for path in paths:
        try:
            found = read_images(path)
        except Rejected as reason:
            rejected[f"file.{reason.reason}"] += 1
            continue
        if quarantine := found[0].quarantine:
            rejected[f"file.{quarantine}"] += 1
        else:
            images += found
    return images, rejected


def raw_cines(
    images: Iterable[Image],
    settings: Settings,
    *,
    drawn: Callable[[Cine], Drawn | None] | None = None,
) -> tuple[list[RawCine], Counter[str]]:
    """The cines of one study, ready to be standardised.

    Args:
        images: headers of its images, in any order.
        settings: the dataset's.
        drawn: gives a cine its masks, in the order of its images.

    Returns:
        The cines, sorted by view, stack and slice, and how many positions were left out, by reason.
    """
    cines, left_out = cines_of(images)
    rejected = Counter({f"cine.{reason}": n for reason, n in left_out.items()})
    loaded = []
    for cine in cines:
        try:
            loaded.append((cine, read_pixels(cine.images)))
        except Rejected as reason:
            rejected[f"cine.{reason.reason}"] += 1
    raw = [
        _raw_cine(cine, frames, centre, settings, drawn(cine) if drawn else None)
        for (cine, frames), centre in zip(loaded, _centres(loaded), strict=True)
    ]
    return raw, rejected


def _centres(loaded: Sequence[tuple[Cine, np.ndarray]]) -> list[np.ndarray]:
    """Where each crop goes: a short-axis stack shares one point, other cines have their own.

    A stack's point is the median over its slices, so that an apical or basal slice without much
    motion, or one with an artefact, does not pull its own crop away.
    """
    own = []
    for cine, frames in loaded:
        own.append(motion_centre(frames, np.array(cine.images[0].spacing)))
    centres = {i: centre for i, (centre, _) in enumerate(own)}
    stack: list[int] = []
    for i, (cine, _) in enumerate(loaded):
        first = cine.images[0].orientation
        if stack and (
            cine.view != "sax"
            or not geometry.parallel(loaded[stack[0]][0].images[0].orientation, first)
        ):
            centres.update(_share(loaded, own, stack))
            stack = []
        if cine.view == "sax":
            stack.append(i)
    centres.update(_share(loaded, own, stack))
    return [centres[i] for i in range(len(own))]


def _share(
    loaded: Sequence[tuple[Cine, np.ndarray]],
    own: Sequence[tuple[np.ndarray, float]],
    stack: Sequence[int],
) -> dict[int, np.ndarray]:
    moving = [i for i in stack if own[i][1] > 0]
    if not moving:
        return {}
    planes = {
        i: {
            "origin": loaded[i][0].images[0].position,
            "orientation": loaded[i][0].images[0].orientation,
            "spacing": np.array(loaded[i][0].images[0].spacing),
        }
        for i in stack
    }
    point = np.median([geometry.to_plane(own[i][0], **planes[i]) for i in moving], axis=0)
    return {i: geometry.from_plane(point, **planes[i]) for i in stack}


def _raw_cine(
    cine: Cine, frames: np.ndarray, centre: np.ndarray, settings: Settings, drawn: Drawn | None
) -> RawCine:
    first = cine.images[0]
    return RawCine(
        frames=frames,
        spacing=np.array(first.spacing),
        centre=centre,
        view=cine.view,
        slice_index=cine.slice_index,
        position_mm=cine.position_mm,
        gap_mm=cine.gap_mm,
        trigger_ms=np.array([image.trigger for image in cine.images]),
        series_id=settings.hasher.id("series", first.series_uid),
        drawn=drawn,
    )


def card_rows(cines: Sequence[RawCine]) -> list[dict[str, object]]:
    """For the data card: one row for each view, spacing, gap and phase count of a study."""
    rows: Counter[tuple] = Counter()
    for c in cines:
        spacing = tuple(round(float(v), 4) for v in c.spacing)
        rows[c.view, len(c.frames), spacing, round(c.gap_mm, 3), c.frames.shape[1:]] += 1
    return [
        {
            "view": view,
            "slices": n,
            "phases": phases,
            "spacing_mm": list(spacing),
            "gap_mm": gap,
            "size": list(size),
        }
        for (view, phases, spacing, gap, size), n in sorted(rows.items())
    ]
