"""What every public dataset's module gives to `prepare`, and what those modules share."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Image, Rejected
from cmrjax.data.sources.dicom_cines import Stacks
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask, pack

MEASURES = ("lvedv_ml", "lvesv_ml", "lvef", "rvedv_ml", "rvesv_ml", "rvef", "lv_mass_g")


@dataclass(frozen=True)
class Plan:
    """A dataset's studies, found but not read.

    Args:
        studies: one task for each, sorted by id.
        rejected: what was left out already, by reason.
    """

    studies: Sequence[StudyTask]
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PublicSource:
    """A public dataset in its own layout.

    Args:
        plan: finds the studies below the input folder; stops with a UserError that names the
            expected layout where there are none.
        process: the pure function of one study.
        tasks: kind of each label task.
        licence: what the data may be used for, and whom to cite.
        frames: frames a cycle, unless the user asks for another number. For sources that name
            end-diastole and end-systole, 2 means these two.
        masks: whether experts drew on it.
        text_source: 'from_labels' where reports are made from labels, or 'none'.
        imaging: 'cine', or what else the images are; anything else is stored as single frames.
        table: the column by which `find_table` knows its table, which may lie beside the input.
    """

    plan: Callable[[Path], Plan]
    process: Callable[[StudyTask, Settings], StudyResult]
    tasks: Mapping[str, Mapping[str, Any]]
    licence: str
    frames: int = 16
    masks: bool = True
    text_source: str = "none"
    imaging: str = "cine"
    table: str = ""


def group_tasks(groups: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The tasks of a diagnosis: its class, and each class against the others."""
    names = list(groups)
    binary = {name.lower(): {"kind": "binary"} for name in names}
    return {"group": {"kind": "multiclass", "classes": names}, **binary}


def group_labels(group: str, groups: Sequence[str]) -> dict[str, float]:
    """The labels of `group_tasks`, NaN where the group is none of them."""
    if group not in groups:
        return dict.fromkeys(("group", *(name.lower() for name in groups)), math.nan)
    one_hot = {name.lower(): float(name == group) for name in groups}
    return {"group": float(groups.index(group)), **one_hot}


def regression(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Tasks of numbers."""
    return {name: {"kind": "regression"} for name in names}


def number(text: str | None) -> float:
    """A cell as a number, NaN where it holds none."""
    try:
        value = float((text or "").strip())
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def one_of(text: str | None, words: Mapping[str, float]) -> float:
    """A cell as the number of one of some words, whatever their case; NaN for other texts."""
    return words.get((text or "").strip().lower(), math.nan)


MALE = {"m": 1.0, "male": 1.0, "f": 0.0, "female": 0.0}


def read_rows(path: Path, *, required: Sequence[str]) -> list[dict[str, str]]:
    """Reads a CSV table, its empty rows left out: spreadsheets leave millions of them.

    Args:
        path: the file.
        required: columns that it must have.

    Raises:
        UserError: it cannot be read, or lacks a column.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file)
            columns = [str(c).strip() for c in reader.fieldnames or ()]
            if missing := [c for c in required if c not in columns]:
                raise UserError(f"no column {', '.join(missing)}", where=path.name)
            cells = (
                {str(k).strip(): v.strip() for k, v in row.items() if isinstance(v, str)}
                for row in reader
            )
            return [row for row in cells if any(row.values())]
    except (OSError, csv.Error):
        raise UserError("cannot be read as CSV", where=path.name) from None


def find_table(root: Path, column: str) -> Path | None:
    """The first CSV file in a folder, or in its parent, that has a column."""
    for path in (*sorted(root.glob("*.csv")), *sorted(root.absolute().parent.glob("*.csv"))):
        try:
            with open(path, encoding="utf-8-sig", errors="replace") as file:
                names = file.readline().split(",")
        except OSError:  # another's file in the parent folder, or a folder of that name
            continue
        if column in [name.strip().strip('"') for name in names]:
            return path
    return None


def find_files(root: Path, *patterns: str) -> list[Path]:
    """Files below the input folder by name, sorted; not the hidden ones that macOS leaves.

    Raises:
        UserError: the folder is not there.
    """
    found = {path for pattern in patterns for path in require_folder(root).rglob(pattern)}
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def make_plan(
    tasks: Iterable[StudyTask], *, listed: Collection[str] | None = None, **rejected: int
) -> Plan:
    """Each case once, and what does not fit together counted.

    Args:
        tasks: a case that is there several times keeps its first place.
        listed: the cases that the dataset's table names, where it has one.
        rejected: further counts of studies, by reason.
    """
    every = list(tasks)
    first = {task.study_uid: task for task in reversed(every)}
    counts = {"repeated": len(every) - len(first), **rejected}
    if listed is not None:
        counts |= {"missing": len(set(listed) - first.keys())}
        counts |= {"not_in_table": len(first.keys() - set(listed))}
    studies = [first[uid] for uid in sorted(first)]
    return Plan(studies, {f"study.{reason}": n for reason, n in counts.items() if n})


def require_folder(root: Path) -> Path:
    """The input folder.

    Raises:
        UserError: it is not there.
    """
    if not root.is_dir():
        raise UserError("no such folder", where="--input")
    return root


def parts_below(path: Path, root: Path) -> tuple[str, ...]:
    """The folders from the input folder, its own name included, to a file; in lower case."""
    return tuple(p.lower() for p in (root.absolute().name, *path.relative_to(root).parts[:-1]))


def left_out(task: StudyTask, settings: Settings, reason: Rejected) -> StudyResult:
    """A study of which nothing is kept."""
    study_id = settings.hasher.id("study", task.study_uid)
    return StudyResult(study_id, rejected={f"study.{reason.reason}": 1})


def finish(
    task: StudyTask,
    settings: Settings,
    cines: Sequence[RawCine],
    *,
    labels: Mapping[str, float],
    patient: str | None = None,
    report: str = "",
    rejected: Mapping[str, int] | None = None,
    images: Iterable[Image] = (),
) -> StudyResult:
    """A study's cines as its result.

    Args:
        task: the study.
        settings: the dataset's.
        cines: its cines, sorted; frames of any number type.
        labels: task -> number, beside the task's own; NaN where unknown.
        patient: whose study it is, before hashing; the study itself without it.
        report: its report.
        rejected: what was left out, by reason.
        images: its headers, which name the scanner; none of NIfTI.
    """
    study_id = settings.hasher.id("study", task.study_uid)
    left_out = Counter(rejected or {})
    if not cines:
        left_out["study.no_cine"] += 1
        return StudyResult(study_id, rejected=left_out)
    patient_id = settings.hasher.id("patient", patient or task.study_uid)
    ids = {"study_id": study_id, "patient_id": patient_id}
    known = {**task.labels, **labels}
    records, stacks = [], Stacks()
    # One cine at a time as float32: a whole stack of them is what costs memory.
    for cine in cines:
        stacks.add(cine)
        one = replace(cine, frames=cine.frames.astype(np.float32, copy=False))
        records.append(pack(one, settings, report=report, labels=known, **ids))
    return StudyResult(
        study_id,
        patient_id,
        tuple(records),
        labels={name: known.get(name, math.nan) for name in settings.tasks},
        rejected=left_out,
        series=stacks.rows(images),
        has_report=bool(report),
    )
