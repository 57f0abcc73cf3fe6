"""Every field that a dataset stores, where it comes from and why it says nothing of who it is.

This is DICOM PS3.15 Annex E read the other way round: nothing is removed from a header, because
only what stands here is ever taken out of one. `prepare` writes no dataset that `check` stops, and
a test holds the tables against the schema of a record, field by field, in both directions.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmrjax.data.contract import VIEWS
from cmrjax.data.deid.vocabulary import VENDORS
from cmrjax.data.splits import SPLIT_NAMES

_ID = re.compile(r"[0-9a-f]{16}")
_COUNT_NAME = re.compile(r"[A-Za-z0-9_]{1,40}(?:\.[A-Za-z0-9_]{1,40})?")


@dataclass(frozen=True)
class Field:
    """One stored field.

    Args:
        source: where its value comes from.
        why: why that does not identify anybody.
        form: 'id' (16 hexadecimal digits), 'number' (or a list of them, or nothing), 'pixels',
            'report', or the words that it may be.
    """

    source: str
    why: str
    form: str | Sequence[str] = "number"


_KEYED = "a keyed hash: without the key nobody goes back, or tries candidates"
_GEOMETRY = "a length or a number of the scan's planning, shared by countless scans"

# One for each feature of a record; `labels/<task>` and masks are the user's and the drawer's.
RECORD: Mapping[str, Field] = {
    "cine": Field(
        "PixelData: resampled, cropped around the heart, windowed to 8 or 16 bits",
        "marked images are left out (pixels.py), bits above the value are cut off, overlays are "
        "never read; a heart is no face",
        "pixels",
    ),
    "view": Field("SeriesDescription and geometry", "one word of a closed list", VIEWS),
    "slice_index": Field("order of ImagePositionPatient", _GEOMETRY),
    "slice_position_mm": Field("ImagePositionPatient along the slice normal", _GEOMETRY),
    "gap_mm": Field("distance between ImagePositionPatient", _GEOMETRY),
    "trigger_times_ms": Field("TriggerTime", "ms after the R wave; no time of a day"),
    "spacing_mm": Field("the contract", "the same for the whole dataset"),
    "original_spacing_mm": Field("PixelSpacing", _GEOMETRY),
    "original_size": Field("Rows, Columns", _GEOMETRY),
    "original_frames": Field("number of images of the slice", _GEOMETRY),
    "origin_mm": Field("ImagePositionPatient", "mm from where the scanner's laser happened to be"),
    "orientation": Field("ImageOrientationPatient", _GEOMETRY),
    "crop_centre": Field("motion in the pixels", "a place in the image"),
    "crop_confidence": Field("motion in the pixels", "how sure that place is"),
    "intensity_window": Field("percentiles of the pixels", "two numbers of a histogram"),
    "patient_id": Field("PatientID (or name and birth date)", _KEYED, "id"),
    "study_id": Field("StudyInstanceUID", _KEYED, "id"),
    "series_id": Field("SeriesInstanceUID", _KEYED, "id"),
    "report": Field(
        "--reports",
        "identifiers replaced, and withheld when some seem left (text.py); the one free text, and "
        "the one field that this page promises nothing of",
        "report",
    ),
    "labels": Field("--labels", "numbers of columns that the user chose"),
    "mask": Field("a public dataset's contours or masks", "drawn, not read", "pixels"),
    "mask_frames": Field("a public dataset's contours or masks", "which frames were drawn on"),
    "mask_classes": Field("a public dataset's contours or masks", "which classes were drawn"),
}
# The index repeats what records say, and where each lies.
INDEX: Mapping[str, Field] = {
    "shard": Field("the shard's number", "made here"),
    "offset": Field("place in the shard", "made here"),
    "length": Field("bytes of the record", "made here"),
    **{name: RECORD[name] for name in ("study_id", "patient_id", "view", "slice_index")},
}
# A row of series.jsonl, from which the data card is made.
SERIES: Mapping[str, Field] = {
    "study_id": RECORD["study_id"],
    "view": RECORD["view"],
    "slices": Field("number of slices", _GEOMETRY),
    "phases": RECORD["original_frames"],
    "spacing_mm": RECORD["original_spacing_mm"],
    "gap_mm": RECORD["gap_mm"],
    "size": RECORD["original_size"],
    "cropped_at_middle": Field("number of slices in which no heart was found", "made here"),
    "days_since_first": Field(
        "StudyDate, as days since the patient's first study here",
        "an interval; no date is stored anywhere, neither shifted nor whole",
    ),
    "vendor": Field("Manufacturer", "one word of a closed list", VENDORS),
    "field_strength_t": Field("MagneticFieldStrength", "one of the usual numbers"),
}
# A pair of studies that look alike, in dataset.json.
ALIKE: Mapping[str, Field] = {
    **{f"study_{which}": RECORD["study_id"] for which in "ab"},
    **{f"patient_{which}": RECORD["patient_id"] for which in "ab"},
    **{f"split_{which}": Field("the splits", "one word of three", SPLIT_NAMES) for which in "ab"},
    "distance": Field("hashes of the pixels", "how much the hashes differ; they are not kept"),
}
# dataset.json: what is said of the whole. Names of tasks and classes are the user's own.
INFO = (
    "name", "source", "public", "text_source", "licence", "imaging", "faded", "label_tasks",
    "counts", "rejected", "deidentified", "near_duplicates",
)  # fmt: skip


def check(
    *,
    info: Mapping[str, Any],
    series: Iterable[Mapping[str, Any]],
    studies: Iterable[Mapping[str, Any]],
) -> None:
    """Stops a dataset that would store what the tables do not list.

    Args:
        info: what `dataset.json` will hold.
        series: rows of `series.jsonl`.
        studies: what is kept of each study: 'study_id', 'patient_id', 'records' (view, slice).

    Raises:
        ValueError: a field is not listed, or a value is not of its form; none is quoted.
    """
    _check_info(info)
    _check_rows(ALIKE, info.get("near_duplicates", ()))
    _check_rows(SERIES, series)
    for study in studies:
        ids = {name: study[name] for name in ("study_id", "patient_id")}
        places = ({"view": view, "slice_index": i} for view, i in study["records"])
        _check_rows(INDEX, (ids, *places))


def _check_rows(fields: Mapping[str, Field], rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        for name, value in row.items():
            if name not in fields:
                raise ValueError(f"the field {name} is not in the allowlist (data/deid)")
            if not _has_form(value, fields[name].form):
                raise ValueError(f"a value of {name} is not of the form that the allowlist gives")


def _has_form(value: Any, form: str | Sequence[str]) -> bool:
    if not isinstance(form, str):
        return value in form
    if form == "id":
        return isinstance(value, str) and bool(_ID.fullmatch(value))
    if isinstance(value, list | tuple):
        return all(_has_form(v, form) for v in value)
    return form == "number" and (value is None or isinstance(value, int | float))


def _check_info(info: Mapping[str, Any]) -> None:
    if unknown := set(info) - set(INFO):
        raise ValueError(f"not in the allowlist (data/deid): {', '.join(sorted(unknown))}")
    for kind in ("counts", "rejected", "deidentified"):
        for name, count in info.get(kind, {}).items():
            if not _COUNT_NAME.fullmatch(name) or not isinstance(count, int):
                raise ValueError(f"something of {kind} is no count under a rule's name")
