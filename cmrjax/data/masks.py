"""Masks: one vocabulary of classes for every source, contours to masks, volumes from masks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

# The numbers are ACDC's; what other sources draw comes after them. A voxel has one class, so the
# left ventricle's whole wall is MYOCARDIUM, INFARCT and NO_REFLOW together.
CLASSES = ("background", "rv", "myocardium", "lv", "infarct", "no_reflow", "rv_wall")
RV, MYOCARDIUM, LV, INFARCT, NO_REFLOW, RV_WALL = range(1, len(CLASSES))
HEART = (RV, MYOCARDIUM, LV)  # what the segmentation challenges draw
MYOCARDIUM_G_PER_ML = 1.05


@dataclass(frozen=True)
class Drawn:
    """The masks of one cine: some of its frames, and in each of those some of the classes.

    A frame that nobody drew in is not listed: unknown is not empty. In a listed frame a class that
    is not in `classes` is unknown as well, and its place holds 0.

    Args:
        masks: uint8 class numbers `[m, h, w]`.
        frames: which frame of the cine each mask belongs to, `[m]`.
        classes: bits of the classes that were drawn in each, `[m]`: bit c for class c.
    """

    masks: np.ndarray
    frames: tuple[int, ...]
    classes: tuple[int, ...]


def class_bits(classes: Iterable[int]) -> int:
    """Classes as one number, bit c for class c.

    Example:
        >>> class_bits((RV, LV))
        10
    """
    return sum(1 << c for c in set(classes))


def relabel(mask: np.ndarray, classes: Mapping[int, int]) -> np.ndarray:
    """A source's class numbers as ours.

    Args:
        mask: whole numbers of any type, any shape; 0 is background.
        classes: theirs -> ours.

    Returns:
        uint8, the same shape.

    Raises:
        ValueError: a number that the source does not define.
    """
    out = np.zeros(mask.shape, np.uint8)
    known = mask == 0
    for theirs, ours in classes.items():
        here = mask == theirs
        out[here] = ours
        known |= here
    if not known.all():
        raise ValueError("unknown class number")
    return out


def polygon_mask(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies inside a closed polygon, by the even-odd rule.

    Edges are half open, so polygons that share an edge share no pixel and leave none between them.

    Args:
        points: corners (x, y) `[n, 2]` in pixels; the centre of the first pixel is (0, 0).
        shape: rows and columns.

    Returns:
        bool `[rows, columns]`.
    """
    inside = np.zeros(shape, bool)
    columns = np.arange(shape[1])
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        # From the lower corner always: neighbours that share the edge must compute the same number.
        (xa, ya), (xb, yb) = ((x0, y0), (x1, y1)) if y0 < y1 else ((x1, y1), (x0, y0))
        rows = np.arange(max(0, int(np.ceil(ya))), min(shape[0], int(np.ceil(yb))))
        crossing = xa + (rows - ya) * ((xb - xa) / (yb - ya))
        inside[rows] ^= columns[None, :] < crossing[:, None]
    return inside


def polygon_area(points: np.ndarray) -> float:
    """The area of a closed polygon in pixels, exact (the shoelace formula).

    Example:
        >>> polygon_area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0]]))
        3.0
    """
    x, y = np.asarray(points, float).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def ejection_fraction(edv: float, esv: float) -> float:
    """In percent; NaN without a volume."""
    return 100 * (1 - esv / edv) if edv > 0 else float("nan")


def measure(ed: np.ndarray, es: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    """Volumes in ml, ejection fractions in percent and the LV's mass in g, from two masks.

    Args:
        ed: class numbers at end-diastole, any shape.
        es: the same at end-systole.
        voxel_mm3: volume of a voxel.
    """

    def ml(mask: np.ndarray, label: int) -> float:
        return float((mask == label).sum()) * voxel_mm3 / 1000

    out = {"lv_mass_g": ml(ed, MYOCARDIUM) * MYOCARDIUM_G_PER_ML}
    for side, label in (("lv", LV), ("rv", RV)):
        largest, smallest = ml(ed, label), ml(es, label)
        out |= {f"{side}edv_ml": largest, f"{side}esv_ml": smallest}
        out[f"{side}ef"] = ejection_fraction(largest, smallest)
    return out
