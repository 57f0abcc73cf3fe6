"""Tables that go with the images, by study or accession number: CSV, JSON lines, folders of texts.

No message here quotes a cell: rows are named by their number (the header is row 1), columns by
their name.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError

KEYS = ("study_instance_uid", "accession_number")
_UNKNOWN = frozenset(("nan", "na", "n/a", "#n/a", "#na", "none", "null", "?", "-", "."))
_DELIMITERS = (",", ";", "\t")
_DAMAGED = "\ufffd"
_LONGEST_CELL = 1 << 24
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_DISTINCT = 6  # characters from which a cell that is shaped like a key is hardly anything else
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no encoding writes it
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # a terminal obeys them
# "<key>_2.txt" is another text of the study that "<key>.txt" is of.
_ANOTHER = re.compile(r"[_-]\d{1,2}$")


Numbered = tuple[int, dict[str, str]]


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
        self, studies: Mapping[str, Collection[str]]
    ) -> tuple[dict[str, tuple[Row, ...]], int]:
        """The rows of each study.

        A row goes to the study of its uid. By the accession number, which studies may share, it
        goes where it has no uid, or where no row's uid is known: exports often replace them.

        Args:
            studies: study uid -> its accession numbers.

        Returns:
            Study uid -> its rows, where there are any; and how many names are of no study.
        """
        of: dict[str, list[str]] = {}
        for uid, accessions in studies.items():
            for accession in {*accessions} - {""}:
                of.setdefault(accession, []).append(uid)
        replaced = not any(row.study_uid in studies for row in self.rows)
        found: dict[str, list[Row]] = {}
        lost = set()
        for row in self.rows:
            uids = [row.study_uid] if row.study_uid in studies else []
            if not uids and (replaced or not row.study_uid):
                uids = of.get(row.accession, [])
            for uid in uids:
                found.setdefault(uid, []).append(row)
            if not uids:
                lost.add(row.name)
        return {uid: tuple(rows) for uid, rows in found.items()}, len(lost)

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


def decode(data: bytes) -> tuple[str, int]:
    """Text in the encodings that hospitals write: UTF-8, UTF-16 with its mark, Windows.

    One damaged byte does not make a file of UTF-8 one of Windows: the rarer kind is the damage.

    Returns:
        The text, and how many places of it are damaged; each holds U+FFFD.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), 0
    try:
        return data.decode("utf-8-sig"), 0
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", "replace")
    damaged = text.count(_DAMAGED)
    # In Windows' encoding two letters that make one of UTF-8 stand together by chance alone.
    if sum(not c.isascii() for c in text) - damaged >= damaged:
        return text, damaged
    return data.decode("cp1252", "replace"), 0


def _warn_of_damage(places: int, where: str) -> None:
    if places:
        print(
            f"cmrjax prepare: warning: {where}: not UTF-8 in {places} places, which are replaced",
            file=sys.stderr,
        )


def read_rows(path: Path, *, where: str) -> list[Numbered]:
    """Numbered rows of a CSV file with a header line, or of JSON lines (`.jsonl`).

    Raises:
        UserError: it cannot be read.
    """
    return _read(path, where)[0]


def _read(path: Path, where: str) -> tuple[list[Numbered], bool]:
    """The rows, and whether commas part their columns."""
    try:
        text, damaged = decode(path.read_bytes())
        if "\0" in text:
            raise UserError("is no text; a spreadsheet?", where=where, fix="save it as CSV")
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            rows, commas = _json_rows(text), False
        else:
            rows, commas = _csv_rows(text)
    except FileNotFoundError:
        raise UserError("no such file", where=where) from None
    except OSError:
        raise UserError("cannot be read", where=where, fix="give CSV or JSONL, in UTF-8") from None
    except _Wrong as wrong:
        raise UserError(str(wrong), where=where, fix=wrong.fix) from None
    _warn_of_damage(damaged, where)
    return [(n, {_plain(k): _plain(v) for k, v in row.items()}) for n, row in rows], commas


def read_table(path: Path, *, where: str) -> Table:
    """Reads a table that names studies; see `read_rows`.

    Args:
        path: the file.
        where: how messages name it.

    Raises:
        UserError: it cannot be read, has no rows, or no column names the study.
    """
    rows, commas = _read(path, where)
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    if not rows:
        raise UserError("has no rows", where=where)
    if not any(key in columns for key in KEYS):
        raise UserError(
            f"no column {' or '.join(KEYS)}",
            where=where,
            fix="name the column so that tells which study a row is of",
        )
    table = make_table([c for c in columns if c], rows, decimal_commas=not commas)
    if not table.rows:
        raise UserError(f"no row has a {' or '.join(table.keys)}", where=where)
    return table


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


def _column(name: object) -> str:
    """A column's name; the keys in whatever way they are written."""
    text = str(name).strip()
    plain = re.sub(r"[^a-z]", "", text.lower())
    return next((key for key in KEYS if key.replace("_", "") == plain), text)


class _Wrong(Exception):  # noqa: N818
    """Says which row or line is wrong, and how; `fix` says what to do about it."""

    def __init__(self, what: str, fix: str | None = None):
        super().__init__(what)
        self.fix = fix


def _csv_rows(text: str) -> tuple[list[Numbered], bool]:
    csv.field_size_limit(_LONGEST_CELL)
    delimiter = _delimiter(text.split("\n", 1)[0])
    # Not strict, a quote that is never closed would take other patients' rows into its cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[list[str]] = []
    try:
        lines.extend(reader)
    except csv.Error:
        raise _Wrong(
            f"row {len(lines) + 1} has a quote that is not closed, or text behind one",
            "double each quote within a quoted cell",
        ) from None
    columns = [_column(name) for name in lines[0]] if lines else []
    for place, name in enumerate(columns):
        # Of two the first would be lost.
        if name and name in columns[:place]:
            first = columns.index(name) + 1
            raise _Wrong(f"columns {first} and {place + 1} have the same name")
    _check_swallowed(lines, columns, delimiter)
    rows = [
        (number, dict(zip(columns, cells, strict=False)))
        for number, cells in enumerate(lines[1:], start=2)
        if cells
    ]
    return rows, delimiter == ","


def _check_swallowed(
    lines: Sequence[Sequence[str]], columns: Sequence[str], delimiter: str
) -> None:
    """Refuses cells that hold other rows, as one does whose quote the quote of another row closes.

    A line within a cell is taken for a row where it has a key at the key's place, counted from
    either side: the text beside it may hold delimiters of its own.
    """
    places = [i for i, name in enumerate(columns) if name in KEYS]
    for place in places if len(columns) > 1 else ():
        keys = {cells[place].strip() for cells in lines[1:] if len(cells) > place}
        shapes = {_shape(key) for key in keys if len(key) >= _DISTINCT}
        for number, cells in enumerate(lines[1:], start=2):
            own = cells[place].strip() if len(cells) > place else ""
            inner = [line.split(delimiter) for cell in cells if "\n" in cell for line in _cut(cell)]
            found = {
                parts[i].strip()
                for parts in inner
                if len(parts) >= len(columns)
                for i in (place, place - len(columns))
            }
            if any(_is_key(text, keys, shapes) for text in found - {own}):
                raise _Wrong(
                    f"row {number} has a cell with other rows in it",
                    "close its quote, and double each quote within a quoted cell",
                )


def _cut(cell: str) -> list[str]:
    return cell.replace("\r", "\n").split("\n")


def _is_key(text: str, keys: Collection[str], shapes: Collection[str]) -> bool:
    if not any(c.isdigit() for c in text):
        return False
    if _UID.fullmatch(text) or (len(text) >= _DISTINCT and _shape(text) in shapes):
        return True
    return text in keys and (len(text) > 3 or not text.isdigit())  # "2,5 cm" is no row of study 2


def _shape(key: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "0", key))


def _delimiter(head: str) -> str:
    return max(_DELIMITERS, key=lambda d: (head.count(d), -_DELIMITERS.index(d)))


def _json_rows(text: str) -> list[Numbered]:
    rows: list[Numbered] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_Pairs)
            cells = list(_flat(row)) if isinstance(row, _Pairs) else None
        except ValueError:
            cells = None
        except RecursionError:
            raise _Wrong(f"line {number} is nested too deep") from None
        if cells is None:
            raise _Wrong(f"line {number} is no JSON object")
        if len({name for name, _ in cells}) < len(cells):
            raise _Wrong(f"line {number} has two entries of the same name")
        rows.append((number, dict(cells)))
    return rows


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, with what it says twice."""


def _flat(pairs: _Pairs, within: str = "") -> Iterator[tuple[str, str]]:
    """Cells of an object: those of one within it are columns `name.part`, a list's `name[]`."""
    for name, value in pairs:
        path = within + name if within else _column(name)
        if isinstance(value, _Pairs):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and any(isinstance(v, list) for v in value):
            yield f"{path}[]", ""
        else:
            yield path, _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_cell, value))
    return "" if value is None else str(value)


def _plain(text: str) -> str:
    """A text without control characters, and without halves of characters, which JSON can spell."""
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))


def read_folder(path: Path, *, column: str, where: str) -> Table:
    """Reads a folder of text files: `<key>.txt`, `<key>_2.txt` ..., or `<key>/<any name>.txt`.

    The key is a StudyInstanceUID where every name looks like one, otherwise the accession number.

    Raises:
        UserError: there is no text file.
    """
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise UserError("holds no .txt file", where=where)
    names = [f.stem if f.parent == path else f.relative_to(path).parts[0] for f in files]
    stems = set(names)
    # "A-1" is another text of "A" when there is an "A", and an accession number when there is none.
    keys = [short if (short := _ANOTHER.sub("", n)) in stems else n for n in names]
    key = KEYS[0] if all(_UID.fullmatch(k) for k in keys) else KEYS[1]
    try:
        texts = [decode(file.read_bytes()) for file in files]
    except OSError:
        raise UserError("holds a file that cannot be read", where=where) from None
    _warn_of_damage(sum(damaged for _, damaged in texts), where)
    rows = [
        (number, {key: name, column: _plain(text)})
        for number, (name, (text, _)) in enumerate(zip(keys, texts, strict=True), start=1)
    ]
    return make_table([key, column], rows)
