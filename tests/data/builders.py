"""Small DICOM exports and datasets with known answers."""

import math
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cmrjax.data.contract import VIEWS, DatasetContract
from cmrjax.data.shards import PackedRecord, record_features, write_dataset
from cmrjax.data.splits import make_splits

SAX = (0.0, 0.8, -0.6, -0.7, -0.43, -0.57)  # close to a short axis; not quite perpendicular
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def contract(**changes) -> DatasetContract:
    fields = {
        "spacing_mm": 2.0,
        "size": 16,
        "frames": 4,
        "orientation": "acquired",
        "intensity": "percentile:1-99.5",
        "dtype": "uint8",
        "crop": "motion",
        "views": VIEWS,
        "masks": False,
        "id_namespace": "public:test",
    }
    return DatasetContract(**(fields | changes))


def write_image(path: Path, *, pixels: np.ndarray, implicit: bool = False, **tags) -> None:
    """One MR image; `tags` are pydicom keywords that replace the defaults."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID", "1.2.3")
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    defaults = {
        "SOPInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2.826.1",
        "SeriesInstanceUID": "1.2.826.1.1",
        "Modality": "MR",
        "PatientID": "P1",
        "PatientName": "Testperson^Erika",
        "AccessionNumber": "A1",
        "SeriesDescription": "cine SAX",
        "InstanceNumber": 1,
        "ImagePositionPatient": [0.0, 0.0, 0.0],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [2.0, 2.0],
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    for name, value in (defaults | tags).items():
        if value is not None:
            setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def beating(phases: int = 8, size: int = 32, *, centre: tuple[float, float] | None = None):
    """A disc that shrinks and grows, uint16 `[t, h, w]`."""
    row, column = centre or ((size - 1) / 2,) * 2
    rows, columns = np.indices((size, size))
    away = np.hypot(rows - row, columns - column)
    radius = 6 + 2 * np.cos(2 * np.pi * np.arange(phases) / phases)
    return (100 + 800 * (away < radius[:, None, None])).astype(np.uint16)


def write_cine(
    folder: Path,
    *,
    study: int = 1,
    series: int = 1,
    position: float = 0.0,
    phases: int = 8,
    first_instance: int = 1,
    frames: np.ndarray | None = None,
    **tags,
) -> None:
    """One slice position of an axial series, a file a phase, in an order that names do not give."""
    frames = beating(phases) if frames is None else frames
    for t, pixels in enumerate(frames):
        number = first_instance + t
        uid = f"1.2.826.{study}.{series}.{number}"
        write_image(
            folder / f"{(number * 7919) % 1000:03d}_{series}_{number}.dcm",
            pixels=pixels,
            **{
                "SOPInstanceUID": uid,
                "StudyInstanceUID": f"1.2.826.{study}",
                "SeriesInstanceUID": f"1.2.826.{study}.{series}",
                "PatientID": f"P{study}",
                "AccessionNumber": f"A{study}",
                "InstanceNumber": number,
                "TriggerTime": t * 100.0,
                "ImagePositionPatient": [0.0, 0.0, position],
                **tags,
            },
        )


def write_small_dataset(folder: Path, *, studies: int = 12, cines: int = 2, shards: int = 2):
    """A dataset of random cines, two tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    fixed, rng = contract(), np.random.default_rng(0)
    features = record_features(fixed, ("finding", "lvef"))
    ids = sorted(f"{rng.integers(2**32):08x}{i:08x}" for i in range(studies))

    def record(study: str, i: int) -> PackedRecord:
        pair = np.ones(2, np.float32)
        payload = features.serialize_example(
            {
                "cine": rng.integers(0, 256, (4, 16, 16)).astype(np.uint8),
                "view": "sax",
                "slice_index": i,
                "slice_position_mm": 8.0 * i,
                "gap_mm": 8.0,
                "trigger_times_ms": np.arange(4, dtype=np.float32),
                "spacing_mm": pair,
                "original_spacing_mm": pair,
                "original_size": np.array([16, 16], np.int32),
                "original_frames": 4,
                "origin_mm": np.zeros(3, np.float32),
                "orientation": np.array(AXIAL, np.float32),
                "crop_centre": pair,
                "crop_confidence": 1.0,
                "intensity_window": pair,
                "patient_id": study[::-1],
                "study_id": study,
                "series_id": study,
                "report": f"Findings: Kammergröße normal, {i}.",
                "labels": {"finding": 1.0, "lvef": math.nan},
            }
        )
        return PackedRecord(payload, study, study[::-1], "sax", i)

    write_dataset(
        folder,
        info={
            "name": "cmr_test",
            "source": "dicom",
            "public": True,
            "text_source": "report",
            "licence": "none",
            "label_tasks": {"finding": {"kind": "binary"}, "lvef": {"kind": "regression"}},
            "counts": {},
            "rejected": {},
        },
        contract=fixed,
        splits=make_splits({s[::-1]: np.array([i % 3 == 0]) for i, s in enumerate(ids)}),
        studies=[(s, [record(s, i) for i in range(cines)]) for s in ids],
        shards=shards,
    )
