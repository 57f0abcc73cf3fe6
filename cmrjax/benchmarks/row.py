"""One line of a benchmark: ours beside a reference, measured in one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measurement.

    Args:
        name: what was measured.
        reference: what it is compared with; empty where there is nothing to compare.
        ours_s: seconds of ours, the median of several runs; None where it was not run.
        reference_s: seconds of the reference, in turn with ours.
        ours_mb: memory of ours in MB (10^6 bytes).
        reference_mb: memory of the reference.
        note: shapes, and why a value is missing.
        extra: further columns.
    """

    name: str
    reference: str = ""
    ours_s: float | None = None
    reference_s: float | None = None
    ours_mb: float | None = None
    reference_mb: float | None = None
    note: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speedup(self) -> float | None:
        """Reference time over ours; None unless both were measured."""
        return self.reference_s / self.ours_s if self.ours_s and self.reference_s else None

    def to_json(self) -> dict[str, Any]:
        """The row as plain data, `extra` beside the fixed columns."""
        fixed = {
            "name": self.name,
            "reference": self.reference,
            "ours_s": self.ours_s,
            "reference_s": self.reference_s,
            "speedup": self.speedup,
            "ours_mb": self.ours_mb,
            "reference_mb": self.reference_mb,
            "note": self.note,
        }
        return fixed | dict(self.extra)


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; columns that no row fills are left out."""
    records = [row.to_json() for row in rows]
    names = list(dict.fromkeys(name for record in records for name in record))
    names = [n for n in names if any(record.get(n) not in (None, "") for record in records)]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(r.get(n)) for n in names) + " |" for r in records]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
