"""From predictions to rows: which statistics each kind of task gets, with which interval.

AUROC, accuracies and recalls have closed forms by patient (`closed_forms`), which have a width also
where every case is right; everything else, and an AUROC over pooled folds that does not separate
the classes, has the BCa bootstrap over patients (`stats.bootstrap`), and no interval where its
resamples do not vary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cmrjax.evals import closed_forms, stats
from cmrjax.evals.base import Row
from cmrjax.evals.predictions import Predictions
from cmrjax.evals.stats import Interval, Statistic

RECALL_AT = (1, 5, 10)
_RECALLS = {f"recall_at_{k}": k for k in RECALL_AT}
Builder = Callable[[Predictions], Statistic]


def _hits(p: Predictions) -> np.ndarray:
    called = p.prediction >= 0.5 if p.kind == "probability" else p.prediction
    return called == p.target


def _balanced(p: Predictions) -> Statistic:
    called = p.prediction >= 0.5 if p.kind == "probability" else p.prediction
    return stats.balanced_accuracy_statistic(p.target, called)


def _recall_at(k: int) -> Builder:
    return lambda p: stats.mean_statistic(p.prediction <= k)


_RANKING: dict[str, Builder] = {
    "auroc": lambda p: stats.auroc_statistic(p.target, p.prediction, stratum=p.stratum),
    "auprc": lambda p: stats.auprc_statistic(p.target, p.prediction),
}
_CALLED: dict[str, Builder] = {
    "balanced_accuracy": _balanced,
    "accuracy": lambda p: stats.mean_statistic(_hits(p)),
}
METRICS: dict[str, dict[str, Builder]] = {
    "binary": _RANKING,
    "probability": _RANKING | _CALLED,
    "multiclass": _CALLED,
    "regression": {
        "mae": lambda p: stats.mean_statistic(np.abs(p.prediction - p.target)),
        "rmse": lambda p: stats.rmse_statistic(p.prediction - p.target),
        "r": lambda p: stats.r_statistic(p.target, p.prediction),
    },
    "share": {"share_inside": lambda p: stats.mean_statistic(p.prediction)},
    "rank": {name: _recall_at(k) for name, k in _RECALLS.items()}
    | {"median_rank": lambda p: stats.median_statistic(p.prediction)},
}
# Compared with the untrained network, and with the trivial answer as a ratio, without being asked.
_COMPARED = {"regression": "mae", "share": "share_inside"}
_FIXED = ("trivial", "centre")  # answers without a look at the case


@dataclass(frozen=True)
class Resampling:
    """How rows are computed: the resampling, and what every row repeats.

    Args:
        split: name of the split that the cases are from.
        step: step of the checkpoint.
        n_bootstrap: resamples of patients.
        seed: of the resampling.
    """

    split: str
    step: int
    n_bootstrap: int = 2000
    seed: int = 0


def task_rows(p: Predictions, how: Resampling) -> list[Row]:
    """Every metric of one encoder on one task; undefined ones are there with value None."""
    p = p.known()
    builders = METRICS[p.kind] if ":" not in p.task else {"auroc": _RANKING["auroc"]}
    return [
        _row(p, how, metric=metric, interval=_interval(p, metric, build, how))
        for metric, build in builders.items()
    ]


def _interval(p: Predictions, metric: str, build: Builder, how: Resampling) -> Interval:
    n = len(p.target)
    if n == 0:
        return stats.UNDEFINED
    if p.kind in ("binary", "probability") and not _has_both(p):
        return stats.UNDEFINED
    patients, codes = np.unique(p.patient_id, return_inverse=True)
    if (interval := _closed_form(p, metric, codes)) is not None:
        return interval
    statistic = stats.by_patient(build(p), codes)
    return stats.bootstrap(
        statistic, n_patients=len(patients), n_bootstrap=how.n_bootstrap, seed=how.seed
    )


def _closed_form(p: Predictions, metric: str, patients: np.ndarray) -> Interval | None:
    """The interval of a metric that has one in closed form; None where a bootstrap has to do."""
    if metric in _RANKING:
        value = stats.estimate(_RANKING["auroc"](p), len(p.target))
        if value in (0.0, 1.0):
            return _separated(p, metric, value, patients)
        if metric == "auroc" and p.stratum is None:
            return closed_forms.auroc_interval(p.target, p.prediction, patients)
    if metric == "balanced_accuracy":
        return closed_forms.class_mean_interval(p.target, _hits(p), patients)
    if metric == "accuracy":
        return closed_forms.proportion_interval(_hits(p), patients)
    if metric in _RECALLS:
        return closed_forms.proportion_interval(p.prediction <= _RECALLS[metric], patients)
    return None


def _separated(p: Predictions, metric: str, auroc: float, patients: np.ndarray) -> Interval:
    """Where no positive and negative change places, neither do they in a resample."""
    if metric == "auprc":
        value = stats.estimate(_RANKING["auprc"](p), len(p.target))
        return Interval(value, np.nan, np.nan)
    ranked = np.ones(len(p.target), bool)
    if (folds := p.stratum) is not None:  # a fold of a single class ranks nothing
        both = np.intersect1d(folds[p.target == 1], folds[p.target == 0])
        ranked = np.isin(folds, both)
    return closed_forms.separated_interval(auroc, p.target[ranked], patients[ranked])


def _has_both(p: Predictions) -> bool:
    return bool((p.target == 1).any() and (p.target == 0).any())


def _row(p: Predictions, how: Resampling, *, metric: str, interval: Interval) -> Row:
    binary = p.kind in ("binary", "probability")
    return Row.of(
        evaluator=p.evaluator,
        encoder=p.encoder,
        task=p.task,
        metric=metric,
        interval=interval,
        n=len(p.target),
        n_positive=int(np.sum(p.target == 1)) if binary else None,
        split=how.split,
        step=how.step,
    )


def _joint(parts: Sequence[Predictions]) -> tuple[int, dict[str, np.ndarray]]:
    """Number of patients over all parts, and the patient index of each study."""
    patient = dict(
        zip(
            np.concatenate([p.study_id for p in parts]).tolist(),
            np.concatenate([p.patient_id for p in parts]).tolist(),
            strict=True,
        )
    )
    index = {name: i for i, name in enumerate(sorted(set(patient.values())))}
    return len(index), {study: np.array(index[name]) for study, name in patient.items()}


def _statistic(p: Predictions, index: dict[str, np.ndarray], build: Builder) -> Statistic:
    return stats.by_patient(build(p), np.array([index[s] for s in p.study_id.tolist()], int))


def macro_tasks(parts: Sequence[Predictions]) -> list[Predictions]:
    """The binary tasks that a macro average runs over: those with a positive and a negative."""
    known = [p.known() for p in parts if p.kind in ("binary", "probability") and ":" not in p.task]
    return [p for p in known if len(p.target) and _has_both(p)]


def macro_row(parts: Sequence[Predictions], how: Resampling, *, task: str = "macro") -> Row | None:
    """Mean AUROC over one encoder's binary tasks, patients resampled jointly across tasks.

    Returns:
        The row; `n` counts studies, `n_positive` sums the positives of all tasks. None when no
        task has both classes.
    """
    tasks = macro_tasks(parts)
    if not tasks:
        return None
    n_patients, index = _joint(tasks)
    statistic = stats.mean_of([_statistic(p, index, _RANKING["auroc"]) for p in tasks])
    return _combined(
        tasks, how, statistic, n_patients, task=task, metric="auroc", encoder=tasks[0].encoder
    )


def _combined(
    tasks: Sequence[Predictions],
    how: Resampling,
    statistic: Statistic,
    n_patients: int,
    *,
    task: str,
    metric: str,
    encoder: str,
) -> Row:
    interval = stats.bootstrap(
        statistic, n_patients=n_patients, n_bootstrap=how.n_bootstrap, seed=how.seed
    )
    binary = tasks[0].kind in ("binary", "probability")
    return Row.of(
        evaluator=tasks[0].evaluator,
        encoder=encoder,
        task=task,
        metric=metric,
        interval=interval,
        n=len({s for p in tasks for s in p.study_id.tolist()}),
        n_positive=sum(int(np.sum(p.target == 1)) for p in tasks) if binary else None,
        split=how.split,
        step=how.step,
    )


def _pairs(
    ours: Sequence[Predictions], theirs: Sequence[Predictions]
) -> list[tuple[Predictions, Predictions]]:
    """The tasks both sides have, cut to the studies both have, in one order."""
    other = {p.task: p.known() for p in theirs}
    pairs = []
    for a in (p.known() for p in ours):
        if (b := other.get(a.task)) is not None:
            _, i, j = np.intersect1d(a.study_id, b.study_id, return_indices=True)
            if len(i):
                pairs.append((a.take(i), b.take(j)))
    return pairs


def difference_rows(
    ours: Sequence[Predictions],
    theirs: Sequence[Predictions],
    how: Resampling,
    *,
    each: bool = False,
) -> list[Row]:
    """Paired differences between two encoders over the studies both predicted.

    Args:
        ours: one encoder's predictions.
        theirs: the other's.
        how: the resampling.
        each: also every metric of every task, not the macro AUROC, MAEs and shares alone.

    Returns:
        Rows with metric `auroc_difference`, `mae_difference`, ... and encoder `ours-theirs`; the
        interval is from patients resampled once for both sides.
    """
    pairs = _pairs(ours, theirs)
    rows = []
    for a, b in pairs:
        wanted = METRICS[a.kind] if a.kind == b.kind else METRICS["binary"]
        for metric, build in wanted.items():
            if (each or metric in _COMPARED.values()) and (not _is_binary(a) or _has_both(a)):
                rows.append(_difference([(a, b)], how, metric, build, task=a.task))
    both = [(a, b) for a, b in pairs if _is_binary(a) and ":" not in a.task and _has_both(a)]
    if both:
        rows.append(_difference(both, how, "auroc", _RANKING["auroc"], task="macro"))
    return rows


def _is_binary(p: Predictions) -> bool:
    return p.kind in ("binary", "probability")


def _difference(
    pairs: Sequence[tuple[Predictions, Predictions]],
    how: Resampling,
    metric: str,
    build: Builder,
    *,
    task: str,
) -> Row:
    ours = [a for a, _ in pairs]
    n_patients, index = _joint(ours)
    statistic = stats.difference(
        stats.mean_of([_statistic(a, index, build) for a in ours]),
        stats.mean_of([_statistic(b, index, build) for _, b in pairs]),
    )
    encoder = f"{ours[0].encoder}-{pairs[0][1].encoder}"
    return _combined(
        ours,
        how,
        statistic,
        n_patients,
        task=task,
        metric=f"{metric}_difference",
        encoder=encoder,
    )


def ratio_rows(
    ours: Sequence[Predictions], trivial: Sequence[Predictions], how: Resampling
) -> list[Row]:
    """Over the trivial answer: the MAE of each regression (`mae_ratio`), the share of each map."""
    rows = []
    for a, b in _pairs(ours, trivial):
        if metric := _COMPARED.get(a.kind):
            build = METRICS[a.kind][metric]
            n_patients, index = _joint([a])
            statistic = stats.ratio(_statistic(a, index, build), _statistic(b, index, build))
            rows.append(
                _combined(
                    [a],
                    how,
                    statistic,
                    n_patients,
                    task=a.task,
                    metric=f"{metric}_ratio",
                    encoder=f"{a.encoder}/{b.encoder}",
                )
            )
    return rows


def all_rows(predictions: Sequence[Predictions], how: Resampling) -> list[Row]:
    """Every row of an evaluator: tasks, macro averages, differences from `random`, MAE ratios."""
    evaluators = dict.fromkeys(p.evaluator for p in predictions)
    if len(evaluators) > 1:  # a file put together from several
        parts = [[p for p in predictions if p.evaluator == name] for name in evaluators]
        return [row for part in parts for row in all_rows(part, how)]
    encoders = list(dict.fromkeys(p.encoder for p in predictions))
    by_encoder = {e: [p for p in predictions if p.encoder == e] for e in encoders}
    rows = []
    for name in encoders:
        parts = by_encoder[name]
        rows += [row for p in parts for row in task_rows(p, how)]
        rows += _one_vs_rest_rows(parts, how)
        rows += [row for row in [macro_row(parts, how)] if row is not None]
    for name in encoders:
        if "random" in by_encoder and name not in ("random", *_FIXED):
            rows += difference_rows(by_encoder[name], by_encoder["random"], how)
        if "trivial" in by_encoder and name not in _FIXED:
            rows += ratio_rows(by_encoder[name], by_encoder["trivial"], how)
    return rows


def _one_vs_rest_rows(parts: Sequence[Predictions], how: Resampling) -> list[Row]:
    """Mean one-vs-rest AUROC over the classes of each multiclass task, under the task's name."""
    rows = []
    for task in dict.fromkeys(p.task for p in parts if p.kind == "multiclass"):
        classes = [p for p in parts if p.task.startswith(f"{task}:")]
        known = [p.known() for p in classes]
        known = [p for p in known if len(p.target) and _has_both(p)]
        if known:
            n_patients, index = _joint(known)
            statistic = stats.mean_of([_statistic(p, index, _RANKING["auroc"]) for p in known])
            rows.append(
                _combined(
                    known,
                    how,
                    statistic,
                    n_patients,
                    task=task,
                    metric="auroc",
                    encoder=known[0].encoder,
                )
            )
    return rows
