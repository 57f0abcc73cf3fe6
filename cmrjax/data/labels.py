"""Tables that go with the images: report texts and labels, by study or accession number."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError

KEYS = ("study_instance_uid", "accession_number")
_UNKNOWN = frozenset(("nan", "na", "n/a", "none", "null", "?"))
_MAX_CLASSES = 50
_QUANTILES = 4


@dataclass(frozen=True)
class Table:
    """Rows by key.

    Args:
        key: the column that names the study, one of `KEYS`.
        columns: the other columns.
        rows: key -> the rows that name it, in the file's order.
    """

    key: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Mapping[str, str], ...]]

    def of(self, study_uid: str, accession: str) -> tuple[Mapping[str, str], ...]:
        """The rows of a study."""
        return self.rows.get(study_uid if self.key == KEYS[0] else accession, ())


def read_table(path: Path, *, required: Sequence[str] = ()) -> Table:
    """Reads a CSV file with a header line.

    Args:
        path: the file.
        required: columns that it must have, beside a key.

    Raises:
        UserError: it cannot be read, is empty, or lacks a column.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            listed = list(reader)
            columns = [str(c).strip() for c in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise UserError("cannot be read as CSV", where=str(path)) from None
    key = next((k for k in KEYS if k in columns), None)
    missing = [c for c in required if c not in columns]
    if key is None or missing:
        lacking = ", ".join([] if key else [" or ".join(KEYS)]) or ", ".join(missing)
        raise UserError(f"no column {lacking}", where=str(path))
    rows: dict[str, list[dict[str, str]]] = {}
    for row in listed:
        cells = {str(k).strip(): v.strip() for k, v in row.items() if isinstance(v, str)}
        clean = {k: "" if v.lower() in _UNKNOWN else v for k, v in cells.items()}
        if clean.get(key):
            rows.setdefault(clean[key], []).append(clean)
    if not rows:
        raise UserError("has no rows", where=str(path))
    others = tuple(c for c in columns if c and c not in KEYS)
    return Table(key, others, {k: tuple(v) for k, v in rows.items()})


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def infer_tasks(table: Table, where: str) -> dict[str, dict[str, Any]]:
    """The kind of each label column, from its values.

    Returns:
        Task -> {'kind': 'binary' | 'regression' | 'multiclass', 'classes': [...] (multiclass)}.

    Raises:
        UserError: a column holds free text: too many different values for classes.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for column in table.columns:
        values = sorted({r.get(column, "") for rows in table.rows.values() for r in rows} - {""})
        numbers = [_number(v) for v in values]
        if not values:
            continue
        if None not in numbers:
            binary = set(numbers) <= {0.0, 1.0}
            tasks[column] = {"kind": "binary" if binary else "regression"}
        elif len(values) > min(_MAX_CLASSES, max(2, len(table.rows) // 2)):
            # Names and numbers of patients look like this, too: they must not become classes.
            raise UserError(
                f"column {column} has {len(values)} different texts: not a label",
                where=where,
                fix="remove it",
            )
        else:
            tasks[column] = {"kind": "multiclass", "classes": values}
    return tasks


def encode(row: Mapping[str, str], tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """A label row as numbers: NaN where nothing is known, the class's number for multiclass."""
    out = {}
    for task, spec in tasks.items():
        text = row.get(task, "")
        if "classes" in spec:
            classes = spec["classes"]
            out[task] = float(classes.index(text)) if text in classes else math.nan
        else:
            number = _number(text)
            out[task] = math.nan if number is None else number
    return out


def strata(
    labels: Mapping[str, Mapping[str, float]],
    tasks: Mapping[str, Mapping[str, Any]],
    patient_of: Mapping[str, str],
) -> dict[str, np.ndarray]:
    """What each patient is stratified by: their classes, findings, and quarters of each number.

    Where there are classes, they alone count, so that they spread exactly.

    Args:
        labels: study -> task -> value.
        tasks: kind of each task.
        patient_of: study -> patient; every patient gets a row.

    Returns:
        Patient -> bool `[k]`.
    """
    many = [t for t, spec in sorted(tasks.items()) if spec["kind"] == "multiclass"]
    used = many or sorted(tasks)
    order = sorted(patient_of)
    columns: list[np.ndarray] = []
    for task in used:
        values = np.array([labels.get(s, {}).get(task, math.nan) for s in order])
        columns += _indicators(values, tasks[task])
    matrix = np.array(columns, bool).reshape(len(columns), len(order)).T
    out: dict[str, np.ndarray] = {}
    for study, row in zip(order, matrix, strict=True):
        patient = patient_of[study]
        out[patient] = out[patient] | row if patient in out else row.copy()
    return out


def _indicators(values: np.ndarray, spec: Mapping[str, Any]) -> Iterable[np.ndarray]:
    if spec["kind"] == "multiclass":
        return [values == c for c in range(len(spec["classes"]))]
    if spec["kind"] == "binary":
        return [values == 1]
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    edges = np.quantile(known, np.arange(1, _QUANTILES) / _QUANTILES)
    # Comparing with NaN is false on both sides, so an unknown value is in no quarter.
    bins = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)
    return [bins == b for b in range(_QUANTILES)]
