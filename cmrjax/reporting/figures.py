"""Figures of the page as SVG, each once for a light page and once for a dark one."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmrjax.evals.base import Row
from cmrjax.evals.plots import COLOURS, roc_curve
from cmrjax.evals.predictions import Predictions
from cmrjax.reporting import words
from cmrjax.reporting.cines import data_uri

INK, MUTED, GRID, OTHER = "#1f2933", "#5b6773", "#d5dbe1", "#7b4ea3"
_DARK = {
    INK: "#dfe5ec",
    MUTED: "#9aa7b4",
    GRID: "#3a4652",
    OTHER: "#b993dd",
    COLOURS["checkpoint"]: "#4cc3f0",
    COLOURS["supervised"]: "#63c97a",
    COLOURS["random"]: "#f0a04b",
    COLOURS["pixels_pca"]: "#a9b0b8",
}
_LINES = {"checkpoint": "-", "supervised": "--", "random": "-.", "pixels_pca": ":"}
_MARKERS = {"random": "o", "pixels_pca": "s", "supervised": "D", "trivial": "|"}
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "cmrjax",  # equal input, equal page
    "svg.fonttype": "none",
    "text.parse_math": False,  # a metric's name may hold a dollar sign
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
}
_SHOWN_METRICS = ("loss", "logit_scale", "grad_norm", "embedding_spread", "examples_per_s")
_NOT_CURVES = {"step", "examples", "time_s"}
MAX_CURVES, MAX_PANELS = 8, 16


@dataclass(frozen=True)
class Plot:
    """One figure: two data addresses, and what it shows in words."""

    light: str
    dark: str
    alt: str


def _draw(figure: Figure, alt: str) -> Plot:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    light = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)
    light = re.sub(r"\n\s*", " ", light)
    light = re.sub(r"(\.\d\d)\d+", r"\1", light)  # a hundredth of a point is fine enough
    dark = light
    for ours, theirs in _DARK.items():
        dark = dark.replace(ours, theirs)
    return Plot(*(data_uri(x.encode(), "image/svg+xml") for x in (light, dark)), alt=alt)


def _canvas(width: float, height: float, margins: tuple[float, float, float, float]):
    """A figure in inches and its axes; margins are left, bottom, right, top, in inches."""
    left, bottom, right, top = margins
    figure = Figure(figsize=(width, height))
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure, figure.add_axes(box)


def _colour(encoder: str) -> str:
    return COLOURS.get(encoder, OTHER)


def training_curves(metrics: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """One panel a metric of `metrics.jsonl` that was logged at several steps, the loss first."""
    logged = _logged(metrics)
    order = [name for name, points in logged.items() if len({step for step, _ in points}) > 1]
    return [_curve(logged[name], name) for name in order[:MAX_CURVES]]


def single_values(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float]]:
    """(metric, step, value) of those that were logged at one step alone: a line needs two."""
    return [
        (name, *points[-1])
        for name, points in _logged(metrics).items()
        if len({step for step, _ in points}) == 1
    ]


def _logged(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each metric, the loss first."""
    names = {k for row in metrics for k, v in row.items() if isinstance(v, int | float)}
    order = [n for n in _SHOWN_METRICS if n in names]
    order += sorted(names - set(order) - _NOT_CURVES)
    return {
        name: [
            (row["step"], row[name]) for row in metrics if isinstance(row.get(name), int | float)
        ]
        for name in order
    }


def _curve(points: Sequence[tuple[int, float]], name: str) -> Plot:
    step, value = np.array(points, float).T
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(3.3, 2.2, (0.6, 0.42, 0.12, 0.3))
        wide = len(value) > 40
        axes.plot(step, value, color=COLOURS["checkpoint"], lw=0.7 if wide else 1.5, alpha=0.9)
        if wide:
            axes.lines[0].set_alpha(0.35)
            axes.plot(step, _smooth(value), color=COLOURS["checkpoint"], lw=1.6)
        axes.set_title(name.replace("_", " "), loc="left")
        axes.set_xlabel("optimizer step")
        return _draw(figure, f"{name} over training, last value {value[-1]:.4g}")


def _smooth(value: np.ndarray) -> np.ndarray:
    """A running mean over a twentieth of the run, shorter at the ends."""
    half = max(1, len(value) // 40)
    total = np.concatenate([[0.0], np.cumsum(value)])
    low = np.clip(np.arange(len(value)) - half, 0, None)
    high = np.clip(np.arange(len(value)) + half + 1, None, len(value))
    return (total[high] - total[low]) / (high - low)


def progress(history: Sequence[Row]) -> Plot | None:
    """Macro AUROC of this model at every evaluated step; None with fewer than two steps."""
    rows = [
        r
        for r in history
        if (r.encoder, r.task, r.metric) == ("checkpoint", "macro", "auroc") and r.value is not None
    ]
    if len({row.step for row in rows}) < 2:
        return None
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(3.3, 2.2, (0.6, 0.42, 0.12, 0.3))
        for name, colour in zip(
            dict.fromkeys(row.evaluator for row in rows), COLOURS.values(), strict=False
        ):
            mine = sorted((r for r in rows if r.evaluator == name), key=lambda r: r.step)
            steps = [r.step for r in mine]
            values = np.array([r.value for r in mine], float)
            low = np.array([r.value if r.ci_low is None else r.ci_low for r in mine], float)
            high = np.array([r.value if r.ci_high is None else r.ci_high for r in mine], float)
            axes.errorbar(
                steps,
                values,
                [values - low, high - values],
                color=colour,
                marker="o",
                ms=3.5,
                lw=1.4,
                elinewidth=0.9,
                label=words.evaluator_name(name),
            )
        axes.set_title("macro AUROC by checkpoint", loc="left")
        axes.set_xlabel("optimizer step")
        axes.margins(x=0.1, y=0.35)
        axes.legend(fontsize=7.5, loc="lower right", ncols=2)
        return _draw(figure, "macro AUROC of each evaluator at every evaluated checkpoint")


def forest(rows: Sequence[Row]) -> Plot | None:
    """AUROC of every task: this model with its interval, the others as marks."""
    rows = [r for r in rows if r.metric == "auroc" and r.value is not None]
    tasks = list(dict.fromkeys(r.task for r in rows if r.encoder == "checkpoint"))
    tasks.sort(key=lambda task: task != "macro")
    tasks = _without_classes(tasks)[: 2 * MAX_PANELS]
    if not tasks:
        return None
    height = {task: len(tasks) - 1 - i for i, task in enumerate(tasks)}
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(7.6, 0.26 * len(tasks) + 1.0, (2.5, 0.45, 0.2, 0.45))
        _forest_marks(axes, [r for r in rows if r.task in height], height)
        axes.axvline(0.5, color=MUTED, lw=0.8, ls=(0, (3, 3)), zorder=1)
        axes.set_yticks(list(height.values()), [words.task_name(task) for task in tasks])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set(ylim=(-0.6, len(tasks) - 0.4), xlabel="AUROC (dashed: guessing)")
        axes.legend(
            fontsize=7.5, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2
        )
        return _draw(figure, "AUROC by task with 95 % intervals; the numbers are in the table")


def _forest_marks(axes: Axes, rows: Sequence[Row], height: Mapping[str, int]) -> None:
    for name in dict.fromkeys(r.encoder for r in rows):
        mine = [r for r in rows if r.encoder == name]
        x = np.array([r.value for r in mine], float)
        y, colour = [height[r.task] for r in mine], MUTED if name == "trivial" else _colour(name)
        marker = _MARKERS.get(name, "^")
        if name == "checkpoint":
            for r in mine:
                if r.ci_low is not None and r.ci_high is not None:
                    axes.plot([r.ci_low, r.ci_high], [height[r.task]] * 2, color=colour, lw=1.6)
            marker = "o"
        hollow = name != "checkpoint" and marker != "|"
        axes.scatter(
            x,
            y,
            s=24,
            marker=marker,
            facecolors="none" if hollow else colour,
            edgecolors=None if marker == "|" else colour,
            linewidths=1.1,
            label=words.encoder_name(name),
            zorder=4 if name == "checkpoint" else 2,
        )


def case_plots(predictions: Sequence[Predictions]) -> list[Plot]:
    """A ROC panel for each binary task and a scatter for each measured quantity.

    The constant prediction is left out: it has no curve. Past `MAX_PANELS` of a kind, the tables
    have to do.
    """
    drawn = [p.known() for p in predictions if p.encoder != "trivial"]
    binary = [p for p in drawn if p.kind in ("binary", "probability") and _both(p)]
    measured = [p for p in drawn if p.kind == "regression" and len(p.target)]
    plots = [_roc([p for p in binary if p.task == t]) for t in _tasks(binary)]
    return plots + [_scatter([p for p in measured if p.task == t]) for t in _tasks(measured)]


def _both(p: Predictions) -> bool:
    return bool((p.target == 1).any() and (p.target == 0).any())


def _tasks(parts: Sequence[Predictions]) -> list[str]:
    return _without_classes(list(dict.fromkeys(p.task for p in parts)))[:MAX_PANELS]


def _without_classes(tasks: list[str]) -> list[str]:
    """Leaves out single classes (`group:DCM`), unless there is nothing else."""
    return [task for task in tasks if ":" not in task] or tasks


def _title(axes: Axes, name: str) -> None:
    """Left of the axes, over their labels, and smaller where the name is long."""
    size = 8.5 if len(name) <= 32 else 8.5 * 32 / len(name)
    axes.set_title(name, loc="left", x=-0.22, fontsize=size)


def _roc(parts: Sequence[Predictions]) -> Plot:
    task, first = parts[0].task, parts[0]
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.5, 2.65, (0.5, 0.42, 0.1, 0.33))
        axes.plot([0, 1], [0, 1], color=MUTED, lw=0.7, ls=(0, (3, 3)))
        for p in reversed(parts):  # the first encoder is drawn last, on top
            axes.plot(
                *roc_curve(p.target, p.prediction),
                color=_colour(p.encoder),
                lw=1.8 if p.encoder == "checkpoint" else 1.1,
                ls=_LINES.get(p.encoder, "-"),
            )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        _title(axes, words.task_name(task))
        axes.set(xlabel="1 − specificity", ylabel="sensitivity")
        positives = int(np.sum(first.target == 1))
        axes.text(
            0.98, 0.04, f"{positives} of {len(first.target)}", ha="right", fontsize=7.5, color=MUTED
        )
        return _draw(figure, f"ROC curves of {words.task_name(task)}")


def _scatter(parts: Sequence[Predictions]) -> Plot:
    task, n = parts[0].task, len(parts[0].target)
    shown = [p for p in parts if p.encoder in ("checkpoint", "random")] or list(parts[:2])
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.5, 2.65, (0.5, 0.42, 0.1, 0.33))
        for p in reversed(shown):
            axes.scatter(p.target, p.prediction, s=7, alpha=0.55, lw=0, color=_colour(p.encoder))
        ends = [min(p.target.min() for p in shown), max(p.target.max() for p in shown)]
        axes.plot(ends, ends, color=MUTED, lw=0.8, ls=(0, (3, 3)))
        _title(axes, words.task_name(task))
        axes.set(xlabel="true", ylabel="predicted")
        axes.text(
            0.98, 0.04, f"n = {n}", ha="right", fontsize=7.5, color=MUTED, transform=axes.transAxes
        )
        return _draw(figure, f"predicted against true {words.task_name(task)}")
