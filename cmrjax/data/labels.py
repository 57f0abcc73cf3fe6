"""Labels: which columns of a table are tasks, of what kind, and their values as numbers.

A text of a cell may be a name, so none becomes part of a dataset unless the user listed it as a
class; what is wrong is named by column and row number, never quoted.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.deid.text import clean
from cmrjax.data.rows import read_rows
from cmrjax.data.tables import Row, Table, read_table

KINDS = ("binary", "regression", "multiclass")
_WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}
_QUANTILES = 4
# Nothing measured of a heart has seven digits before the point; record numbers and dates do.
_LARGEST = 1e6
_TASK_NAME = re.compile(r"[^\W_][\w .%()+-]{0,63}")
# Alone "number" and "birth" may be of anything ("number of scars", "birth weight").
_IDENTIFYING_ALONE = re.compile(
    r"(?:(?:patient|subject|case|person) ?)?(?:id|number|nr|no)|(?:date of )?birth|mobile|cell",
    re.IGNORECASE,
)
_IDENTIFYING = re.compile(
    r"\b(?:(?:patient|subject|case|person|study|exam|series|record|hospital|accession|account|order"
    r"|insurance|passport|identity) ?(?:id|number|nr|no|code)|id|(?:sur|fore|last|first|family"
    r"|given|maiden|nach|vor|familien|patient|subject|case|person)?names?|mrn|pid|dob"
    r"|birth ?(?:dates?|days?|place)|dates?|datum|geburts(?:datum|tag|ort)|address|adresse"
    r"|anschrift|(?:tele)?phones?|telefon|fax|(?:mobile|cell) (?:phone|number|no)|e ?mails?|mail"
    r"|zip(?: ?code)?|post(?:al)? ?code|plz|ssn|nhs(?: ?(?:no|number))?)\b",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_POINTS = "numbers have a comma for their point: write points, or part columns by semicolons"

Tasks = dict[str, dict[str, Any]]


def _number(text: str) -> float | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_labels(path: Path, declared: Path | None) -> tuple[Table, Tasks]:
    """Reads labels, and which of their columns are tasks.

    Args:
        path: the labels.
        declared: the list of tasks (`declared_tasks`); without it, what the values say.
    """
    table = read_table(path, where="--labels")
    if declared is None:
        table = _with_points(table, table.columns)
        return table, infer_tasks(table, "--labels")
    return declared_tasks(table, declared, where="--labels", declared="--label-tasks")


def _with_points(table: Table, columns: Collection[str]) -> Table:
    """The same numbers with a point for a decimal comma, where no comma parts the columns."""
    if not table.decimal_commas:
        return table

    def change(cells: Mapping[str, str]) -> dict[str, str]:
        return {
            column: text.replace(",", ".")
            if column in columns and _DECIMAL_COMMA.fullmatch(text)
            else text
            for column, text in cells.items()
        }

    return table.with_cells(table.columns, change)


def infer_tasks(table: Table, where: str) -> Tasks:
    """The kind of each label column, from its values: numbers, of which 0 and 1 are binary.

    Returns:
        Task -> {'kind': 'binary' | 'regression'}; a column without any value is no task.

    Raises:
        UserError: a column holds text, or looks like an identifier.
    """
    tasks: Tasks = {}
    for column in table.columns:
        texts = [text for row in table.rows if (text := row.cells.get(column))]
        numbers = [_number(text) for text in texts]
        if texts and all(_DECIMAL_COMMA.fullmatch(text) for text in texts):
            raise UserError(f"column {column} is wrong", where=where, fix=_POINTS)
        if numbers and all(value is None for value in numbers):
            # Names of patients and readers look like classes, too.
            raise UserError(
                f"column {column} holds texts, not labels",
                where=where,
                fix="remove it, or list it and its classes in --label-tasks",
            )
        if numbers:
            binary = {v for v in numbers if v is not None} <= {0.0, 1.0}
            tasks[column] = {"kind": "binary" if binary else "regression"}
    _check(table, tasks, where)
    return tasks


def declared_tasks(table: Table, path: Path, *, where: str, declared: str) -> tuple[Table, Tasks]:
    """The tasks that a second table names: `column`, `kind` and, if wanted, `task` and `classes`.

    Args:
        table: the labels.
        path: the CSV file that lists the tasks; `classes` are separated by semicolons.
        where: how messages name the labels.
        declared: how messages name the list.

    Returns:
        The labels with the listed columns alone, under the tasks' names, and the tasks.

    Raises:
        UserError: the list is wrong, or a label is not of its kind; rows are named by number.
    """
    names, tasks = {}, {}
    for number, row in read_rows(path, where=declared):
        column, kind = row.get("column", ""), row.get("kind", "")
        task = row.get("task") or column
        classes = [c.strip() for c in row.get("classes", "").split(";") if c.strip()]
        if column not in table.columns:
            problem = "names a column that the labels do not have"
        elif kind not in KINDS:
            problem = f"has a kind that is none of {', '.join(KINDS)}"
        elif (kind == "multiclass") != (len(set(classes)) > 1):
            problem = "needs classes for multiclass, two or more, and none otherwise"
        elif task in tasks or column in names:
            problem = "repeats a column or a task"
        elif any(clean(name).counts for name in classes):
            problem = "has a class that looks like an identifier"
        else:
            names[column] = task
            tasks[task] = {"kind": kind, **({"classes": classes} if classes else {})}
            continue
        raise UserError(f"row {number} {problem}", where=declared)
    if not tasks:
        raise UserError("lists no task", where=declared, fix="give columns column, task, kind")
    chosen = table.renamed(names)
    chosen = _with_points(chosen, [t for t, spec in tasks.items() if "classes" not in spec])
    _check(chosen, tasks, where)
    return chosen, tasks


def _check(table: Table, tasks: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Refuses names and values that are no labels."""
    for place, task in enumerate(tasks, start=1):
        if not _TASK_NAME.fullmatch(task) or clean(task).counts:
            raise UserError(
                f"the name of label {place} cannot be used", where=where, fix="rename it"
            )
        if _identifies(task):
            raise UserError(f"column {task} is no label", where=where, fix="leave it out")
    for task, spec in tasks.items():
        rows = [(row.number, text) for row in table.rows if (text := row.cells.get(task))]
        if bad := [n for n, text in rows if not _fits(text, spec)]:
            texts = [text for n, text in rows if n in bad]
            raise UserError(
                f"column {task} is {spec['kind']}: wrong in {_listed(bad)}",
                where=where,
                fix=_remedy(texts, spec["kind"]),
            )
        if bad := [n for n, text in rows if abs(_number(text) or 0.0) >= _LARGEST]:
            raise UserError(
                f"column {task} looks like an identifier or a date: {_listed(bad)}",
                where=where,
                fix="leave it out",
            )
    of_study: dict[str, list[Row]] = {}
    for row in table.rows:
        of_study.setdefault(row.name, []).append(row)
    for rows in of_study.values():
        merged(rows, where=where)


def _identifies(name: str) -> bool:
    """Whether a column's name has a word of who somebody is, however its words are joined.

    Example:
        >>> _identifies('phone number'), _identifies('patientName'), _identifies('no reflow')
        (True, True, False)
    """
    words = " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[^\w]|_", " ", name).split())
    return bool(_IDENTIFYING_ALONE.fullmatch(words) or _IDENTIFYING.search(words))


def _remedy(texts: Sequence[str], kind: str) -> str:
    """What to do about wrong cells, by what they are."""
    if kind == "multiclass":
        return "list its classes as they are written; cells without one are empty"
    if all(_DECIMAL_COMMA.fullmatch(text) for text in texts):
        return _POINTS
    wanted = "0/1 or yes/no" if kind == "binary" else "numbers alone, without units"
    return f"give {wanted}; unknown is empty, NA, n/a, #N/A, - or ."


def _fits(text: str, spec: Mapping[str, Any]) -> bool:
    if spec["kind"] == "multiclass":
        return text in spec["classes"]
    number = _number(text)
    return number in (0.0, 1.0) if spec["kind"] == "binary" else number is not None


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"row{'s' * (len(numbers) > 1)} {shown}{more}"


def merged(rows: Iterable[Row], *, where: str = "--labels") -> dict[str, str]:
    """One row of a study's several: of each column the value that is known.

    Raises:
        UserError: they differ; two rows of one study may add to each other alone.
    """
    out: dict[str, str] = {}
    held = tuple(rows)
    for row in held:
        for column, text in row.cells.items():
            if text and out.setdefault(column, text) != text:
                raise UserError(
                    f"column {column} differs between rows of one study: "
                    f"{_listed([row.number for row in held])}",
                    where=where,
                )
    return out


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
