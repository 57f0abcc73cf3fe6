"""What an evaluator gives, and how it is written so that it is either whole or absent."""

import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cmrjax.core.errors import CorruptDataError
from cmrjax.core.writer import write_json_atomic
from cmrjax.evals.predictions import Predictions, to_csv
from cmrjax.evals.stats import Interval

RESULTS = "results.json"
SETTINGS = "settings.json"
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Row:
    """One number of `results.json`.

    Args:
        evaluator: which evaluator measured it.
        encoder: 'checkpoint', 'random' (same network, untrained), 'trivial', 'pixels_pca',
            'supervised'; a paired difference is `a-b`, a ratio `a/b`.
        task: label, or 'macro'.
        metric: e.g. 'auroc'.
        value: None where it is not defined (no positive, no negative).
        ci_low: lower end of the 95 % interval, or None.
        ci_high: upper end.
        n: studies.
        n_positive: positives among them; None where the task is not binary.
        split: split of the studies.
        step: step of the checkpoint.
    """

    evaluator: str
    encoder: str
    task: str
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_positive: int | None
    split: str
    step: int

    @classmethod
    def of(cls, *, interval: Interval, **values: Any) -> "Row":
        """A row from an interval; NaN becomes None."""
        ends = (interval.value, interval.low, interval.high)
        value, low, high = (None if math.isnan(x) else float(x) for x in ends)
        return cls(value=value, ci_low=low, ci_high=high, **values)


@dataclass(frozen=True)
class Result:
    """Everything one evaluator found at one step.

    Args:
        rows: for `results.json`.
        predictions: for `predictions.csv`.
        figures: file name -> PNG bytes.
    """

    rows: Sequence[Row]
    predictions: Sequence[Predictions]
    figures: Mapping[str, bytes] = field(default_factory=dict)


def result_folder(workdir: Path, name: str, step: int) -> Path:
    """Where the result of evaluator `name` at `step` lies."""
    return workdir / "evals" / name / str(step)


def is_done(workdir: Path, name: str, step: int) -> bool:
    """Whether that result is there; the folder appears whole or not at all."""
    return (result_folder(workdir, name, step) / RESULTS).is_file()


def write_result(
    workdir: Path, name: str, step: int, result: Result, *, settings: Mapping[str, Any]
) -> Path:
    """Writes a result into a temporary folder, renames it, and rebuilds `workdir/results.json`.

    Args:
        workdir: the run's directory.
        name: the folder's name under `evals/`.
        step: step of the checkpoint.
        result: what to write.
        settings: the resolved config, kept beside the numbers.

    Returns:
        The folder.
    """
    target = result_folder(workdir, name, step)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(target)
    temporary = target.parent / f".{step}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        (temporary / "predictions.csv").write_bytes(to_csv(result.predictions))
        for file, content in result.figures.items():
            (temporary / file).write_bytes(content)
        write_json_atomic(temporary / SETTINGS, settings)
        write_json_atomic(temporary / RESULTS, [asdict(row) for row in result.rows])
        if target.is_dir():
            # A result of other settings, or a folder that is none: out of the way in one rename.
            replaced = temporary.with_suffix(".old")
            target.rename(replaced)
            shutil.rmtree(replaced, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    rebuild_results(workdir)
    return target


def _remove_stale(target: Path) -> None:
    """Removes temporary folders that a killed process left; a live one is younger than that."""
    for path in target.parent.glob(f".{target.name}.*.*"):
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def read_rows(path: Path) -> list[Row]:
    """Reads a `results.json`.

    Raises:
        CorruptDataError: it is not a list of rows.
    """
    names = {f.name for f in fields(Row)}
    try:
        data = json.loads(path.read_text())
        return [Row(**{k: v for k, v in row.items() if k in names}) for row in data]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CorruptDataError(
            "is not a results file", where=str(path), fix="delete its folder and evaluate again"
        ) from error


def rebuild_results(workdir: Path) -> list[Row]:
    """Derives `workdir/results.json` from every evaluator's own; it may always be deleted.

    Returns:
        All rows, by evaluator folder and step.
    """
    root = workdir / "evals"
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        # Of two that finish together the second must read what the first renamed.
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = [p for p in root.glob(f"*/*/{RESULTS}") if p.parent.name.isdigit()]
        found.sort(key=lambda p: (p.parent.parent.name, int(p.parent.name)))
        rows = [row for path in found for row in read_rows(path)]
        write_json_atomic(workdir / RESULTS, [asdict(row) for row in rows])
    return rows
