"""Tables that go with the images, by study or accession number: CSV, JSON lines, folders of texts.

No message here quotes a cell: rows are named by their number (the header is row 1), columns by
their name.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError

KEYS = ("study_instance_uid", "accession_number")
_UNKNOWN = frozenset(("nan", "na", "n/a", "none", "null", "?"))
_DELIMITERS = (",", ";", "\t")
_LONGEST_CELL = 1 << 24
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_DISTINCT = 6  # characters from which a cell that is shaped like a key is hardly anything else
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no encoding writes it
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # a terminal obeys them
# "<key>_2.txt" is another text of the study that "<key>.txt" is of.
_ANOTHER = re.compile(r"[_-]\d{1,2}$")


@dataclass(frozen=True)
class Table:
    """Rows by key.

    Args:
        key: the column that names the study, one of `KEYS`.
        columns: the other columns.
        rows: key -> the rows that name it, in the file's order.
        numbers: key -> the same rows' numbers in the file.
        unkeyed: rows that name no study.
    """

    key: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Mapping[str, str], ...]]
    numbers: Mapping[str, tuple[int, ...]]
    unkeyed: int = 0

    def of(self, study_uid: str, accession: str) -> tuple[Mapping[str, str], ...]:
        """The rows of a study."""
        return self.rows.get(study_uid if self.key == KEYS[0] else accession, ())

    def numbered(self) -> Iterable[tuple[int, str, Mapping[str, str]]]:
        """(row number, key, row) of every row, in the file's order."""
        every = (
            (number, key, row)
            for key, rows in self.rows.items()
            for number, row in zip(self.numbers[key], rows, strict=True)
        )
        return sorted(every, key=lambda item: item[0])

    def renamed(self, names: Mapping[str, str]) -> "Table":
        """The same rows with only some columns, under other names (old -> new)."""
        rows = {
            key: tuple({new: row.get(old, "") for old, new in names.items()} for row in held)
            for key, held in self.rows.items()
        }
        return replace(self, columns=tuple(names.values()), rows=rows)


def read_text(path: Path) -> str:
    """Text of a file in the encodings that hospitals write: UTF-8, UTF-16 with its mark, Windows.

    Raises:
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_rows(path: Path, *, where: str) -> list[tuple[int, dict[str, str]]]:
    """Numbered rows of a CSV file with a header line, or of JSON lines (`.jsonl`).

    Raises:
        UserError: it cannot be read.
    """
    read = _json_rows if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows
    try:
        text = read_text(path)
        if "\0" in text:
            raise UserError("is no text; a spreadsheet?", where=where, fix="save it as CSV")
        return [(n, {_plain(k): _plain(v) for k, v in row.items()}) for n, row in read(text)]
    except FileNotFoundError:
        raise UserError("no such file", where=where) from None
    except OSError:
        raise UserError("cannot be read", where=where, fix="give CSV or JSONL, in UTF-8") from None
    except _Wrong as error:
        raise UserError(str(error), where=where, fix=error.fix) from None


def read_table(path: Path, *, where: str) -> Table:
    """Reads a table that names studies; see `read_rows`.

    Args:
        path: the file.
        where: how messages name it.

    Raises:
        UserError: it cannot be read, has no rows, or no column names the study.
    """
    rows = read_rows(path, where=where)
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    if not rows:
        raise UserError("has no rows", where=where)
    key = next((k for k in KEYS if k in columns), None)
    if key is None:
        raise UserError(
            f"no column {' or '.join(KEYS)}",
            where=where,
            fix="name the column so that tells which study a row is of",
        )
    table = make_table(key, [c for c in columns if c], rows)
    if not table.rows:
        raise UserError(f"no row has a {key}", where=where)
    return table


def make_table(
    key: str, columns: Sequence[str], rows: Iterable[tuple[int, Mapping[str, str]]]
) -> Table:
    """A table of numbered rows, cells cleaned."""
    held: dict[str, list[Mapping[str, str]]] = {}
    numbers: dict[str, list[int]] = {}
    unkeyed = 0
    for number, row in rows:
        clean = {k: "" if v.strip().lower() in _UNKNOWN else v.strip() for k, v in row.items()}
        if name := clean.get(key, ""):
            held.setdefault(name, []).append(clean)
            numbers.setdefault(name, []).append(number)
        else:
            unkeyed += any(clean.values())
    return Table(
        key,
        tuple(c for c in columns if c not in KEYS),
        {k: tuple(v) for k, v in held.items()},
        {k: tuple(v) for k, v in numbers.items()},
        unkeyed,
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


def _csv_rows(text: str) -> list[tuple[int, dict[str, str]]]:
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
    _check_swallowed(lines, columns, delimiter)
    return [
        (number, dict(zip(columns, cells, strict=False)))
        for number, cells in enumerate(lines[1:], start=2)
        if cells
    ]


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


def _json_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
            cells = {_column(name): _cell(value) for name, value in row.items()}
        except ValueError:
            raise _Wrong(f"line {number} is no JSON object") from None
        except RecursionError:
            raise _Wrong(f"line {number} is nested too deep") from None
        rows.append((number, cells))
    return rows


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
        rows = [
            (number, {key: name, column: _plain(read_text(file))})
            for number, (name, file) in enumerate(zip(keys, files, strict=True), start=1)
        ]
    except OSError:
        raise UserError("holds a file that cannot be read", where=where) from None
    return make_table(key, [key, column], rows)
