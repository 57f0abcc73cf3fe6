"""Studies to measure reading with: one rendered phantom, copied under other identifiers."""

from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom.uid import UID

from cmrjax.data.phantom.dicom_writer import study_uid, write_study
from cmrjax.data.phantom.findings import truth
from cmrjax.data.phantom.render import render_study
from cmrjax.data.phantom.scanner import FULL

SEED = 0


def write_one(folder: Path, *, matrix: int) -> list[Path]:
    """One study of a hospital's size: 8 short-axis slices and long-axis views of 20 phases.

    Args:
        folder: made if missing.
        matrix: rows and columns.

    Returns:
        Its files, sorted: 231 with scouts and late enhancement.
    """
    profile = replace(FULL, sax_slices=(8, 8), phases=(20, 20), matrix=(matrix,))
    write_study(render_study(truth(SEED, 0), profile), folder, seed=SEED, index=0)
    return sorted(folder.glob("*.dcm"))


def write_many(folder: Path, files: list[Path], studies: int) -> None:
    """The same study under as many StudyInstanceUIDs."""
    before = study_uid(SEED, 0).encode()
    content = [(path.name, path.read_bytes()) for path in files]
    for i in range(studies):
        one = folder / f"study{i:03d}"
        one.mkdir(parents=True)
        after = study_uid(SEED, i + 1).encode()
        for name, data in content:
            (one / name).write_bytes(data.replace(before, after))


def write_long(folder: Path, files: list[Path], count: int) -> list[Path]:
    """One study of many files: the same images again and again, each time further along."""
    folder.mkdir(parents=True)
    paths = []
    for i in range(count):
        data = pydicom.dcmread(files[i % len(files)])
        x, y, z = map(float, data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, z + 400.0 * (i // len(files))]
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{10**30 + i}")
        paths.append(folder / f"{i:05d}.dcm")
        pydicom.dcmwrite(paths[-1], data)
    return paths
