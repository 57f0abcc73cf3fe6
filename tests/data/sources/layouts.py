"""A small beating heart whose masks are known, and how the public layouts store such a thing."""

import csv
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from cmrjax import cli
from cmrjax.data.deid.ids import public_hasher
from cmrjax.data.geometry import LV_AXIS
from cmrjax.data.masks import LV, MYOCARDIUM, RV
from cmrjax.data.records import RecordSource
from tests.data.builders import write_image

SPACING, GAP = (1.5, 1.25), 8.0  # mm between rows, between columns; between slices
SLICES, PHASES, SHAPE = 5, 8, (44, 52)
ED, ES = 0, 4
LV_AT, RV_AT, FLAT = (30.0, 21.0), (14.0, 22.0), 1.2  # centres (x, y); width over height
# Where columns and rows grow, to left, back and up: a short axis as scanners write it.
COLUMNS = np.cross(-LV_AXIS, [0.0, 0.0, 1.0]) / np.linalg.norm(LV_AXIS[:2])
ROWS = np.cross(-LV_AXIS, COLUMNS)


def radii(part: float, *, weak: float = 1.0) -> tuple[float, float, float]:
    """Of the wall, the left and the right cavity, in columns, at a part of the cycle."""
    squeeze = weak * (1 - np.cos(2 * np.pi * part)) / 2
    return 12.3, 9.2 - 4 * squeeze, 6.3 - 2 * squeeze


def outline(centre: tuple[float, float], radius: float, corners: int = 200) -> np.ndarray:
    """A ventricle's edge as points (x, y) `[n, 2]`."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    shape = np.stack([np.cos(angle), np.sin(angle) / FLAT], 1)
    return np.array(centre) + radius * shape


def heart(*, weak: float = 1.0, phases: int = PHASES) -> tuple[np.ndarray, np.ndarray]:
    """A left ventricle that shrinks to mid-cycle, its wall, and a right one on its left side.

    Args:
        weak: 0 for a heart that does not move.
        phases: frames of the cycle.

    Returns:
        int16 images and uint8 class numbers, both `[z, t, h, w]`; the last slice shows no heart.
    """
    rows, columns = np.indices(SHAPE)
    masks = np.zeros((SLICES, phases, *SHAPE), np.uint8)
    for t in range(phases):
        from_lv = np.hypot((rows - LV_AT[1]) * FLAT, columns - LV_AT[0])
        from_rv = np.hypot((rows - RV_AT[1]) * FLAT, columns - RV_AT[0])
        wall, lv, rv = radii(t / phases, weak=weak)
        masks[:-1, t][:, from_lv < wall] = MYOCARDIUM
        masks[:-1, t][:, from_lv < lv] = LV
        masks[:-1, t][:, (from_rv < rv) & (from_lv >= wall)] = RV
    bright = np.array([60, 700, 250, 900])[masks] + rows + 2 * columns  # no axis looks like another
    return bright.astype(np.int16), masks


def save_stack(
    path: Path,
    stack: np.ndarray,
    *,
    spacing: tuple[float, float] = SPACING,
    gap: float = GAP,
    axes: tuple[int, int, int] = (1, 1, 1),
    swapped: bool = False,
    half_turn: bool = False,
) -> None:
    """Writes `[z, t, h, w]`, or `[z, h, w]`, as NIfTI.

    Args:
        path: where to.
        stack: slices.
        spacing: mm between rows and between columns.
        gap: mm between slices.
        axes: -1 for each of x, y and z that is stored backwards.
        swapped: whether x and y change places.
        half_turn: whether the header has left and right, front and back confused.
    """
    volume = np.moveaxis(stack, (0, -2, -1), (2, 1, 0))
    lps = np.stack([COLUMNS * spacing[1], ROWS * spacing[0], np.cross(COLUMNS, ROWS) * gap], 1)
    affine = np.eye(4)
    affine[:3, :3] = lps if half_turn else np.diag([-1, -1, 1]) @ lps
    image = nib.Nifti1Image(volume, affine)
    image.header.set_zooms((spacing[1], spacing[0], gap, *(1.0,) * (volume.ndim - 3)))
    order = [(1, axes[1]), (0, axes[0])] if swapped else [(0, axes[0]), (1, axes[1])]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(np.array([*order, (2, axes[2])])), path)


def save_dicom(
    folder: Path,
    stack: np.ndarray,
    name: Callable[[int, int], str],
    *,
    study: int = 1,
    series: int = 1,
    **tags,
) -> None:
    """Writes `[z, t, h, w]` as DICOM, a file an image.

    Args:
        folder: where to.
        stack: slices.
        name: of the file of slice z and phase t.
        study: its number.
        series: of all the slices.
        tags: pydicom keywords; a function is asked for slice z and phase t.
    """
    normal, phases = np.cross(COLUMNS, ROWS), stack.shape[1]
    for z, cine in enumerate(stack):
        for t, pixels in enumerate(cine):
            number = z * phases + t + 1
            own = {key: v(z, t) if callable(v) else v for key, v in tags.items()}
            write_image(
                folder / name(z, t),
                pixels=pixels.astype(np.uint16),
                **{
                    "StudyInstanceUID": f"1.2.826.{study}",
                    "SeriesInstanceUID": f"1.2.826.{study}.{series}",
                    "SOPInstanceUID": f"1.2.826.{study}.{series}.{number}",
                    "SeriesNumber": series,
                    "InstanceNumber": number,
                    "TriggerTime": t * 100.0,
                    "ImageOrientationPatient": [*COLUMNS.round(6), *ROWS.round(6)],
                    "ImagePositionPatient": list((z * GAP * normal).round(4)),
                    "PixelSpacing": list(SPACING),
                    **own,
                },
            )


def save_points(path: Path, points: np.ndarray) -> None:
    """Writes a contour as lines `x y`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x:.2f} {y:.2f}\n" for x, y in points))


def renumber(masks: np.ndarray, classes: dict[int, int]) -> np.ndarray:
    """Our class numbers as another source's; `classes` is theirs -> ours."""
    out = np.zeros_like(masks)
    for theirs, ours in classes.items():
        out[masks == ours] = theirs
    return out


def volume_ml(mask: np.ndarray, label: int) -> float:
    """The volume of a class, of the spacing above."""
    return float((mask == label).sum()) * SPACING[0] * SPACING[1] * GAP / 1000


def write_table(path: Path, rows: list[dict]) -> None:
    """Writes a CSV file with the columns of its first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def prepare(source: str, folder: Path, output: Path, *words: object) -> RecordSource:
    """Runs the command and opens what it wrote."""
    fixed = ["--source", source, "--input", folder, "--output", output, "--workers", 1]
    assert cli.main(["prepare", *map(str, [*fixed, *words])]) == 0
    return RecordSource(output)


def by_case(dataset: RecordSource, cases: list[str]) -> dict[str, list[dict]]:
    """The records of each case, by the case's own name."""
    hasher = public_hasher(dataset.info["source"])
    records = [dataset[i] for i in range(len(dataset))]
    return {
        case: [r for r in records if r["study_id"] == hasher.id("study", case)] for case in cases
    }


def split_of(dataset: RecordSource, patient: str) -> str:
    """The split that a patient is in."""
    hashed = public_hasher(dataset.info["source"]).id("patient", patient)
    return dataset.splits.assignment[hashed][0]
