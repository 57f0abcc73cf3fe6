"""Predictions by case, and the CSV file that holds them.

Every number an evaluator reports about a model can be computed again from `predictions.csv` alone.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError

COLUMNS = ("evaluator", "encoder", "patient_id", "study_id", "task", "target", "prediction")
REQUIRED = ("patient_id", "study_id", "task", "target", "prediction")
RANK_TASKS = ("report_to_study", "study_to_report")


@dataclass(frozen=True)
class Predictions:
    """What one encoder predicted for one task.

    Args:
        evaluator: 'zero_shot', 'linear_probe', 'retrieval', ...
        encoder: 'checkpoint', 'random', 'trivial', ...
        task: name of the label; one class of a multiclass task is `task:class`.
        kind: 'binary' (prediction: any score), 'probability' (binary, prediction in 0..1),
            'multiclass' (target and prediction: class indices), 'regression', or 'rank'
            (prediction: the rank of the right answer, 1 is best; target: always 1), or 'share'
            (prediction: the share of a map inside the heart; target: that of a uniform map).
        patient_id: `[n]` keyed hashes.
        study_id: `[n]` keyed hashes.
        target: `[n]` float; no NaN.
        prediction: `[n]` float.
        stratum: `[n]`, the fold of each case where folds are pooled; ranks are compared within.
    """

    evaluator: str
    encoder: str
    task: str
    kind: str
    patient_id: np.ndarray
    study_id: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    stratum: np.ndarray | None = None

    def known(self) -> "Predictions":
        """Without the cases whose target is unknown (NaN)."""
        return self.take(np.flatnonzero(np.isfinite(self.target)))

    def take(self, rows: np.ndarray) -> "Predictions":
        """The cases `rows`, in that order."""
        return replace(
            self,
            patient_id=self.patient_id[rows],
            study_id=self.study_id[rows],
            target=self.target[rows],
            prediction=self.prediction[rows],
            stratum=None if self.stratum is None else self.stratum[rows],
        )


def to_csv(predictions: Iterable[Predictions]) -> bytes:
    """The content of `predictions.csv`; floats keep every digit."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for p in predictions:
        for case in zip(p.patient_id, p.study_id, p.target, p.prediction, strict=True):
            patient, study, target, prediction = case
            row = (p.evaluator, p.encoder, patient, study, p.task)
            writer.writerow((*row, repr(float(target)), repr(float(prediction))))
    return text.getvalue().encode()


def read_predictions(path: Path) -> list[Predictions]:
    """Reads a predictions file; cases without a target are left out.

    Args:
        path: a CSV with the columns `patient_id, study_id, task, target, prediction`, and perhaps
            `evaluator` and `encoder`.

    Raises:
        UserError: the file is missing or empty, lacks a column, holds something that is not a
            number, or has a case twice.
    """
    groups: dict[tuple[str, str, str], dict[str, tuple[str, float, float]]] = {}
    for number, row in _rows(path):
        where = f"{path} line {number}"
        key = (row.get("evaluator") or "", row.get("encoder") or "model", row["task"])
        target = _number(row, "target", where)
        prediction = _number(row, "prediction", where)
        cases = groups.setdefault(key, {})
        if row["study_id"] in cases:
            raise UserError("a study occurs twice in one task", where=where, fix="keep one of them")
        if not np.isnan(target):
            if np.isnan(prediction):
                raise UserError("the prediction is missing", where=where)
            cases[row["study_id"]] = (row["patient_id"], target, prediction)
    if not any(groups.values()):
        raise UserError("holds no predictions", where=str(path))
    parents = {(e, name, task.partition(":")[0]) for e, name, task in groups if ":" in task}
    return [_group(key, cases, key in parents) for key, cases in groups.items() if cases]


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of every row, the columns checked."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError:
        raise UserError("is a folder", where=str(path), fix="give a predictions.csv") from None
    except FileNotFoundError:
        raise UserError("no such file", where=str(path), fix="give a predictions.csv") from None
    except (OSError, UnicodeDecodeError):
        raise UserError("cannot be read as text", where=str(path)) from None
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = reader.fieldnames or ()
        if missing := [name for name in REQUIRED if name not in names]:
            fix = f"the file needs {', '.join(REQUIRED)}"
            raise UserError(f"no column {', '.join(missing)}", where=str(path), fix=fix)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"is not a CSV file ({error})", where=str(path)) from None
    for number, row in rows:
        if None in row or None in row.values():
            raise UserError("has another number of fields", where=f"{path} line {number}")
        if empty := [n for n in ("patient_id", "study_id", "task") if not row[n].strip()]:
            raise UserError(f"{empty[0]} is empty", where=f"{path} line {number}")
    return rows


def _number(row: dict[str, str], column: str, where: str) -> float:
    """A float; empty is NaN. The text itself is not repeated: it may be anything."""
    text = row[column].strip()
    try:
        value = float(text) if text else float("nan")
    except ValueError:
        raise UserError(f"{column} is not a number", where=where) from None
    if np.isinf(value):
        raise UserError(f"{column} is infinite", where=where)
    return value


def _group(
    key: tuple[str, str, str], cases: dict[str, tuple[str, float, float]], has_classes: bool
) -> Predictions:
    evaluator, encoder, task = key
    target = np.array([c[1] for c in cases.values()])
    prediction = np.array([c[2] for c in cases.values()])
    return Predictions(
        evaluator=evaluator,
        encoder=encoder,
        task=task,
        kind=_kind(evaluator, task, has_classes, target, prediction),
        patient_id=np.array([c[0] for c in cases.values()]),
        study_id=np.array(list(cases)),
        target=target,
        prediction=prediction,
    )


def _kind(
    evaluator: str, task: str, has_classes: bool, target: np.ndarray, prediction: np.ndarray
) -> str:
    """What kind of task the numbers are, since the file does not say."""
    if task.startswith(RANK_TASKS):
        return "rank"
    if evaluator.startswith("attention"):
        return "share"
    if has_classes:
        return "multiclass"
    if not np.isin(target, (0, 1)).all():
        return "regression"
    in_unit = prediction.min() >= 0 and prediction.max() <= 1
    return "probability" if in_unit and evaluator != "zero_shot" else "binary"


def pool_predictions(paths: Sequence[Path]) -> list[Predictions]:
    """Out-of-fold predictions of several folds as one set, to be resampled by patient together.

    Args:
        paths: the predictions file of each fold; every study occurs in one of them.

    Returns:
        One entry for each (evaluator, encoder, task), cases in the order of the files, the file as
        stratum: ranks pooled over folds would compare two models, and even the prevalence, low in
        training where it is high in testing, would seem to predict the wrong way.

    Raises:
        UserError: a study is predicted in two folds, or a fold lacks an encoder or a task.
    """
    if len(paths) == 1:
        return read_predictions(paths[0])
    folds = [{(p.evaluator, p.encoder, p.task): p for p in read_predictions(f)} for f in paths]
    keys = list(dict.fromkeys(key for fold in folds for key in fold))
    for path, fold in zip(paths, folds, strict=True):
        if missing := [key for key in keys if key not in fold]:
            raise UserError(f"has no predictions of {' '.join(missing[0])}", where=str(path))
    return [_pool([fold[key] for fold in folds]) for key in keys]


def _pool(parts: Sequence[Predictions]) -> Predictions:
    first = parts[0]
    study_id = np.concatenate([p.study_id for p in parts])
    if len(set(study_id)) < len(study_id):
        where = f"{first.encoder} {first.task}"
        raise UserError("a study is predicted in two folds", where=where)
    kinds = {p.kind for p in parts}
    # A fold with 0 and 1 alone may look binary where the whole is not.
    kind = first.kind if len(kinds) == 1 else ("regression" if "regression" in kinds else "binary")
    return replace(
        first,
        kind=kind,
        patient_id=np.concatenate([p.patient_id for p in parts]),
        study_id=study_id,
        target=np.concatenate([p.target for p in parts]),
        prediction=np.concatenate([p.prediction for p in parts]),
        stratum=np.repeat(np.arange(len(parts)), [len(p.target) for p in parts]),
    )
