"""Which view a plane is, from where it lies in the patient and to the study's short-axis stack.

Names decide where they say something; here are the series that they leave open, and those whose
name and plane cannot both be true.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmrjax.data import geometry

STACK_SLICES = 3
# A long-axis plane holds the left ventricle's axis; a short-axis plane lies across it.
_HOLDS_AXIS = float(np.sin(np.radians(20.0)))
_LIES_ACROSS = float(np.cos(np.radians(30.0)))
# Planes this close to the body's own are axial, coronal or sagittal, whatever the heart's axis is.
_BODY_PLANE = float(np.cos(np.radians(12.0)))
# Where long-axis planes meet the ventricle's wall, in degrees from its lateral side towards the
# front: four chambers at the inferior septum and the lateral wall in front, two chambers from front
# to back, three at the septum in front and the lateral wall behind. Between them nothing is said.
_SECTORS = {"4ch": (-8.0, 50.0), "2ch": (68.0, 112.0), "3ch": (122.0, 165.0)}


@dataclass(frozen=True)
class Group:
    """The parallel slices of one series.

    Args:
        readings: views that its name may mean, likeliest first; 'unknown' where it names another,
            and before the others where it names several; nothing where it does not say.
        direction: the unit normal of its slices, `[3]`.
        places: how far each slice lies along the normal, mm.
    """

    readings: tuple[str, ...]
    direction: np.ndarray
    places: tuple[float, ...]


def settle(groups: Sequence[Group]) -> list[str]:
    """The view of each group of a study's cines.

    1. A name with one meaning is taken, unless the plane contradicts it: a two-, three- or
       four-chamber view that lies in the short-axis stack, or a short axis that holds the
       ventricle's axis, is 'unknown'.
    2. Of a name with several meanings the one that the plane has is taken, else the first that no
       other series of the study is named for. A name of several views is 'unknown' without a plane.
    3. Without a name, three slices or more across the mean heart's axis are short axis, whichever
       series they lie in; a plane that holds the stack's axis is the long-axis view of its angle.
    4. The rest is 'unknown'.
    """
    axis = _stack_axis(groups)
    sure = {g.readings[0] for g in groups if len(g.readings) == 1} - {"unknown"}
    return [_view(group, groups, axis, sure) for group in groups]


def _view(group: Group, groups: Sequence[Group], axis: np.ndarray | None, sure: set[str]) -> str:
    shown = long_axis_view(group.direction, axis)
    if not group.readings:
        return "sax" if _is_stack(group, groups) else shown or "unknown"
    name, *others = group.readings
    along = math.nan if axis is None else abs(float(group.direction @ axis))
    if others:
        shown = "sax" if along > _LIES_ACROSS else shown
        if shown in group.readings:
            return shown
        return next((view for view in group.readings if view not in sure), name)
    wrong = {"sax": along < _HOLDS_AXIS, **dict.fromkeys(_SECTORS, along > _LIES_ACROSS)}
    return "unknown" if wrong.get(name) else name


def _stack_axis(groups: Sequence[Group]) -> np.ndarray | None:
    """From apex to base along the study's short-axis stack; nothing without such a stack."""
    stacks = [g for g in groups if g.readings == ("sax",) or _is_stack(g, groups)]
    likely = [g.direction for g in stacks if geometry.short_axis_like(g.direction)]
    counts = [_slices(direction, stacks) for direction in likely]
    if max(counts, default=0) < 2:
        return None
    best = likely[int(np.argmax(counts))]
    return -best if best @ geometry.LV_AXIS > 0 else best


def _is_stack(group: Group, groups: Sequence[Group]) -> bool:
    """Whether slices without a name are a short-axis stack."""
    if group.readings or not geometry.short_axis_like(group.direction):
        return False
    return _slices(group.direction, [g for g in groups if not g.readings]) >= STACK_SLICES


def _slices(direction: np.ndarray, groups: Sequence[Group]) -> int:
    """How many slices, at places of their own, have a normal."""
    places = [
        place
        for group in groups
        if float(group.direction @ direction) > geometry.SAME_ORIENTATION_COS
        for place in group.places
    ]
    return len(geometry.group_positions(places))


def long_axis_view(direction: np.ndarray, axis: np.ndarray | None) -> str | None:
    """The long-axis view of a plane.

    Args:
        direction: the plane's unit normal, `[3]`.
        axis: unit vector along the left ventricle, from apex to base, `[3]`; nothing if unknown.

    Returns:
        '2ch', '3ch', '4ch', or nothing: without an axis, for a plane that does not hold it, one of
        the body's own, or one between two views.
    """
    if axis is None or abs(float(direction @ axis)) > _HOLDS_AXIS:
        return None
    if np.abs(direction).max() > _BODY_PLANE:
        return None
    degrees = wall_angle(direction, axis)
    for view, (low, high) in _SECTORS.items():
        if low <= degrees <= high or low <= degrees - 180.0 <= high:
            return view
    return None


def wall_angle(direction: np.ndarray, axis: np.ndarray) -> float:
    """Where a long-axis plane meets the ventricle's wall, in degrees 0..180.

    Seen from the apex, as short-axis images are shown: 0 is the lateral wall, 90 the front (up, as
    the patient stands), 180 the septum.
    """
    front = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    front /= np.linalg.norm(front)
    lateral = np.cross(axis, front)
    within = np.cross(direction, axis)
    return float(np.degrees(np.arctan2(within @ front, within @ lateral)) % 180.0)
