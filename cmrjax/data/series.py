"""A study's images as cines: one for each slice position of each view.

Vendors put a whole stack into one series or each slice into its own; both become one stack here.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from cmrjax.data import geometry, planes, views
from cmrjax.data.dicom.image import Image
from cmrjax.data.phases import covered_ms, cycle_of, scan_order
from cmrjax.data.reasons import CineReason

# Of a stack's median: a slice that covers less of the cycle was interrupted.
_WHOLE = 0.6
# Of a stack's gap: slices closer than this are one, scanned again after the patient moved.
_SAME_SLICE = 1 / 3


@dataclass(frozen=True)
class Cine:
    """One slice position over the cycle.

    Args:
        view: its view.
        images: its phases, in order.
        position_mm: its place along the slice normal.
        slice_index: its number in its stack, by position.
        gap_mm: distance between the stack's slices, 0 for a single one.
    """

    view: str
    images: tuple[Image, ...]
    position_mm: float
    slice_index: int = 0
    gap_mm: float = 0.0


def _same_plane(a: Image, b: Image) -> bool:
    same_grid = (a.rows, a.columns, a.shared.spacing) == (b.rows, b.columns, b.shared.spacing)
    return same_grid and geometry.parallel(a.shared.orientation, b.shared.orientation)


def _parallel_groups(images: Iterable[Image]) -> list[list[Image]]:
    groups: list[list[Image]] = []
    known: dict[tuple, list[Image]] = {}  # what scanners repeat word for word is compared once
    for image in images:
        plane = (image.rows, image.columns, image.shared.spacing, image.shared.orientation)
        if plane not in known:
            known[plane] = next((group for group in groups if _same_plane(group[0], image)), [])
            if not known[plane]:
                groups.append(known[plane])
        known[plane].append(image)
    return groups


def _split_series(
    images: Sequence[Image], rejected: Counter[str]
) -> list[tuple[planes.Group, list[Cine]]]:
    """One series' cines, a position each, not yet numbered; those of one plane together."""
    out = []
    for group in _parallel_groups(sorted(images, key=scan_order)):
        try:
            direction = geometry.normal(group[0].shared.orientation)
        except ValueError:
            rejected[CineReason.NO_GEOMETRY] += 1
            continue
        along = {p: geometry.position(p, direction) for p in {i.position for i in group}}
        places = [along[i.position] for i in group]
        found = []
        for members in geometry.group_positions(places):
            if phases := cycle_of([group[i] for i in members], rejected):
                found.append(Cine("", phases, places[members[0]]))
        if found:
            names = views.readings(group[0].shared.series_description)
            plane = planes.Group(names, direction, tuple(c.position_mm for c in found))
            out.append((plane, found))
    return out


def _number(stack: Sequence[Cine], rejected: Counter[str]) -> list[Cine]:
    """Sorts a stack's slices and numbers them; of a slice scanned twice the later one stays."""
    whole = _whole(stack)
    rejected[CineReason.INCOMPLETE] += len(stack) - len(whole)
    kept = []
    for members in _slices([c.position_mm for c in whole]):
        same = sorted(
            (whole[i] for i in members),
            key=lambda c: (c.images[0].shared.series_number, c.images[0].shared.series_uid),
        )
        rejected[CineReason.REPEATED] += len(same) - 1
        kept.append(same[-1])
    gap = geometry.gap([c.position_mm for c in kept])
    return [Cine(c.view, c.images, c.position_mm, i, gap) for i, c in enumerate(kept)]


def _whole(stack: Sequence[Cine]) -> list[Cine]:
    """The slices whose scan was not interrupted."""
    covered = [covered_ms(cine.images) for cine in stack]
    if any(math.isnan(ms) for ms in covered):
        covered = [len(cine.images) for cine in stack]
    least = _WHOLE * median(covered)
    return [cine for cine, has in zip(stack, covered, strict=True) if has >= least]


def _slices(positions: Sequence[float]) -> list[list[int]]:
    """Groups the positions of one slice, positions rising."""
    groups = geometry.group_positions(positions)
    if len(groups) < 3:
        return groups
    gap = geometry.gap([positions[members[0]] for members in groups])
    return geometry.group_positions(positions, within=_SAME_SLICE * gap)


def cines_of(images: Iterable[Image]) -> tuple[list[Cine], Counter[str]]:
    """Finds the cines of one study.

    Args:
        images: headers of its images, in any order.

    Returns:
        The cines, sorted by view, stack and slice, and how many positions were left out, by reason.
    """
    rejected: Counter[str] = Counter()
    unique = {
        (i.sop_uid or i.path, i.frame): i
        for i in sorted(images, key=lambda i: i.path, reverse=True)
    }
    by_series: dict[str, list[Image]] = defaultdict(list)
    for image in sorted(unique.values(), key=lambda i: (i.shared.series_uid, i.path)):
        by_series[image.shared.series_uid].append(image)
    groups = [
        (series_uid, *group)
        for series_uid, members in sorted(by_series.items())
        for group in _split_series(members, rejected)
    ]
    settled = planes.settle([plane for _, plane, _ in groups])
    stacks: dict[tuple[str, str], list[list[Cine]]] = defaultdict(list)
    for (series_uid, _, cines), view in zip(groups, settled, strict=True):
        # Series of one view are one stack; of unnamed ones nobody knows.
        named = stacks[view, series_uid if view == "unknown" else ""]
        for cine in (replace(cine, view=view) for cine in cines):
            for stack in named:
                if geometry.parallel(
                    stack[0].images[0].shared.orientation, cine.images[0].shared.orientation
                ):
                    stack.append(cine)
                    break
            else:
                named.append([cine])
    out = [c for _, found in sorted(stacks.items()) for s in found for c in _number(s, rejected)]
    return out, +rejected
