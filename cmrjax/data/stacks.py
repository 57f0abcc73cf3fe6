"""A view's cines as stacks: each slice once, numbered by position.

A stack lies in one series or in many, and some scan it in interleaved halves. It may be scanned
again, after the patient moved: then its slices lie between those of the first time, or at an angle
to them, and are the same slices all the same.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from statistics import median

import numpy as np

from cmrjax.data import geometry
from cmrjax.data.components import PICTURES
from cmrjax.data.dicom.image import Image
from cmrjax.data.phases import covered_ms, scan_order
from cmrjax.data.reasons import CineReason

# Of a stack's median: a slice that covers less of the cycle was interrupted.
_WHOLE = 0.6
# Of a stack's gap: slices closer than this are one, scanned again after the patient moved.
_SAME_SLICE = 1 / 3
# As many slices tell what their gap is.
_RUN = 3
# Of the longer one: two runs that share as much are two scans of one stack.
_SAME_EXTENT = 0.75
_SAME_TILT = float(np.cos(np.radians(15.0)))
# Half of a stack leaves room for the other half: its gap is about twice the slices' thickness, or
# more than any gap that is scanned on purpose.
_HALF_OF_THICKNESS, _HALF_MM = 1.8, 12.0
_HALF_GAP = 0.55
# Of the gap of a half or a third of a stack: the other parts lie further off than this.
_NO_PART = 0.25


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


def numbered(cines: Iterable[Cine], rejected: Counter[str]) -> list[Cine]:
    """The slices of one view, each once, with their numbers.

    Args:
        cines: all of them; parallel ones are of one stack.
        rejected: counts what is left out, by reason.

    Returns:
        Stack by stack, slices by position.
    """
    stacks = []
    for stack in _parallel(cines):
        whole = _whole(stack)
        rejected[CineReason.INCOMPLETE] += len(stack) - len(whole)
        stacks.append([_Run(run) for run in _runs(whole)])
    repeated = _repeated([run for stack in stacks for run in stack])
    rejected[CineReason.REPEATED] += len(repeated)
    out = []
    for stack in stacks:
        runs = [_Run([c for c in run.cines if id(c) not in repeated]) for run in stack]
        out += _number([run for run in runs if run.cines], rejected)
    return out


def _parallel(cines: Iterable[Cine]) -> list[list[Cine]]:
    stacks: list[list[Cine]] = []
    for cine in cines:
        mine = cine.images[0].shared.orientation
        for stack in stacks:
            if geometry.parallel(stack[0].images[0].shared.orientation, mine):
                stack.append(cine)
                break
        else:
            stacks.append([cine])
    return stacks


def _whole(stack: Sequence[Cine]) -> list[Cine]:
    """The slices whose scan was not interrupted."""
    covered = [covered_ms(cine.images) for cine in stack]
    if any(math.isnan(ms) for ms in covered):
        covered = [len(cine.images) for cine in stack]
    least = _WHOLE * median(covered)
    return [cine for cine, has in zip(stack, covered, strict=True) if has >= least]


def _scanned(cine: Cine) -> tuple:
    """The key that sorts cines as they were scanned."""
    said = cine.images[0].shared
    numbers = (-1.0 if math.isnan(n) else n for n in (said.series_number, said.acquisition))
    number, acquisition = numbers
    return number, said.series_uid, acquisition, scan_order(cine.images[0])


def _preferred(cine: Cine) -> tuple:
    """The key that sorts cines of one slice, the best last: some put components into own series."""
    said = cine.images[0].shared
    echo = 0.0 if math.isnan(said.echo_number) else said.echo_number
    return -PICTURES.index(said.component), -echo, *_scanned(cine)


class _Run:
    """Slices that were scanned one after another, on from place to place."""

    def __init__(self, cines: list[Cine]):
        self.cines = cines

    @property
    def told(self) -> bool:
        """Whether there are enough of them to tell their gap."""
        return len(self.cines) >= _RUN

    @cached_property
    def gap(self) -> float:
        """The distance between neighbouring ones, mm."""
        return geometry.gap([cine.position_mm for cine in self.cines])

    @property
    def thickness(self) -> float:
        """Of a slice, mm; what no slice is thicker than where the headers do not say."""
        said = self.cines[0].images[0].shared.thickness
        return said if said > 0 else _HALF_MM / _HALF_OF_THICKNESS

    @property
    def half(self) -> bool:
        """Whether other slices fit between these."""
        return self.gap > _HALF_OF_THICKNESS * self.thickness

    @cached_property
    def direction(self) -> np.ndarray:
        """The unit normal, `[3]`."""
        # Not `normal`: of a series the first image alone was held to be an orientation.
        row, column = np.reshape(self.cines[0].images[0].shared.orientation, (2, 3))
        across = np.cross(row, column)
        return across / max(float(np.linalg.norm(across)), 1e-9)

    def along(self, direction: np.ndarray) -> np.ndarray:
        """How far the middle of each slice lies along a direction, mm."""
        images = [cine.images[0] for cine in self.cines]
        corners = np.array([image.position for image in images])
        axes = np.array([image.shared.orientation for image in images]).reshape(-1, 2, 3)
        spacing = np.array([image.shared.spacing[::-1] for image in images])
        last = np.array([(image.columns - 1, image.rows - 1) for image in images])
        middles = corners + ((last * spacing)[:, :, None] * axes).sum(1) / 2
        return (middles * direction).sum(1)


def _runs(stack: Sequence[Cine]) -> list[list[Cine]]:
    """Parts of a stack that were scanned in one go.

    A run ends where the next slice lies back, or much closer than those before, and with a series
    that is a run of its own.
    """
    sizes = Counter(cine.images[0].shared.series_uid for cine in stack)
    runs: list[list[Cine]] = []
    for cine in sorted(stack, key=_scanned):
        before = runs[-1][-1] if runs else cine
        ours, last = cine.images[0].shared.series_uid, before.images[0].shared.series_uid
        own_series = ours != last and max(sizes[ours], sizes[last]) >= _RUN
        if not runs or own_series or not _goes_on([c.position_mm for c in (*runs[-1], cine)]):
            runs.append([])
        runs[-1].append(cine)
    return runs


def _goes_on(places: Sequence[float]) -> bool:
    """Whether the last of some places lies on from those before."""
    *before, step = (b - a for a, b in pairwise(places))
    if not before:
        return abs(step) > geometry.SAME_POSITION_MM
    usual = median(before)
    return step * usual > 0 and abs(step) > abs(usual) / 2


def _repeated(runs: Sequence[_Run]) -> set[int]:
    """Ids of the cines that another run of the view shows too."""
    told = sorted((run for run in runs if run.told), key=lambda run: _scanned(run.cines[0]))
    out: set[int] = set()
    for earlier, later in combinations(told, 2):
        out.update(map(id, _scanned_twice(earlier, later)))
    return out


def _scanned_twice(earlier: _Run, later: _Run) -> list[Cine]:
    """What of two runs need not stay, where their slices differ in place.

    Of two scans of one stack the later stays, unless it has far fewer slices; of a part that was
    scanned again, the later slices. At the same places one slice is held against another later on.
    """
    direction, gap = later.direction, min(earlier.gap, later.gap)
    tilt = float(earlier.direction @ direction)
    if tilt < _SAME_TILT:
        return []
    ours, theirs = earlier.along(direction), later.along(direction)
    away = np.abs(theirs[:, None] - ours)
    if tilt > geometry.SAME_ORIENTATION_COS:
        # Wherever a stack lies beside itself, its slices are half a gap apart or less; parts of one
        # stack that was scanned in whatever order are a gap apart.
        near = float(np.median(away.min(1)))
        if not _SAME_SLICE * gap < near <= _HALF_GAP * gap:
            return []
        if earlier.half and later.half:
            return []
    if _shared_extent(ours, theirs, gap) >= _SAME_EXTENT:
        few = len(later.cines) < _SAME_EXTENT * len(earlier.cines)
        return later.cines if few else earlier.cines
    if tilt <= geometry.SAME_ORIENTATION_COS:
        return []
    return [c for c, mm in zip(earlier.cines, away.min(0), strict=True) if mm < gap / 2]


def _shared_extent(a: np.ndarray, b: np.ndarray, gap: float) -> float:
    """How much of the longer of two runs the other covers."""
    both = min(a.max(), b.max()) - max(a.min(), b.min()) + gap
    return float(both / (max(np.ptp(a), np.ptp(b)) + gap))


def _number(runs: Sequence[_Run], rejected: Counter[str]) -> list[Cine]:
    """Sorts a stack's slices and numbers them; of a slice scanned twice the later one stays."""
    stack = [cine for run in runs for cine in run.cines]
    kept = []
    for members in _slices([cine.position_mm for cine in stack], _gap_of(runs)):
        same = sorted((stack[i] for i in members), key=_preferred)
        rejected[CineReason.REPEATED] += len(same) - 1
        kept.append(same[-1])
    gap = geometry.gap([cine.position_mm for cine in kept])
    return [replace(cine, slice_index=i, gap_mm=gap) for i, cine in enumerate(kept)]


def _gap_of(runs: Sequence[_Run]) -> float | None:
    """The gap of a stack, from those of its runs that tell it."""
    told = [run for run in runs if run.told]
    if full := [run.gap for run in told if not run.half]:
        return median(full)
    if not told:
        return None
    # Parts of a stack may be many, and scanned in any order: all slices together tell then, and
    # what lies a slice apart is never one slice.
    places = [cine.position_mm for run in runs for cine in run.cines]
    same = min(min(_NO_PART * run.gap, _SAME_SLICE * run.thickness) for run in told)
    groups = geometry.group_positions(places, within=same)
    return geometry.gap([places[members[0]] for members in groups])


def _slices(positions: Sequence[float], gap: float | None) -> list[list[int]]:
    """Groups the positions of one slice, positions rising.

    Args:
        positions: in mm.
        gap: between the slices, where runs of them tell it; otherwise all positions together do.
    """
    groups = geometry.group_positions(positions)
    if gap is None:
        if len(groups) < _RUN:
            return groups
        gap = geometry.gap([positions[members[0]] for members in groups])
    return geometry.group_positions(positions, within=_SAME_SLICE * gap)
