"""The load report: what was taken, resampled, missing and unexpected, each with both shapes."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from cmrjax.core.errors import UserError

Shape = tuple[int, ...]
# Names that one line of an error still shows; the table has them all.
_SHOWN = 8
_LAYER = re.compile(r"\.\d+\.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the report.

    Args:
        path: our parameter, its parts joined by '/'; empty for an unexpected tensor.
        layer: the row of a stacked parameter that this is about; None is about the whole.
        shape: of our parameter, or of that row.
        keys: the source's tensors.
        shapes: theirs; None for one that the source does not have.
        note: what was done, or why not.
    """

    path: str = ""
    layer: int | None = None
    shape: Shape | None = None
    keys: tuple[str, ...] = ()
    shapes: tuple[Shape | None, ...] = ()
    note: str = ""

    def text(self, *, layers: bool = True) -> str:
        """One line: ours <- theirs; without `layers` all layers of a network give the same."""
        theirs = ", ".join(
            f"{key if layers else _LAYER.sub('.*.', key)} "
            f"{'not in the source' if shape is None else shape}"
            for key, shape in zip(self.keys, self.shapes, strict=True)
        )
        at = "" if self.layer is None or not layers else f"[{self.layer}]"
        ours = f"{self.path}{at} {self.shape}" if self.path else ""
        line = " <- ".join(word for word in (ours, theirs) if word)
        return f"{line} ({self.note})" if self.note else line


class LoadError(UserError):
    """The source does not give the network that was asked for; carries the load report.

    Args:
        what: what is wrong.
        report: the whole report.
        missing: patterns that would allow what is missing.
        unexpected: patterns that would allow what is unexpected.
        where: the source.
        fix: what the user can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        report: "LoadReport",
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        where: str | None = None,
        fix: str | None = None,
    ):
        super().__init__(what, where=where, fix=fix)
        self.report = report
        self.missing, self.unexpected = tuple(missing), tuple(unexpected)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of every parameter of ours and every tensor of the source.

    Args:
        layout: the source's layout.
        where: the source.
        taken: parameters that hold the source's values.
        resampled: parameters whose values were interpolated to another grid.
        missing: parameters that the source does not give, or not in our shape.
        unexpected: tensors of the source that have no place.
        differences: fields in which the source's config is not the one that was asked for.
    """

    layout: str
    where: str
    taken: tuple[Row, ...] = ()
    resampled: tuple[Row, ...] = ()
    missing: tuple[Row, ...] = ()
    unexpected: tuple[Row, ...] = ()
    differences: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line with the four numbers."""
        counts = ", ".join(f"{len(rows)} {name}" for name, rows in self._lists().items())
        return f"{self.where} as {self.layout}: {counts}"

    def table(self) -> str:
        """The report as text, equal lines of many layers as one."""
        lines = [self.summary(), *(f"  differs     {words}" for words in self.differences)]
        for name, rows in self._lists().items():
            lines += [f"  {name:<11} {line}" for line in _merged(rows)]
        return "\n".join(lines)

    def _lists(self) -> dict[str, tuple[Row, ...]]:
        names = ("taken", "resampled", "missing", "unexpected")
        return {name: getattr(self, name) for name in names}

    def require(self, *, allow_missing: Sequence[str], allow_unexpected: Sequence[str]) -> None:
        """Stops unless all that is missing or unexpected is allowed.

        Args:
            allow_missing: patterns of our paths.
            allow_unexpected: patterns of the source's keys.

        Raises:
            LoadError: names what is not allowed with both shapes, and the patterns that would; or
                an allowed pattern that matches nothing.
        """
        missing = [row for row in self.missing if not matches(row.path, allow_missing)]
        unexpected = [row for row in self.unexpected if not matches(row.keys[0], allow_unexpected)]
        words = [f"other than the model asked for: {'; '.join(self.differences)}"]
        words = words if self.differences else []
        for name, rows in (("missing", missing), ("unexpected", unexpected)):
            if rows:
                words.append(f"{name}: {_shortened(_merged(rows))}")
        if words:
            self._refuse(words, missing, unexpected)
        for flag, patterns, names in (
            ("missing", allow_missing, [row.path for row in self.missing]),
            ("unexpected", allow_unexpected, [row.keys[0] for row in self.unexpected]),
        ):
            idle = [p for p in patterns if not any(fnmatchcase(name, p) for name in names)]
            if idle:
                raise LoadError(
                    f"nothing {flag} matches {', '.join(idle)}",
                    report=self,
                    where=self.where,
                    fix=f"leave it out of --allow-{flag}",
                )

    def _refuse(self, words: list[str], missing: list[Row], unexpected: list[Row]) -> None:
        keys = [row.keys[0] for row in unexpected]
        known = [key for row in (*self.taken, *self.resampled, *self.missing) for key in row.keys]
        allow_missing = _covering([r.path for r in missing], self._paths(), "/")
        allow_unexpected = _covering(keys, known, ".")
        flags = [
            f"{flag} {' '.join(repr(pattern) for pattern in patterns)}"
            for flag, patterns in (
                ("--allow-missing", allow_missing),
                ("--allow-unexpected", allow_unexpected),
            )
            if patterns
        ]
        fix = "use the model that the source holds"
        if not self.differences:
            fix = f"if that is meant: {' '.join(flags)}"
        raise LoadError(
            "; ".join(words),
            report=self,
            missing=allow_missing,
            unexpected=allow_unexpected,
            where=f"{self.where} as {self.layout}",
            fix=fix,
        )

    def _paths(self) -> list[str]:
        return [row.path for row in (*self.taken, *self.resampled)]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (fnmatch) is of this name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _covering(names: Sequence[str], others: Sequence[str], separator: str) -> list[str]:
    """The shortest patterns `prefix*` that are of all the names and of none of the others."""
    patterns = []
    for name in names:
        parts = name.split(separator)
        pattern = name
        for i in range(1, len(parts)):
            prefix = separator.join(parts[:i]) + separator
            if not any(other.startswith(prefix) for other in others):
                pattern = f"{prefix}*"
                break
        if pattern not in patterns:
            patterns.append(pattern)
    return patterns


def _merged(rows: Sequence[Row]) -> list[str]:
    """Lines of the rows, those that differ in the number of a layer alone as one."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.text(layers=False), []).append(row)
    return [
        group[0].text() if len(group) == 1 else f"{line} x {len(group)} layers"
        for line, group in groups.items()
    ]


def _shortened(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
