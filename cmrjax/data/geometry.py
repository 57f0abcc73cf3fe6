"""Where slices lie in the patient: normals, positions, gaps, and points on a plane.

Coordinates are DICOM's: millimetres, x to the left, y to the back, z to the head. An orientation is
ImageOrientationPatient: the direction of a row (along which columns grow), then that of a column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import ArrayLike

Vector = Sequence[float] | np.ndarray
# Two slices closer than this are one position measured twice; thinner gaps are not scanned.
SAME_POSITION_MM = 0.5
SAME_ORIENTATION_COS = float(np.cos(np.radians(2.0)))
# From base to apex in the mean heart, in patient coordinates: left, forward and down.
LV_AXIS = np.array([0.68, -0.60, -0.42]) / np.linalg.norm([0.68, -0.60, -0.42])


def normal(orientation: Vector) -> np.ndarray:
    """The unit normal of a slice, `[3]`.

    Raises:
        ValueError: the two directions are not close to unit length and to perpendicular.
    """
    row, column = np.reshape(np.asarray(orientation, float), (2, 3))
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1.0, atol=0.05) or abs(row @ column) > 0.05:
        raise ValueError("not an orientation")
    out = np.cross(row, column)
    return out / np.linalg.norm(out)


def position(origin: Vector, direction: np.ndarray) -> float:
    """How far a slice's origin lies along a direction, in mm."""
    return float(np.asarray(origin, float) @ direction)


def parallel(a: Vector, b: Vector) -> bool:
    """Whether two orientations agree in rows and columns, float noise apart."""
    u, v = np.reshape(a, (2, 3)), np.reshape(b, (2, 3))
    return bool(((u * v).sum(1) > SAME_ORIENTATION_COS).all())


def group_positions(
    values: Sequence[float], *, within: float = SAME_POSITION_MM
) -> list[list[int]]:
    """Groups equal positions.

    Args:
        values: positions in mm.
        within: neighbours closer than this are equal.

    Returns:
        Indices into `values`, a list for each position, positions rising.

    Example:
        >>> group_positions([8.0, 0.0, 8.001])
        [[1], [0, 2]]
    """
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    groups: list[list[int]] = []
    for i in order:
        if groups and values[i] - values[groups[-1][-1]] < max(within, SAME_POSITION_MM):
            groups[-1].append(i)
        else:
            groups.append([i])
    return [sorted(group) for group in groups]


def gap(positions: Sequence[float]) -> float:
    """The distance between neighbouring slices in mm: the median, so that a missing one is no harm.

    Returns:
        0 for a single slice.
    """
    steps = [float(b - a) for a, b in pairwise(sorted(positions))]
    return median(steps) if steps else 0.0


def short_axis_like(direction: np.ndarray) -> bool:
    """Whether a normal points along the heart's own axis, within 40 degrees, either way."""
    return bool(abs(float(direction @ LV_AXIS)) > np.cos(np.radians(40.0)))


@dataclass(frozen=True)
class Plane:
    """A slice in the patient. Planes of one orientation share the coordinates within a plane.

    Args:
        origin: the centre of the first pixel, `[3]`.
        orientation: the direction of a row, then that of a column, `[6]`.
        spacing: mm between rows and between columns, `[2]`.
    """

    origin: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray

    @property
    def _axes(self) -> np.ndarray:
        """The directions in which rows follow one another, and columns, `[2, 3]`."""
        return np.reshape(self.orientation, (2, 3))[::-1]

    def to_plane(self, pixel: ArrayLike) -> np.ndarray:
        """A pixel (row, column) as mm down and mm across, `[2]`."""
        return self._axes @ self.origin + np.asarray(pixel) * self.spacing

    def from_plane(self, point: ArrayLike) -> np.ndarray:
        """The inverse of `to_plane`."""
        return (np.asarray(point) - self._axes @ self.origin) / self.spacing

    def to_patient(self, pixels: ArrayLike) -> np.ndarray:
        """Pixels (row, column) `[..., 2]` as points of the patient `[..., 3]`."""
        return self.origin + (np.asarray(pixels) * self.spacing) @ self._axes

    def from_patient(self, points: ArrayLike) -> np.ndarray:
        """Points `[..., 3]` as the pixels (row, column) `[..., 2]` that they lie over or under."""
        return (np.asarray(points) - self.origin) @ self._axes.T / self.spacing
