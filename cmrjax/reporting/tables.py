"""The tables and key figures of the page, from rows of `results.json`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cmrjax.evals.base import Row
from cmrjax.reporting import words

FEW_POSITIVES = 15


@dataclass(frozen=True)
class Cell:
    """One number: value and interval as text; `own` where it is this model's."""

    value: str
    interval: str
    own: bool


@dataclass(frozen=True)
class Line:
    """One task (or comparison) of a table."""

    name: str
    cells: tuple[Cell, ...]
    n: str
    positives: str
    macro: bool = False
    few: bool = False


@dataclass(frozen=True)
class Group:
    """The lines of one metric."""

    metric: str
    meaning: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Comparison:
    """A paired difference or a ratio; `beyond` where its interval leaves out no difference.

    Without an interval, or with one that is a point (older results have such), nothing is beyond.
    """

    sides: str
    name: str
    metric: str
    value: str
    interval: str
    n: str
    beyond: bool


@dataclass(frozen=True)
class EvaluatorTables:
    """What one evaluator found at its newest step.

    Args:
        key: its name in `results.json`.
        title: its name for a reader.
        meaning: what it does.
        step: step of the checkpoint.
        split: split of the cases.
        encoders: column heads.
        headline: the metrics to read first.
        more: the others.
        comparisons: paired differences and ratios of this model.
        others: those between other encoders.
        few_positives: whether a line has fewer positives than its interval deserves.
        binary: whether any line counts positives.
    """

    key: str
    title: str
    meaning: str
    step: int
    split: str
    encoders: tuple[str, ...]
    headline: tuple[Group, ...]
    more: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    others: tuple[Comparison, ...]
    few_positives: bool
    binary: bool


@dataclass(frozen=True)
class KeyFigure:
    """One number of the page's head, and what stands beside it."""

    title: str
    value: str
    interval: str
    beside: str
    about: str


def is_comparison(row: Row) -> bool:
    """Whether a row compares two encoders."""
    return row.metric.endswith(("_difference", "_ratio"))


def by_evaluator(rows: Sequence[Row]) -> list[EvaluatorTables]:
    """The tables of each evaluator, zero-shot first."""
    names = list(dict.fromkeys(row.evaluator for row in rows))
    known = list(words.EVALUATOR_MEANING)
    names.sort(key=lambda name: known.index(name) if name in known else len(known))
    return [_tables([row for row in rows if row.evaluator == name]) for name in names]


def _encoders(rows: Sequence[Row]) -> list[str]:
    found = list(dict.fromkeys(row.encoder for row in rows))
    order = words.ENCODER_ORDER
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def _tables(rows: Sequence[Row]) -> EvaluatorTables:
    plain = [row for row in rows if not is_comparison(row)]
    encoders = _encoders(plain)
    compared = [row for row in rows if is_comparison(row)]
    own = [row for row in compared if _is_own(re.split("[-/]", row.encoder)[0])]
    headline = _groups([row for row in plain if _is_headline(row)], encoders)
    more = _groups([row for row in plain if not _is_headline(row)], encoders)
    lines = [line for group in (*headline, *more) for line in group.lines]
    return EvaluatorTables(
        key=rows[0].evaluator,
        title=words.evaluator_name(rows[0].evaluator),
        meaning=words.evaluator_meaning(rows[0].evaluator),
        step=rows[0].step,
        split=rows[0].split,
        encoders=tuple(words.encoder_name(name) for name in encoders),
        headline=headline,
        more=more,
        comparisons=tuple(_comparison(row) for row in compared if row in own),
        others=tuple(_comparison(row) for row in compared if row not in own),
        few_positives=any(line.few for line in lines),
        binary=any(row.n_positive is not None for row in plain),
    )


def _is_headline(row: Row) -> bool:
    """Single classes and near-duplicates wait in the second table."""
    if ":" in row.task or row.task.endswith("_or_duplicate"):
        return False
    return row.metric.startswith(words.HEADLINE)


def _groups(rows: Sequence[Row], encoders: Sequence[str]) -> tuple[Group, ...]:
    metrics = dict.fromkeys(row.metric for row in rows)
    return tuple(_group(m, [row for row in rows if row.metric == m], encoders) for m in metrics)


def _group(metric: str, rows: Sequence[Row], encoders: Sequence[str]) -> Group:
    tasks = list(dict.fromkeys(row.task for row in rows))
    tasks.sort(key=lambda task: (not task.startswith("macro"), ":" in task))
    by_key = {(row.task, row.encoder): row for row in rows}
    return Group(
        metric=words.metric_name(metric),
        meaning=words.METRIC_MEANING.get(metric, ""),
        lines=tuple(_line(task, by_key, encoders) for task in tasks),
    )


def _line(task: str, rows: dict[tuple[str, str], Row], encoders: Sequence[str]) -> Line:
    mine = [rows.get((task, encoder)) for encoder in encoders]
    any_row = next(row for row in mine if row is not None)
    positives = any_row.n_positive
    macro = task.startswith("macro")
    return Line(
        name=words.task_name(task),
        cells=tuple(_cell(row) for row in mine),
        n=str(any_row.n),
        positives=words.DASH if positives is None else str(positives),
        macro=macro,
        few=positives is not None and positives < FEW_POSITIVES and not macro,
    )


def _cell(row: Row | None) -> Cell:
    if row is None:
        return Cell("", "", False)
    return Cell(words.number(row.value, row.metric), words.interval(row), _is_own(row.encoder))


def _is_own(encoder: str) -> bool:
    return encoder == "checkpoint"


def _comparison(row: Row) -> Comparison:
    none = 1.0 if row.metric.endswith("_ratio") else 0.0
    low, high = row.ci_low, row.ci_high
    return Comparison(
        sides=words.encoder_name(row.encoder),
        name=words.task_name(row.task),
        metric=words.metric_name(row.metric),
        value=words.number(row.value, row.metric),
        interval=words.interval(row),
        n=str(row.n),
        beyond=low is not None and high is not None and low < high and not low <= none <= high,
    )


def key_figures(rows: Sequence[Row]) -> list[KeyFigure]:
    """Up to six numbers for the head: macro AUROCs, LVEF, retrieval."""
    wanted = [
        ("zero_shot", "macro", "auroc"),
        ("linear_probe", "macro", "auroc"),
        ("linear_probe", "lvef", "mae"),
        ("retrieval", "report_to_study", "recall_at_5"),
    ]
    listed = {(r.evaluator, r.task, r.metric) for r in rows if _is_own(r.encoder)}
    wanted += sorted(k for k in listed if k[1:] == ("macro", "auroc") and k not in wanted)
    return [_key_figure(rows, *key) for key in wanted if key in listed][:6]


def _key_figure(rows: Sequence[Row], evaluator: str, task: str, metric: str) -> KeyFigure:
    mine = [r for r in rows if (r.evaluator, r.task, r.metric) == (evaluator, task, metric)]
    own = next(row for row in mine if _is_own(row.encoder))
    others = {row.encoder: row for row in mine if not _is_own(row.encoder)}
    beside = [
        f"{words.inside(words.encoder_name(name))} {words.number(others[name].value, metric)}"
        for name in _encoders(list(others.values()))
    ]
    name = words.metric_name(metric)
    about = f"{own.n} studies of split {own.split}"
    if task == "macro":
        name = f"mean {name} over findings"
    else:
        name = f"{words.inside(name)}, {words.inside(words.task_name(task))}"
    return KeyFigure(
        title=f"{words.evaluator_name(evaluator)}: {name}",
        value=words.number(own.value, metric),
        interval=words.interval(own),
        beside=", ".join(beside),
        about=about,
    )
