"""NIfTI volumes as stacks of slices: what the segmentation challenges' layouts share.

NIfTI keeps no DICOM orientation, and converters flip and swap axes as they like (axis codes LPS,
PIL, IRA and ARI are all met). Where the affine tells, rows and columns are put back as scanners
write them, so that hearts of all sources lie alike; see `scanner_order`.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from cmrjax.data.crop import crops
from cmrjax.data.dicom import Rejected
from cmrjax.data.geometry import Plane
from cmrjax.data.masks import LV, RV, Drawn, relabel
from cmrjax.data.reasons import NO_CYCLE
from cmrjax.data.study import RawCine, Settings

MAX_VOXELS = 1 << 27  # half a gigabyte as float32; the largest M&Ms cine has a quarter of that
_WIDEST = 8  # bytes of a number; wider ones are complex or longer than anybody stores
_BROKEN = (
    *(ImageFileError, HeaderDataError, OSError, EOFError, zlib.error),
    *(ValueError, OverflowError, TypeError),
)
_LPS = np.diag([-1.0, -1.0, 1.0])  # NIfTI's right, front, up to DICOM's left, back, up


@dataclass(frozen=True)
class Volume:
    """A NIfTI file as stored.

    Args:
        values: of any number type, `[x, y, z, t]`.
        zooms: mm between voxels along x, y and z, `[3]`.
        directions: of the stored axes in the patient, to left, back and up, `[3, 3]`, a column an
            axis; unit length.
        origin: of the first voxel's centre, mm to left, back and up, `[3]`.
    """

    values: np.ndarray
    zooms: np.ndarray
    directions: np.ndarray
    origin: np.ndarray


@dataclass(frozen=True)
class Order:
    """How stored axes become slices, rows and columns.

    Args:
        axes: which stored axis (0 x, 1 y) grows along the rows, and which along the columns.
        flipped: whether slices, rows and columns run against their stored axis.
    """

    axes: tuple[int, int] = (1, 0)
    flipped: tuple[bool, bool, bool] = (False, False, False)


@dataclass(frozen=True)
class Stack:
    """A stack of slices over time.

    Args:
        frames: of any number type, `[z, t, h, w]`.
        planes: of the slices in the patient.
        gap_mm: distance between slices.
    """

    frames: np.ndarray
    planes: Sequence[Plane]
    gap_mm: float

    @property
    def voxel_mm3(self) -> float:
        """The volume of a voxel."""
        return float(np.prod(self.planes[0].spacing) * self.gap_mm)


def read_volume(path: Path) -> Volume:
    """Reads a file of three or four axes.

    Args:
        path: `.nii` or `.nii.gz`.

    Raises:
        Rejected: it is missing, damaged, too large, or has another number of axes.
    """
    if not path.is_file():
        raise Rejected("missing")
    try:
        image = nib.load(path)  # type: ignore[attr-defined]
        if not isinstance(image, nib.Nifti1Image):  # of which NIfTI-2 is a kind
            raise Rejected("bad_nifti")
        shape = tuple(int(n) for n in image.shape)
        if len(shape) < 3 or min(shape) < 1 or max(shape[4:], default=1) > 1:
            raise Rejected("not_a_stack")
        wide = np.dtype(image.get_data_dtype()).itemsize > _WIDEST
        if wide or np.prod(shape, dtype=float) > MAX_VOXELS:  # before anything is allocated
            raise Rejected("too_large")
        zooms = np.array(image.header.get_zooms()[:3], float)
        if not (np.isfinite(zooms).all() and zooms.min() >= 0.05 and zooms.max() <= 50):
            raise Rejected("no_geometry")
        values = _scaled(image.dataobj).reshape(*shape[:3], -1)
        affine = _LPS @ np.asarray(image.affine, float)[:3]
    except _BROKEN:
        raise Rejected("bad_nifti") from None
    if values.dtype.kind not in "iuf":
        raise Rejected("bad_nifti")
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() <= 0:
        affine, lengths = np.eye(3, 4), np.ones(3)
    return Volume(values, zooms, affine[:, :3] / lengths, affine[:, 3])


def either(folder: Path, stem: str) -> Path:
    """A file by its stem, `.nii.gz` or, where someone unpacked it, `.nii`."""
    plain = folder / f"{stem}.nii"
    return plain if plain.is_file() else folder / f"{stem}.nii.gz"


def _scaled(stored: Any) -> np.ndarray:
    """Stored numbers with their scale applied: as they are, or float32 where nibabel takes 64."""
    values = stored.get_unscaled()
    if (stored.slope, stored.inter) != (1, 0):
        return values.astype(np.float32) * np.float32(stored.slope) + np.float32(stored.inter)
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def scanner_order(directions: np.ndarray) -> Order:
    """How to turn a volume so that its slices lie as scanners write them.

    Scanners write an upright slice (its normal closer to left or front) with the head above and
    columns growing to the back or the left; a lying one (normal closer to the feet) with rows
    growing to the back and columns to the left. Slices follow the normal of rows and columns.

    Args:
        directions: of the stored axes to left, back and up, `[3, 3]`, a column an axis.
    """
    x, y, z = directions.T
    main = int(np.argmax(np.abs(np.cross(x, y))))
    down = np.array([0, 1, 0] if main == 2 else [0, 0, -1])
    across = np.array([0, 1, 0] if main == 0 else [1, 0, 0])
    rows, columns = (0, 1) if abs(x @ down) > abs(y @ down) else (1, 0)
    row_sign = -1 if directions[:, rows] @ down < 0 else 1
    column_sign = -1 if directions[:, columns] @ across < 0 else 1
    normal = np.cross(column_sign * directions[:, columns], row_sign * directions[:, rows])
    return Order((rows, columns), (bool(normal @ z < 0), row_sign < 0, column_sign < 0))


def mend_directions(volume: Volume, mask: np.ndarray) -> Volume:
    """Turns the patient by half a turn about the body's axis where the header has it backwards.

    Some of M&Ms-2 is written with DICOM's left and back where NIfTI means right and front. The
    right ventricle tells: it lies to the right of the left one.

    Args:
        volume: an image.
        mask: its class numbers, ours, `[x, y, z]`.

    Returns:
        The same volume, also where the mask lacks one of the ventricles.
    """
    rv, lv = np.argwhere(mask == RV), np.argwhere(mask == LV)
    if not len(rv) or not len(lv):
        return volume
    to_rv = volume.directions @ ((rv.mean(0) - lv.mean(0)) * volume.zooms)
    if to_rv[0] <= 0:
        return volume
    turned, origin = _LPS @ volume.directions, _LPS @ volume.origin
    return replace(volume, directions=turned, origin=origin)


def arrange(values: np.ndarray, order: Order) -> np.ndarray:
    """Stored values `[x, y, z, t]` as slices `[z, t, h, w]`."""
    a, b, c = (-1 if flipped else 1 for flipped in order.flipped)
    return values.transpose(2, 3, *order.axes)[::a, :, ::b, ::c]


def stack_of(volume: Volume, order: Order) -> Stack:
    """A volume as a stack of slices."""
    frames = arrange(volume.values, order)
    rows, columns = order.axes
    turned = dict(zip((2, rows, columns), order.flipped, strict=True))
    steps = {k: volume.directions[:, k] * (-1 if turned[k] else 1) for k in turned}
    size = volume.values.shape
    first = volume.origin - sum(
        steps[k] * volume.zooms[k] * (size[k] - 1) for k in turned if turned[k]
    )
    orientation = np.concatenate([steps[columns], steps[rows]])
    spacing, gap = volume.zooms[[rows, columns]], float(volume.zooms[2])
    planes = [Plane(first + z * gap * steps[2], orientation, spacing) for z in range(len(frames))]
    return Stack(frames, planes, gap)


def read_classes(path: Path, image: Volume, classes: Mapping[int, int]) -> np.ndarray:
    """An image's class numbers, ours, in stored order.

    Args:
        path: the file of class numbers.
        image: what they were drawn on.
        classes: the source's class numbers -> ours.

    Returns:
        uint8 `[x, y, z, t]`.

    Raises:
        Rejected: it cannot be read, is of another size, or holds a class that nobody defined.
    """
    mask = read_volume(path).values
    if mask.shape[:3] != image.values.shape[:3]:
        raise Rejected("shapes_differ")
    try:
        return relabel(mask, classes)
    except ValueError:
        raise Rejected("unknown_class") from None


def phase_numbers(facts: Mapping[str, str], image: Volume) -> tuple[int, int] | None:
    """The frames 'ED' and 'ES' that a table names, counted from 0; nothing where they are none."""
    try:
        ed, es = (int(float(facts.get(key, ""))) for key in ("ED", "ES"))
    except (ValueError, OverflowError):
        return None
    frames = image.values.shape[3]
    return (ed, es) if 0 <= ed < frames and 0 <= es < frames and ed != es else None


def stack_cines(
    stack: Stack,
    masks: Mapping[int, np.ndarray],
    *,
    classes: int,
    view: str,
    series_id: str,
) -> list[RawCine]:
    """A stack's slices as cines that share one centre, found without the masks.

    Args:
        stack: the stack.
        masks: frame -> its mask `[z, h, w]`.
        classes: bits of the classes that the masks show.
        view: the view of every slice.
        series_id: hashed id.
    """
    # All are one stack, whichever view it is of.
    found = crops(["sax"] * len(stack.planes), list(stack.frames), stack.planes)
    frames, bits = tuple(masks), (classes,) * len(masks)
    return [
        RawCine(
            frames=cine,
            plane=stack.planes[z],
            crop=found[z],
            view=view,
            slice_index=z,
            position_mm=z * stack.gap_mm,
            gap_mm=stack.gap_mm if len(stack.frames) > 1 else 0.0,
            trigger_ms=np.full(len(cine), np.nan),
            series_id=series_id,
            drawn=Drawn(np.stack([m[z] for m in masks.values()]), frames, bits) if masks else None,
        )
        for z, cine in enumerate(stack.frames)
    ]


def require_cycle(phases: int, settings: Settings) -> None:
    """Two phases make no cycle: between them a resampled one shows a cross-fade, no motion.

    Args:
        phases: frames that there are.
        settings: of the dataset.

    Raises:
        Rejected: more than two are asked of ED and ES alone, and no fading.
    """
    if settings.contract.frames > 2 >= phases and not settings.fade:
        raise Rejected(NO_CYCLE)


def only_frames(stack: Stack, frames: Sequence[int]) -> Stack:
    """The same stack with some of its frames alone."""
    return replace(stack, frames=stack.frames[:, list(frames)])
