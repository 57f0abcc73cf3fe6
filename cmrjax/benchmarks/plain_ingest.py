"""The reference of `bench ingest`: what a researcher writes with pydicom and SciPy alone.

It neither looks for other imaging nor removes patient data, and its crops, windows and frames are
those of `prepare`, so it does less work to the same end.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pydicom
from scipy import ndimage

MIN_PHASES = 6


def read_cines(paths: Iterable[Path]) -> list[tuple[np.ndarray, tuple[float, float]]]:
    """Reads and groups single-frame files by series and position, phases by trigger time.

    Returns:
        For each cine, stored values `[t, h, w]` and the spacing of its rows and columns in mm.
    """
    groups = defaultdict(list)
    for path in paths:
        data = pydicom.dcmread(path)
        place = tuple(round(float(x), 1) for x in data.ImagePositionPatient)
        time = float(data.get("TriggerTime") or 0)
        spacing = tuple(float(x) for x in data.PixelSpacing)
        slope, intercept = data.get("RescaleSlope", 1), data.get("RescaleIntercept", 0)
        pixels = data.pixel_array
        if (slope, intercept) != (1, 0):
            pixels = pixels * float(slope) + float(intercept)
        groups[data.StudyInstanceUID, data.SeriesInstanceUID, place].append(
            (time, int(data.InstanceNumber), pixels, spacing)
        )
    cines = []
    for _, members in sorted(groups.items()):
        if len(members) >= MIN_PHASES:
            members.sort(key=lambda member: member[:2])
            cines.append((np.stack([member[2] for member in members]), members[0][3]))
    return cines


def prepare(folder: Path, output: Path, *, spacing_mm: float, size: int, frames: int) -> int:
    """Standardises every cine below a folder and keeps it as an .npz file.

    Returns:
        The number of cines.
    """
    output.mkdir(parents=True)
    cines = read_cines(sorted(path for path in folder.rglob("*") if path.is_file()))
    for i, (pixels, spacing) in enumerate(cines):
        cine = pixels.astype(np.float32)
        moving = ndimage.gaussian_filter(cine.std(0), 4)
        moving = moving * (moving > np.percentile(moving, 95))
        centre = np.array(ndimage.center_of_mass(moving), float)
        factors = (1, spacing[0] / spacing_mm, spacing[1] / spacing_mm)
        small = np.asarray(ndimage.zoom(cine, factors, order=1))
        half = size // 2
        padded = np.pad(small, ((0, 0), (half, half), (half, half)), mode="edge")
        row, column = np.rint(centre * factors[1:]).astype(int)
        crop = padded[:, row : row + size, column : column + size]
        crop = np.asarray(ndimage.zoom(crop, (frames / len(crop), 1, 1), order=1, mode="grid-wrap"))
        low, high = np.percentile(crop, [1, 99.5])
        scaled = np.clip((crop - low) * (255 / max(high - low, 1)), 0, 255)
        np.savez(output / f"{i:05d}.npz", cine=scaled.astype(np.uint8), spacing=spacing)
    return len(cines)
