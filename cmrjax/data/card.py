"""The data card: what a dataset holds, as one plain object."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cmrjax.core.errors import CorruptDataError
from cmrjax.data.records import INFO_FILE, RecordSource, studies
from cmrjax.data.shards import SERIES_FILE
from cmrjax.data.splits import SPLIT_NAMES

_V = TypeVar("_V")
_NAMED = ("name", "source", "public", "text_source", "licence")
_BINS = 14  # at most, of a histogram
NOT_STORED = "not stored"  # by datasets without headers


def data_card(source: RecordSource) -> dict[str, Any]:
    """Counts what a dataset holds; reads one record of each study, for its labels and report.

    Returns:
        An object of JSON values: 'name', 'source', 'public', 'text_source', 'licence', 'studies',
        'patients', 'cines', 'by_view', 'by_source', 'by_vendor', 'by_field_strength', 'rejected',
        'counts', 'deidentified', 'faded', 'splits', 'contract', 'labels', 'reports', 'spacing_mm',
        'gap_mm', 'slices', 'phases', 'crops', 'near_duplicates', 'series'. Vendors and field
        strengths count studies; phases and spacing count cines, as they were scanned; gaps and
        slices count short-axis stacks.

    Raises:
        CorruptDataError: a record, `dataset.json` or `series.jsonl` is damaged.
    """
    index, info = source.index, source.info
    if missing := [
        key for key in (*_NAMED, "label_tasks", "rejected", "counts") if key not in info
    ]:
        raise CorruptDataError(f"has no {', '.join(missing)}", where=INFO_FILE)
    grouped = studies(index)
    firsts = [source.decode(source.payload(study.rows[0])) for study in grouped]
    series = read_series(source.directory)
    stacks = [row for row in series if row["view"] == "sax" and row["slices"] > 1]
    return {
        **{key: info[key] for key in _NAMED},
        "studies": len(grouped),
        "patients": len(set(index.patient_id)),
        "cines": len(index),
        "by_view": _counts(str(v) for v in index.view),
        "by_source": {info["source"]: len(grouped)},
        "by_vendor": _of_studies(series, "vendor", str),
        "by_field_strength": _of_studies(series, "field_strength_t", _tesla),
        "rejected": info["rejected"],
        "counts": info["counts"],
        "deidentified": info.get("deidentified", {}),
        "faded": info.get("faded", False),
        "splits": _splits(source, [(s.patient_id, len(s.rows)) for s in grouped]),
        "contract": asdict(source.contract),
        "labels": {
            task: _label(spec, np.array([first["labels"][task] for first in firsts]))
            for task, spec in info["label_tasks"].items()
        },
        "reports": _reports([first["report"] for first in firsts]),
        "spacing_mm": _spread(_each(series, lambda row: row["spacing_mm"][0])),
        "gap_mm": _spread([row["gap_mm"] for row in stacks]),
        "slices": _tally(row["slices"] for row in stacks),
        "phases": _tally(_each(series, lambda row: row["phases"])),
        "crops": _crops(series),
        "near_duplicates": info.get("near_duplicates", []),
        "series": series,
    }


def read_series(directory: Path) -> list[dict[str, Any]]:
    """Rows of `series.jsonl`: a stack or cine of a study each.

    Raises:
        CorruptDataError: it is missing or damaged, or a row lacks what is counted.
    """
    try:
        lines = (directory / SERIES_FILE).read_text().splitlines()
        rows = [json.loads(line) for line in lines if line]
        wanted = ("study_id", "view", "slices", "phases", "spacing_mm", "gap_mm")
        if all(row.keys() >= set(wanted) for row in rows):
            return rows
    except (OSError, ValueError, AttributeError):
        pass
    raise CorruptDataError("cannot be read", where=SERIES_FILE)


def _crops(series: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many cines are cropped around the heart's motion, and how many lacked it."""
    known = [row for row in series if "cropped_at_middle" in row]
    middle = sum(row["cropped_at_middle"] for row in known)
    slices = sum(row["slices"] for row in known)
    return {"around_the_heart": slices - middle, "at_the_middle": middle}


def _of_studies(
    series: Sequence[Mapping[str, Any]], field: str, name: Callable[[Any], str]
) -> dict[str, int]:
    """How many studies have each value of a field, which is the same in all rows of a study."""
    values = {row["study_id"]: name(row[field]) if field in row else NOT_STORED for row in series}
    return _counts(values.values())


def _tesla(value: float) -> str:
    return f"{value:g} T" if value else "unknown"


def _each(
    series: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], _V]
) -> list[_V]:
    """A row's value once for each of its cines."""
    return [value(row) for row in series for _ in range(row["slices"])]


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _tally(values: Iterable[int]) -> dict[str, int]:
    """Counts of whole numbers, in their order."""
    return {str(value): n for value, n in sorted(Counter(values).items())}


def _splits(source: RecordSource, members: Sequence[tuple[str, int]]) -> dict[str, Any]:
    assigned = source.splits.assignment
    named = {
        name: {
            "patients": len({p for p, _ in members if assigned[p][0] == name}),
            "studies": sum(assigned[p][0] == name for p, _ in members),
            "cines": sum(n for p, n in members if assigned[p][0] == name),
        }
        for name in SPLIT_NAMES
    }
    folds = Counter(fold for _, fold in assigned.values())
    return {**named, "folds": [folds[i] for i in range(source.splits.folds)]}


def _label(spec: Mapping[str, Any], values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    out: dict[str, Any] = {"kind": spec["kind"], "known": len(known)}
    if spec["kind"] == "binary":
        return out | {"positive": int((known == 1).sum())}
    if spec["kind"] == "multiclass":
        return out | {
            "classes": {name: int((known == i).sum()) for i, name in enumerate(spec["classes"])}
        }
    return out | _spread(known)


def _spread(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """How numbers are spread: the ends, the middle, mean and standard deviation, a histogram."""
    known = np.asarray(values, float)
    if not len(known):
        return {}
    out: dict[str, Any] = {
        "min": known.min(),
        "median": np.median(known),
        "max": known.max(),
        "mean": known.mean(),
        "sd": known.std(ddof=1) if len(known) > 1 else 0.0,
    }
    rounded = {name: round(float(value), 3) for name, value in out.items()}
    return rounded | {"histogram": _histogram(known)}


def _histogram(values: np.ndarray) -> dict[str, Any]:
    """Counts between round numbers.

    Returns:
        'start': where the first bin begins; 'width' of each bin; 'counts'.

    Example:
        >>> _histogram(np.array([48.0, 52.0, 53.0, 61.0]))
        {'start': 48.0, 'width': 1.0, 'counts': [1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]}
    """
    low, high = float(values.min()), float(values.max())
    # Of 1, 2, 5, 10, ... the first width that few enough bins cover.
    power = 10.0 ** math.floor(math.log10(max((high - low) / _BINS, 1e-6)))
    width, first, count = power, 0, _BINS + 1
    for step in (1, 2, 5, 10, 20):
        width = step * power
        first = math.floor(low / width)
        if (count := math.floor(high / width) - first + 1) <= _BINS:
            break
    places = np.floor(values / width).astype(int) - first
    counts = np.bincount(np.clip(places, 0, count - 1), minlength=count)
    return {
        "start": round(first * width, 6),
        "width": round(width, 6),
        "counts": [int(n) for n in counts],
    }


def _reports(reports: Sequence[str]) -> dict[str, Any]:
    """Lengths of the reports, and how many differ: templates and copies say the same of many."""
    texts = [text for text in reports if text.strip()]
    return {
        "studies_with_report": len(texts),
        "distinct": len(set(texts)),
        "words": _spread([len(text.split()) for text in texts]),
    }
