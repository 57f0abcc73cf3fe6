"""What passes between a source, the engine and the shards: tasks, settings, results, records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from cmrjax.data.contract import DatasetContract
from cmrjax.data.crop import Crop
from cmrjax.data.deid.ids import Hasher
from cmrjax.data.duplicates import look
from cmrjax.data.geometry import Plane
from cmrjax.data.masks import Drawn
from cmrjax.data.shards import PackedRecord, record_features, serialize
from cmrjax.data.standardise import standardise


@dataclass(frozen=True)
class Settings:
    """What is the same for every study of a dataset.

    Args:
        contract: what each cine becomes.
        tasks: label tasks, sorted.
        hasher: makes the ids.
        fade: of two phases alone, a cycle that fades between them is made.
    """

    contract: DatasetContract
    tasks: tuple[str, ...]
    hasher: Hasher
    fade: bool = False


@dataclass(frozen=True)
class StudyTask:
    """One study to prepare.

    Args:
        study_uid: its identifier, before hashing.
        paths: its files, sorted.
        report: its report, before scrubbing.
        labels: task -> number, NaN where unknown.
        split: the official split that its patient is in; empty where there is none.
        facts: what the source's tables say of it, by the source's own names.
        shared: files of the same patient's other studies that its report is of, too: what they say
            of people is looked for in it.
    """

    study_uid: str
    paths: tuple[str, ...]
    report: str
    labels: Mapping[str, float]
    split: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyResult:
    """What became of one study.

    Args:
        study_id: its hashed id.
        patient_id: its patient's hashed id; empty when nothing was kept.
        records: its records, sorted by view and slice.
        labels: task -> number, NaN where unknown.
        rejected: what was left out, by reason.
        scrubbed: how often each de-identification rule applied.
        series: for the data card, a row for each stack.
        has_report: whether it has a report.
        day: when it was made, shifted by its patient's secret; nothing where that is unknown.
        person: its patient's name and birth date, hashed; never stored in a dataset. Empty where
            unknown.
    """

    study_id: str
    patient_id: str = ""
    records: tuple[PackedRecord, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    scrubbed: Mapping[str, int] = field(default_factory=dict)
    series: Sequence[Mapping[str, Any]] = ()
    has_report: bool = False
    day: int | None = None
    person: str = ""


@dataclass(frozen=True)
class RawCine:
    """One cine as scanned, ready to be standardised.

    Args:
        frames: float32 `[t, h, w]`.
        plane: its place in the patient.
        crop: where the heart is in it.
        view: its view.
        slice_index: its number in its stack.
        position_mm: its place along the slice normal.
        gap_mm: distance between the stack's slices.
        trigger_ms: time of each frame after the R wave, NaN where unknown, `[t]`.
        series_id: hashed id.
        drawn: its masks, or nothing.
    """

    frames: np.ndarray
    plane: Plane
    crop: Crop
    view: str
    slice_index: int
    position_mm: float
    gap_mm: float
    trigger_ms: np.ndarray
    series_id: str
    drawn: Drawn | None = None


_features = lru_cache(maxsize=4)(record_features)


def _times(trigger_ms: np.ndarray, count: int) -> np.ndarray:
    """Trigger times at resampled frames; past the last one the cycle goes on at its own pace."""
    t = len(trigger_ms)
    if t == count:
        return trigger_ms.astype(np.float32)
    step = float(np.median(np.diff(trigger_ms))) if t > 1 else 0.0
    longer = np.append(trigger_ms, trigger_ms[-1] + step)
    return np.interp(np.arange(count) * t / count, np.arange(t + 1), longer).astype(np.float32)


def pack(
    cine: RawCine,
    settings: Settings,
    *,
    study_id: str,
    patient_id: str,
    report: str,
    labels: Mapping[str, float],
) -> PackedRecord:
    """Standardises a cine and serializes its record."""
    contract = settings.contract
    # A model trained before a view had a name of its own knows its cines as unknown ones.
    view = cine.view if cine.view in contract.views else "unknown"
    done = standardise(
        cine.frames,
        spacing=cine.plane.spacing,
        centre=cine.crop.centre,
        spacing_mm=contract.spacing_mm,
        size=contract.size,
        count=contract.frames,
        dtype=contract.dtype,
        drawn=cine.drawn,
    )
    record: dict[str, Any] = {
        "cine": done.cine,
        "view": view,
        "slice_index": cine.slice_index,
        "slice_position_mm": cine.position_mm,
        "gap_mm": cine.gap_mm,
        "trigger_times_ms": _times(cine.trigger_ms, contract.frames),
        "spacing_mm": np.full(2, contract.spacing_mm, np.float32),
        "original_spacing_mm": cine.plane.spacing.astype(np.float32),
        "original_size": np.array(cine.frames.shape[1:], np.int32),
        "original_frames": len(cine.frames),
        "origin_mm": cine.plane.origin.astype(np.float32),
        "orientation": cine.plane.orientation.astype(np.float32),
        "crop_centre": cine.crop.centre.astype(np.float32),
        "crop_confidence": cine.crop.confidence,
        "intensity_window": np.array(done.window, np.float32),
        "patient_id": patient_id,
        "study_id": study_id,
        "series_id": cine.series_id,
        "report": report,
        "labels": {task: labels.get(task, math.nan) for task in settings.tasks},
    }
    if contract.masks:
        none = np.zeros(contract.frames, np.uint8)
        classes = none if done.mask_classes is None else done.mask_classes
        blank = np.zeros(done.cine.shape, np.uint8)
        record["mask"] = blank if done.mask is None else done.mask
        record["mask_frames"] = (classes > 0).astype(np.uint8)
        record["mask_classes"] = classes
    payload = serialize(_features(contract, settings.tasks), record)
    hashed = look(done.cine)
    return PackedRecord(payload, study_id, patient_id, view, cine.slice_index, hashed)
