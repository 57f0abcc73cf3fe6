"""Tables that go with the images, by study or accession number: CSV, JSON lines, folders of texts.

No message here quotes a cell: rows are named by their number (the header is row 1), columns by
their name.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.rows import KEYS, UID, Numbered, decode, plain, read, warn_of_damage

_UNKNOWN = frozenset(("nan", "na", "n/a", "#n/a", "#na", "none", "null", "?", "-", "."))
# "<key>_2.txt" is another text of the study that "<key>.txt" is of.
_ANOTHER = re.compile(r"[_-]\d{1,2}$")


@dataclass(frozen=True)
class Row:
    """A row that names a study.

    Args:
        number: its number in the file.
        study_uid: what it says under the first of `KEYS`, or nothing.
        accession: what it says under the second, or nothing.
        cells: the other columns.
    """

    number: int
    study_uid: str
    accession: str
    cells: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it calls its study."""
        return self.study_uid or self.accession


@dataclass(frozen=True)
class Matched:
    """The rows of a table that found their studies, and how many did not.

    Args:
        rows: study uid -> its rows, where there are any.
        shared: study uid -> the other studies that a row of its went to.
        lost: names that are of no study.
        ambiguous: names that may be of several: their rows are in no study.
        stripped: of those lost, what would be of a study with zeros before it, or without.
    """

    rows: Mapping[str, tuple[Row, ...]]
    shared: Mapping[str, tuple[str, ...]]
    lost: int
    ambiguous: int
    stripped: int


@dataclass(frozen=True)
class Table:
    """Rows that name studies.

    Args:
        keys: the columns that do, one of `KEYS` or both.
        columns: the other columns.
        rows: the rows, in the file's order.
        unkeyed: rows that name no study.
        decimal_commas: whether a comma may be a number's point, as it does not part the columns.
    """

    keys: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unkeyed: int = 0
    decimal_commas: bool = False

    def matched(
        self,
        studies: Mapping[str, Collection[str]],
        one_patient: Callable[[Sequence[str]], bool] = lambda uids: False,
    ) -> Matched:
        """The rows of each study.

        A row goes to the study of its uid. By the accession number it goes where it has no uid, or
        where no row's uid is known: exports often replace them. Studies may share the number, as
        those of one order do; where they are not of one patient, the row goes to none. Nor does it
        where numbers of several studies differ by zeros before them, which spreadsheets remove.

        Args:
            studies: study uid -> its accession numbers.
            one_patient: whether studies that share a number are all of one patient.
        """
        of: dict[str, list[str]] = {}
        alike: dict[str, set[str]] = {}
        for uid, accessions in studies.items():
            for accession in {*accessions} - {""}:
                of.setdefault(accession, []).append(uid)
                alike.setdefault(_without_zeros(accession), set()).add(uid)
        asked = {row.accession for row in self.rows if row.study_uid not in studies}
        clear = {
            number: alike[_without_zeros(number)] == {*uids}
            and (len(uids) == 1 or one_patient(uids))
            for number, uids in of.items()
            if number in asked
        }
        replaced = not any(row.study_uid in studies for row in self.rows)
        found: dict[str, list[Row]] = {}
        shared: dict[str, set[str]] = {}
        lost, ambiguous, stripped = set(), set(), set()
        for row in self.rows:
            uids = [row.study_uid] if row.study_uid in studies else []
            if not uids and (replaced or not row.study_uid) and row.accession:
                uids = of.get(row.accession, [])
                if uids and not clear[row.accession]:
                    ambiguous.add(row.name)
                    continue
                if not uids and _without_zeros(row.accession) in alike:
                    stripped.add(row.name)
            for uid in uids:
                found.setdefault(uid, []).append(row)
                shared.setdefault(uid, set()).update(u for u in uids if u != uid)
            if not uids:
                lost.add(row.name)
        return Matched(
            {uid: tuple(rows) for uid, rows in found.items()},
            {uid: tuple(sorted(others)) for uid, others in shared.items() if others},
            len(lost),
            len(ambiguous),
            len(stripped),
        )

    def with_cells(
        self, columns: Sequence[str], change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> "Table":
        """The same rows with other cells."""
        rows = tuple(replace(row, cells=change(row.cells)) for row in self.rows)
        return replace(self, columns=tuple(columns), rows=rows)

    def renamed(self, names: Mapping[str, str]) -> "Table":
        """The same rows with only some columns, under other names (old -> new)."""
        return self.with_cells(
            tuple(names.values()),
            lambda cells: {new: cells.get(old, "") for old, new in names.items()},
        )


def read_table(path: Path, *, where: str) -> Table:
    """Reads a table that names studies; see `read_rows`.

    Args:
        path: the file.
        where: how messages name it.

    Raises:
        UserError: it cannot be read, has no rows, or no column names the study.
    """
    rows, commas = read(path, where)
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    if not rows:
        raise UserError("has no rows", where=where)
    if not any(key in columns for key in KEYS):
        raise UserError(
            f"no column {' or '.join(KEYS)}",
            where=where,
            fix="give the column that says which study a row is of this name",
        )
    table = make_table([c for c in columns if c], rows, decimal_commas=not commas)
    if not table.rows:
        raise UserError(f"no row has a {' or '.join(table.keys)}", where=where)
    return table


def _without_zeros(accession: str) -> str:
    """A number as a spreadsheet keeps it; what holds more than digits stays as it is."""
    return accession.lstrip("0") if accession.isdigit() else accession


def make_table(
    columns: Sequence[str], rows: Iterable[Numbered], *, decimal_commas: bool = False
) -> Table:
    """A table of numbered rows, cells cleaned."""
    found, unkeyed = [], 0
    for number, row in rows:
        held = {k: v.strip() for k, v in row.items() if k}
        cells = {k: "" if v.lower() in _UNKNOWN else v for k, v in held.items()}
        uid, accession = (cells.pop(key, "") for key in KEYS)
        if uid or accession:
            found.append(Row(number, uid, accession, cells))
        else:
            unkeyed += any(cells.values())
    return Table(
        tuple(key for key in KEYS if key in columns),
        tuple(c for c in columns if c not in KEYS),
        tuple(found),
        unkeyed,
        decimal_commas,
    )


def read_folder(path: Path, *, column: str, where: str) -> Table:
    """Reads a folder of text files: `<key>.txt`, `<key>_2.txt` ..., or `<key>/<any name>.txt`.

    A key that looks like a StudyInstanceUID is one; every other is an accession number.

    Raises:
        UserError: there is no text file.
    """
    files = sorted(
        file for file in path.rglob("*") if file.is_file() and file.suffix.lower() == ".txt"
    )
    if not files:
        raise UserError("holds no .txt file", where=where)
    names = [f.stem if f.parent == path else f.relative_to(path).parts[0] for f in files]
    stems = set(names)
    # "A-1" is another text of "A" when there is an "A", and an accession number when there is none.
    keys = [short if (short := _ANOTHER.sub("", n)) in stems else n for n in names]
    try:
        texts = [decode(file.read_bytes()) for file in files]
    except OSError:
        raise UserError("holds a file that cannot be read", where=where) from None
    warn_of_damage(sum(damaged for _, damaged in texts), where)
    rows = [
        (number, {KEYS[UID.fullmatch(name) is None]: name, column: plain(text)})
        for number, (name, (text, _)) in enumerate(zip(keys, texts, strict=True), start=1)
    ]
    return make_table([*{key for _, row in rows for key in row if key in KEYS}, column], rows)
