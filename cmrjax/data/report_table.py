"""Reports as sites hand them over, and the one text that a study keeps of them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.reports import SECTIONS, section_of_column
from cmrjax.data.tables import Table, read_folder, read_table

COLUMN = "report"


def read_reports(path: Path, *, where: str = "--reports") -> Table:
    """Reads reports: a CSV or JSONL file with a column `report` or one a section, or a folder.

    Args:
        path: the file or folder.
        where: how messages name it.

    Returns:
        A table with the column `report`.

    Raises:
        UserError: it cannot be read, or has no column of text.
    """
    if path.is_dir():
        return read_folder(path, column=COLUMN, where=where)
    table = read_table(path, where=where)
    by_name = _by_name(table.columns, where)
    parts = _object_parts(by_name, where)
    if COLUMN not in by_name and not parts:
        parts = _in_order((section_of_column(column), column) for column in table.columns)
    whole = by_name.get(COLUMN, "")
    if not whole and not parts:
        raise UserError(f"no column {COLUMN}, nor one named after a section", where=where)
    return table.with_cells(
        (COLUMN,), lambda cells: {COLUMN: cells.get(whole, "") or _headed(cells, parts)}
    )


def _by_name(columns: Iterable[str], where: str) -> dict[str, str]:
    """Columns by their names in lower case."""
    out: dict[str, str] = {}
    for column in columns:
        if out.setdefault(column.lower(), column) != column:
            raise UserError("columns differ in capitals alone", where=where, fix="rename one")
    return out


def _object_parts(by_name: Mapping[str, str], where: str) -> list[tuple[str, str]]:
    """(section, column) of JSON's reports that are objects of sections."""
    within = [column for name, column in by_name.items() if re.match(rf"{COLUMN}[.\[]", name)]
    parts = [(section_of_column(column[len(COLUMN) + 1 :]), column) for column in within]
    if any(section is None for section, _ in parts):
        raise UserError(
            f"a {COLUMN} holds more than a text, or texts by section",
            where=where,
            fix=f"name its parts {', '.join(SECTIONS)}",
        )
    return _in_order(parts)


def _in_order(parts: Iterable[tuple[str | None, str]]) -> list[tuple[str, str]]:
    """Those that are of a section, in the order of sections."""
    held = list(parts)
    return [(name, column) for name in SECTIONS for section, column in held if section == name]


def _headed(cells: Mapping[str, str], parts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name.upper()}: {cells[c]}" for name, c in parts if cells.get(c))


def combine(texts: Iterable[str]) -> tuple[str, Counter[str]]:
    """One text of a study's several reports: each said once, in their order.

    A copy is left out, and so is a preliminary text that the final one repeats in full.

    Returns:
        The text, and counts: 'reports_repeated', 'reports_empty', 'studies_with_several_reports'.

    Example:
        >>> combine(['Normal LV.', 'Normal LV. No LGE.', ''])[0]
        'Normal LV. No LGE.'
    """
    given = [text.strip() for text in texts]
    held = [text for text in given if text]
    plain = [" ".join(text.lower().split()) for text in held]
    kept = [
        text
        for i, text in enumerate(held)
        # Of two that are equal the first stays.
        if not any(
            plain[i] in other and (plain[i] != other or j < i)
            for j, other in enumerate(plain)
            if j != i
        )
    ]
    counts = Counter(
        reports_repeated=len(held) - len(kept),
        reports_empty=len(given) - len(held),
        studies_with_several_reports=int(len(kept) > 1),
    )
    return "\n\n".join(kept), counts
