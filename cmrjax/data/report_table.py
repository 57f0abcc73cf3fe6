"""Reports as sites hand them over, and the one text that a study keeps of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.reports import SECTIONS
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
    by_name = {name.lower(): name for name in table.columns}
    if COLUMN in by_name:
        return table.renamed({by_name[COLUMN]: COLUMN})
    parts = [by_name[name] for name in SECTIONS if name in by_name]
    if not parts:
        raise UserError(f"no column {COLUMN}, nor one named after a section", where=where)
    rows = {
        key: tuple({COLUMN: _headed(row, parts)} for row in held)
        for key, held in table.rows.items()
    }
    return replace(table, columns=(COLUMN,), rows=rows)


def _headed(row: Mapping[str, str], parts: Iterable[str]) -> str:
    return "\n".join(f"{name.upper()}: {row[name]}" for name in parts if row.get(name))


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
