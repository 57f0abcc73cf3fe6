"""The statistics of the transfer experiment: folds pooled, every number by patient."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.splits import FOLDS
from cmrjax.evals import metrics, stats
from cmrjax.evals.base import Row
from cmrjax.evals.predictions import Predictions, pool_predictions

SUFFIX = "acdc"  # of the phantom run's results on ACDC
DRAWS = 5  # of the untrained network: what its probe reads differs much from draw to draw


def run_folder(workdir: Path, arm: str, fold: int) -> Path:
    """The train workdir of an arm in a fold."""
    return workdir / f"fold{fold}" / arm


def volumes_file(workdir: Path, fold: int) -> Path:
    """The predictions from the masks' volumes."""
    return workdir / f"fold{fold}" / "volumes.csv"


def untrained_file(workdir: Path, fold: int) -> Path:
    """The predictions from every draw of the untrained network."""
    return workdir / f"fold{fold}" / "untrained.csv"


def pooled_rows(workdir: Path, folds: int) -> list[Row]:
    """Every statistic of both evaluators, over the test patients of all folds."""
    numbers = range(folds)
    how = metrics.Resampling(split=f"test, {folds} of {FOLDS} folds pooled", step=0)
    rows = []
    for evaluator in ("linear_probe", "zero_shot"):
        own = {
            arm: pool_predictions(
                [_predictions(run_folder(workdir, arm, i), evaluator, i) for i in numbers]
            )
            for arm in ("transfer", "scratch")
        }
        own["phantom"] = pool_predictions(
            [_predictions(workdir / "pretrain", f"{evaluator}_{SUFFIX}", i) for i in numbers]
        )
        parts = [p for arm in own for p in _named(own[arm], "checkpoint", arm, evaluator)]
        # One seed and split: the baselines are the same beside either arm.
        for name in ("pixels_pca", "trivial"):
            parts += _named(own["scratch"], name, name, evaluator)
        by_arm = {arm: [p for p in parts if p.encoder == arm] for arm in (*own, "pixels_pca")}
        if evaluator == "linear_probe":
            parts += pool_predictions([volumes_file(workdir, i) for i in numbers])
            found = pool_predictions([untrained_file(workdir, i) for i in numbers])
            names = dict.fromkeys(p.encoder for p in found)
            draws = [[p for p in found if p.encoder == name] for name in names]
            rows += mean_rows(draws, how)
            for arm in by_arm.values():
                rows += difference_rows(arm, draws, how)
            parts += found
        else:
            parts += _named(own["scratch"], "random", "random", evaluator)
        rows += metrics.all_rows(parts, how)
        rows += metrics.difference_rows(by_arm["transfer"], by_arm["scratch"], how)
    return rows


def mean_rows(draws: Sequence[Sequence[Predictions]], how: metrics.Resampling) -> list[Row]:
    """Every metric of the untrained network, as the mean over its draws."""
    first = draws[0]
    every: list[tuple[str, str, tuple[str, ...]]] = [
        (p.task, metric, (p.task,))
        for p in first
        for metric in (("auroc",) if ":" in p.task else metrics.METRICS[p.kind])
    ]
    every.append(("macro", "auroc", _macro(first)))
    every.append(("group", "auroc", tuple(p.task for p in first if ":" in p.task)))
    return [
        _row(first, "random", task, metric, _mean(draws, tasks, metric), how, tasks)
        for task, metric, tasks in every
        if tasks
    ]


def difference_rows(
    arm: Sequence[Predictions], draws: Sequence[Sequence[Predictions]], how: metrics.Resampling
) -> list[Row]:
    """An arm minus the mean over the untrained draws, patients resampled once for both."""
    if not arm:
        return []
    every = [("macro", "auroc", _macro(arm))]
    every += [(p.task, "mae", (p.task,)) for p in arm if p.kind == "regression"]
    name = f"{arm[0].encoder}-random"
    return [
        _row(
            arm,
            name,
            task,
            f"{metric}_difference",
            stats.difference(_mean([arm], tasks, metric), _mean(draws, tasks, metric)),
            how,
            tasks,
        )
        for task, metric, tasks in every
        if tasks
    ]


def _macro(parts: Sequence[Predictions]) -> tuple[str, ...]:
    return tuple(p.task for p in metrics.macro_tasks(parts))


def _mean(
    draws: Sequence[Sequence[Predictions]], tasks: Sequence[str], metric: str
) -> stats.Statistic:
    """The mean of a metric over draws and tasks, as a function of the patients' weights."""
    patients = _patients(draws[0])
    return stats.mean_of(
        [
            stats.by_patient(
                metrics.METRICS[p.kind][metric](p), np.searchsorted(patients, p.patient_id)
            )
            for parts in draws
            for p in parts
            if p.task in tasks
        ]
    )


def _patients(parts: Sequence[Predictions]) -> np.ndarray:
    return np.unique(np.concatenate([p.patient_id for p in parts]))


def _row(
    parts: Sequence[Predictions],
    encoder: str,
    task: str,
    metric: str,
    statistic: stats.Statistic,
    how: metrics.Resampling,
    tasks: Sequence[str],
) -> Row:
    chosen = [p for p in parts if p.task in tasks]
    binary = all(p.kind in ("binary", "probability") for p in chosen)
    return Row.of(
        evaluator=parts[0].evaluator,
        encoder=encoder,
        task=task,
        metric=metric,
        interval=stats.bootstrap(
            statistic,
            n_patients=len(_patients(parts)),
            n_bootstrap=how.n_bootstrap,
            seed=how.seed,
        ),
        n=len(chosen[0].target),
        n_positive=sum(int(np.sum(p.target == 1)) for p in chosen) if binary else None,
        split=how.split,
        step=how.step,
    )


def _predictions(run: Path, evaluator: str, fold: int) -> Path:
    folder = run / "evals" / f"{evaluator}_fold{fold}of{FOLDS}"
    found = [p for p in folder.glob("*/predictions.csv") if p.parent.name.isdigit()]
    if not found:
        raise UserError("no predictions", where=str(folder), fix="run cmrjax reproduce again")
    return max(found, key=lambda p: int(p.parent.name))


def _named(
    parts: Iterable[Predictions], encoder: str, arm: str, evaluator: str
) -> list[Predictions]:
    return [replace(p, encoder=arm, evaluator=evaluator) for p in parts if p.encoder == encoder]
