"""Contours that experts drew, as text files of points: to masks and to volumes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrjax.data.dicom import Image, Rejected
from cmrjax.data.masks import Drawn, class_bits, ejection_fraction, polygon_area, polygon_mask
from cmrjax.data.series import Cine

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Ring:
    """The contours of one image.

    Args:
        inner: of the cavity, points (x, y) `[n, 2]`; the first pixel's centre is (0, 0).
        outer: of the wall around it, or nothing.
    """

    inner: np.ndarray
    outer: np.ndarray | None = None


@dataclass(frozen=True)
class Area:
    """How large a cavity and its wall are in one image.

    Args:
        place: the slice, mm along the normal.
        gap_mm: distance between the stack's slices.
        phase: the frame's number in its cine.
        phases: frames of the cine.
        cavity_mm2: inside of the inner contour.
        wall_mm2: between the contours; NaN where the outer one was not drawn.
    """

    place: float
    gap_mm: float
    phase: int
    phases: int
    cavity_mm2: float
    wall_mm2: float


def read_points(path: Path, *, first_pixel: float) -> np.ndarray:
    """Reads a file of lines `x y`.

    Args:
        path: the file.
        first_pixel: the coordinate of the first pixel's centre, down and across.

    Returns:
        (x, y) `[n, 2]`, the first pixel's centre at (0, 0).

    Raises:
        Rejected: it is no list of three or more points.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Rejected("bad_contour")
        rows = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
        points = np.array(rows, float)
    except (OSError, ValueError):
        raise Rejected("bad_contour") from None
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise Rejected("bad_contour")
    if not np.isfinite(points).all() or np.abs(points).max() > 1e5:
        raise Rejected("bad_contour")
    return points - first_pixel


def read_rings(
    files: Iterable[tuple[int, str, Path]], *, first_pixel: float, rejected: Counter[str]
) -> dict[int, Ring]:
    """Contours by image number; an outer one alone says nothing of the cavity and is left out.

    Args:
        files: image number, 'i' or 'o', and the file.
        first_pixel: as `read_points` has it.
        rejected: counts the files that cannot be read.
    """
    points: dict[str, dict[int, np.ndarray]] = {"i": {}, "o": {}}
    for number, kind, path in files:
        try:
            points[kind][number] = read_points(path, first_pixel=first_pixel)
        except Rejected as reason:
            rejected[f"mask.{reason.reason}"] += 1
    return {n: Ring(inner, points["o"].get(n)) for n, inner in sorted(points["i"].items())}


def drawer(
    rings: Mapping[int, Ring],
    number: Callable[[Image], int | None],
    *,
    cavity: int,
    wall: int,
    found: list[Area],
) -> Callable[[Cine], Drawn | None]:
    """What gives a cine its masks, for `raw_cines`.

    Args:
        rings: image number -> its contours.
        number: an image's number, nothing for one that nobody can have drawn on.
        cavity: class inside the inner contour.
        wall: class between the contours.
        found: the areas of the contours are added to it, cine by cine.
    """

    def drawn(cine: Cine) -> Drawn | None:
        numbers = (number(image) for image in cine.images)
        own = {t: rings[n] for t, n in enumerate(numbers) if n is not None and n in rings}
        found.extend(_area(cine, t, ring) for t, ring in own.items())
        first = cine.images[0]
        return draw(own, (first.rows, first.columns), cavity=cavity, wall=wall)

    return drawn


def draw(
    rings: Mapping[int, Ring], shape: tuple[int, int], *, cavity: int, wall: int
) -> Drawn | None:
    """Contours as masks.

    Args:
        rings: frame -> its contours.
        shape: rows and columns.
        cavity: class inside the inner contour.
        wall: class between the contours.

    Returns:
        Masks of the frames that have contours, or nothing where none has.
    """
    if not rings:
        return None
    masks = np.zeros((len(rings), *shape), np.uint8)
    classes = []
    for mask, ring in zip(masks, rings.values(), strict=True):
        if ring.outer is not None:
            mask[polygon_mask(ring.outer, shape)] = wall
        mask[polygon_mask(ring.inner, shape)] = cavity
        classes.append(class_bits([cavity] if ring.outer is None else [cavity, wall]))
    return Drawn(masks, tuple(rings), tuple(classes))


def _area(cine: Cine, phase: int, ring: Ring) -> Area:
    pixel_mm2 = float(np.prod(cine.images[0].shared.spacing))
    inner = polygon_area(ring.inner) * pixel_mm2
    outer = float("nan") if ring.outer is None else polygon_area(ring.outer) * pixel_mm2
    return Area(cine.position_mm, cine.gap_mm, phase, len(cine.images), inner, outer - inner)


def volumes(found: Sequence[Area]) -> dict[str, float]:
    """What a stack of contours measures: slices of the gap's thickness, summed.

    A slice's larger cavity is end-diastole, its smaller one end-systole. Where it has one alone,
    as at the base and the apex, the phase says which, by the phases of the other slices.

    Args:
        found: the areas of a stack.

    Returns:
        'edv_ml', 'esv_ml', 'ef' in percent, 'wall_ml' at end-diastole; NaN where not drawn.
    """
    slices: dict[float, list[Area]] = defaultdict(list)
    for area in found:
        slices[area.place].append(area)
    pairs = {
        place: (max(own, key=lambda a: a.cavity_mm2), min(own, key=lambda a: a.cavity_mm2))
        for place, own in slices.items()
        if len(own) > 1
    }
    nothing: dict[str, float] = dict.fromkeys(("edv_ml", "esv_ml", "ef", "wall_ml"), float("nan"))
    gap_mm = float(np.median([area.gap_mm for area in found])) if found else 0.0
    if not pairs or gap_mm <= 0:
        return nothing
    ed, es = (
        Counter(pair[i].phase for pair in pairs.values()).most_common(1)[0][0] for i in (0, 1)
    )
    large, small = ([pair[i] for pair in pairs.values()] for i in (0, 1))
    for place, own in slices.items():
        if place not in pairs:
            nearer_ed = _apart(own[0], ed) <= _apart(own[0], es)
            (large if nearer_ed else small).append(own[0])
    edv, esv = (sum(a.cavity_mm2 for a in part) * gap_mm / 1000 for part in (large, small))
    wall = sum(a.wall_mm2 for a in large) * gap_mm / 1000
    return {"edv_ml": edv, "esv_ml": esv, "ef": ejection_fraction(edv, esv), "wall_ml": wall}


def _apart(area: Area, phase: int) -> int:
    """Frames between two phases, the shorter way round the cycle."""
    ahead = (area.phase - phase) % area.phases
    return min(ahead, area.phases - ahead)
