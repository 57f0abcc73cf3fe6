"""Figures of an evaluation as PNG bytes, drawn without a display or any global state."""

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cmrjax.evals import stats
from cmrjax.evals.predictions import Predictions

COLOURS = {
    "checkpoint": "#0b6e99",
    "supervised": "#2e8540",
    "random": "#b35900",
    "pixels_pca": "#7a7a7a",
}
_MAX_PANELS = 16


def figures(predictions: Sequence[Predictions]) -> dict[str, bytes]:
    """`roc.png` and `predicted_vs_true.png`, each when there is something to draw."""
    known = [p.known() for p in predictions if p.encoder != "trivial"]
    binary = [p for p in known if p.kind in ("binary", "probability") and _both(p)]
    numbers = [p for p in known if p.kind == "regression" and len(p.target)]
    out = {}
    if binary:
        out["roc.png"] = roc_panel(binary)
    if numbers:
        out["predicted_vs_true.png"] = predicted_vs_true(numbers)
    return out


def _both(p: Predictions) -> bool:
    return bool((p.target == 1).any() and (p.target == 0).any())


def roc_curve(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates at every distinct threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-score, kind="stable")
    positive = np.asarray(target)[order] == 1
    last_of_tie = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    tpr = np.cumsum(positive)[last_of_tie] / positive.sum()
    fpr = np.cumsum(~positive)[last_of_tie] / (~positive).sum()
    return np.r_[0.0, fpr], np.r_[0.0, tpr]


def _panels(tasks: Sequence[str], *, columns: int) -> tuple[Figure, list]:
    columns = min(columns, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = Figure(figsize=(3.1 * columns, 3.2 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(len(tasks))]
    return figure, axes


def roc_panel(predictions: Sequence[Predictions]) -> bytes:
    """One ROC plot a task, one line an encoder."""
    tasks = list(dict.fromkeys(p.task for p in predictions))[:_MAX_PANELS]
    figure, axes = _panels(tasks, columns=4)
    for axis, task in zip(axes, tasks, strict=True):
        mine = [p for p in predictions if p.task == task]
        for p in reversed(mine):  # the first encoder is drawn last, on top
            area = stats.estimate(stats.auroc_statistic(p.target, p.prediction), len(p.target))
            line = COLOURS.get(p.encoder, "#444444")
            axis.plot(
                *roc_curve(p.target, p.prediction), color=line, label=f"{p.encoder} {area:.2f}"
            )
        axis.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, zorder=0)
        positives = int(np.sum(mine[0].target == 1))
        axis.set_title(f"{task.replace('_', ' ')} ({positives}/{len(mine[0].target)})", fontsize=8)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.set_xlabel("1 - specificity", fontsize=7)
        axis.set_ylabel("sensitivity", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6, loc="lower right", frameon=False)
    return png(figure)


def predicted_vs_true(predictions: Sequence[Predictions]) -> bytes:
    """One scatter plot a task, one colour an encoder."""
    tasks = list(dict.fromkeys(p.task for p in predictions))[:_MAX_PANELS]
    figure, axes = _panels(tasks, columns=3)
    for axis, task in zip(axes, tasks, strict=True):
        mine = [p for p in predictions if p.task == task]
        for p in reversed(mine):
            error = np.mean(np.abs(p.prediction - p.target))
            axis.scatter(
                p.target,
                p.prediction,
                s=8,
                alpha=0.6,
                linewidths=0,
                color=COLOURS.get(p.encoder, "#444444"),
                label=f"{p.encoder} MAE {error:.3g}",
            )
        ends = [min(p.target.min() for p in mine), max(p.target.max() for p in mine)]
        axis.plot(ends, ends, color="#999999", linewidth=0.8, zorder=0)
        axis.set_title(f"{task} (n = {len(mine[0].target)})", fontsize=8)
        axis.set_xlabel("true", fontsize=7)
        axis.set_ylabel("predicted", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6, frameon=False)
    return png(figure)


def png(figure: Figure) -> bytes:
    """A figure as PNG bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()
