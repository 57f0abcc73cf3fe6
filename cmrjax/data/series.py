"""A study's images as cines: one for each slice position of each view.

Vendors put a whole stack into one series or each slice into its own; both become one stack here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cmrjax.data import geometry, planes, views
from cmrjax.data.dicom.image import Image
from cmrjax.data.phases import cycle_of, scan_order
from cmrjax.data.reasons import CineReason
from cmrjax.data.stacks import Cine, numbered


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
    views_found: dict[tuple[str, str], list[Cine]] = defaultdict(list)
    for (series_uid, _, cines), view in zip(groups, settled, strict=True):
        # Series of one view are one stack; of unnamed ones nobody knows.
        named = views_found[view, series_uid if view == "unknown" else ""]
        named += [replace(cine, view=view) for cine in cines]
    out = [c for _, found in sorted(views_found.items()) for c in numbered(found, rejected)]
    return out, +rejected
