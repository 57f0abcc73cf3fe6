"""Rows as a table for a terminal."""

from collections.abc import Sequence

from cmrjax.core.terminal import printable
from cmrjax.evals.base import Row

_HEADER = ("encoder", "task", "metric", "value", "95 % interval", "n", "positive")


def format_rows(rows: Sequence[Row], *, title: str = "") -> str:
    """An aligned table; `-` where something is not defined."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEADER))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
    return "\n".join(([title] if title else []) + lines)


def _cells(row: Row) -> tuple[str, ...]:
    low, high = _number(row.ci_low), _number(row.ci_high)
    interval = "-" if low == "-" else f"{low} to {high}"
    positive = "-" if row.n_positive is None else str(row.n_positive)
    named = (printable(name.replace("\n", " ")) for name in (row.encoder, row.task, row.metric))
    return (*named, _number(row.value), interval, str(row.n), positive)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
