"""From the images of a study to its cines: what every source of DICOM files shares."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cmrjax.data.crop import SURE, Crop, crops
from cmrjax.data.dicom import Image, Rejected, read_images, read_pixels
from cmrjax.data.geometry import Plane
from cmrjax.data.masks import Drawn
from cmrjax.data.series import Cine, cines_of
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
    planes = [_plane(cine) for cine, _ in loaded]
    found = crops([cine.view for cine, _ in loaded], [frames for _, frames in loaded], planes)
    raw = [
        _raw_cine(cine, frames, plane, crop, settings, drawn(cine) if drawn else None)
        for (cine, frames), plane, crop in zip(loaded, planes, found, strict=True)
    ]
    return raw, rejected


def _plane(cine: Cine) -> Plane:
    first = cine.images[0]
    return Plane(np.array(first.position), np.array(first.orientation), np.array(first.spacing))


def _raw_cine(
    cine: Cine,
    frames: np.ndarray,
    plane: Plane,
    crop: Crop,
    settings: Settings,
    drawn: Drawn | None,
) -> RawCine:
    first = cine.images[0]
    return RawCine(
        frames=frames,
        plane=plane,
        crop=crop,
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
    rows: dict[tuple, list[RawCine]] = defaultdict(list)
    for c in cines:
        spacing = tuple(round(float(v), 4) for v in c.plane.spacing)
        rows[c.view, len(c.frames), spacing, round(c.gap_mm, 3), c.frames.shape[1:]].append(c)
    return [
        {
            "view": view,
            "slices": len(found),
            "phases": phases,
            "spacing_mm": list(spacing),
            "gap_mm": gap,
            "size": list(size),
            "cropped_at_middle": sum(c.crop.confidence < SURE for c in found),
        }
        for (view, phases, spacing, gap, size), found in sorted(rows.items())
    ]
