"""Makes the golden list of real sample files, `tests/golden/dicom/samples.json`.

    python -m tests.data.dicom.golden reference DUMP.npz    (where pydicom has every decoder)
    python -m tests.data.dicom.golden write DUMP.npz        (where the extra `codecs` is installed)

The first is pydicom alone, with the GPL decoder of lossless and 12-bit JPEG too; the second reads
the same files as `prepare` does, with the extra and without it, and says how the two agree.
"""

import gzip
import hashlib
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cmrjax.data.dicom import Rejected, guard, read_images, study_of
from cmrjax.data.dicom.header import read_header
from cmrjax.data.dicom.layout import layout_of
from cmrjax.data.dicom.pixels import stored_pixels
from tests.data.dicom.hidden import without_codecs

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT.parent / "shared" / "data" / "dicom_samples"
GOLDEN = ROOT / "tests" / "golden" / "dicom" / "samples.json"


def sample_files() -> list[Path]:
    """The real sample files, sorted by name."""
    return sorted((p for p in SAMPLES.rglob("*") if p.is_file()), key=lambda p: p.name)


def by_pydicom(path: Path) -> np.ndarray | None:
    """The pixels as pydicom gives them; nothing where it gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            packed = path.suffix == ".gz"
            source = gzip.open(path) if packed else open(path, "rb")  # noqa: SIM115
            dataset = pydicom.dcmread(source, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:  # pydicom wants to be told
                implicit, little = dataset.original_encoding
                native = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
                syntax = ImplicitVRLittleEndian if implicit else native
                dataset.file_meta.TransferSyntaxUID = syntax
            return dataset.pixel_array
        except Exception:  # whatever it raises, there are no pixels
            return None


def by_us(path: Path, scratch: Path) -> np.ndarray | str:
    """The pixels of a file whatever it shows, in pydicom's shape; or why there are none."""
    try:
        name = opened(path, scratch)
        layout = layout_of(name, read_header(name))
        pixels = stored_pixels(layout, range(layout.shape.frames))
    except Rejected as rejected:
        return rejected.reason
    return pixels[0] if layout.shape.frames == 1 else pixels


def opened(path: Path, scratch: Path) -> str:
    """The file, or what is in it if it is compressed; its study does not matter here."""
    try:
        study_of(str(path))
    except Rejected as rejected:
        if rejected.reason == "archive":
            return guard.members(str(path), scratch=str(scratch / path.name))[0][0]
        if rejected.reason != "no_study":
            raise
    return str(path)


def as_image(path: Path, scratch: Path) -> str:
    """'images N' for what `prepare` would read, or why it would not."""
    try:
        name = opened(path, scratch)
        study_of(name)
        images = read_images(name)
    except Rejected as rejected:
        return rejected.reason
    return images[0].shared.quarantine or f"images {len(images)}"


def found(path: Path, scratch: Path) -> str:
    """The digest of a file's pixels, or why there are none."""
    ours = by_us(path, scratch)
    return ours if isinstance(ours, str) else digest(ours)


def digest(pixels: np.ndarray) -> str:
    """Of the values, whatever the order of their bytes in memory."""
    plain = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    head = f"{plain.shape} {plain.dtype.str} ".encode()
    return hashlib.sha256(head + plain.tobytes()).hexdigest()[:16]


def compare(ours: np.ndarray, reference: np.ndarray | None) -> str:
    """'equal', 'within N' grey levels, 'differs', or 'pydicom cannot'."""
    if reference is None:
        return "pydicom cannot"
    if ours.shape != reference.shape:
        return "differs"
    away = int(np.abs(ours.astype(np.int64) - reference.astype(np.int64)).max())
    return f"within {away}" if away else "equal"


def main(mode: str, dump: str) -> None:
    """Writes the dump, or the golden list."""
    logging.disable(logging.CRITICAL)
    here = {path.name: by_pydicom(path) for path in sample_files()}
    if mode == "reference":
        np.savez_compressed(dump, **{n: a for n, a in here.items() if a is not None})
        return
    with np.load(dump) as held:
        elsewhere = {name: held[name] for name in held.files}
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for path in sample_files():
            ours, row = by_us(path, scratch / "a"), {}
            if isinstance(ours, str):
                row["pixels"] = ours
            else:
                known = here[path.name]
                reference = elsewhere.get(path.name) if known is None else known
                row |= {"pixels": compare(ours, reference), "digest": digest(ours)}
            golden[path.name] = row | {"prepare": as_image(path, scratch / "b")}
        with without_codecs(scratch):
            for path in sample_files():
                row = golden[path.name]
                plain = found(path, scratch / "c")
                if plain != row.get("digest", row["pixels"]):
                    row["without_codecs"] = plain
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
