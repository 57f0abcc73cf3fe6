"""Rows of a table in a file: CSV as spreadsheets write it, or JSON lines.

What would be lost or joined silently is refused: an open quote would give one patient the texts of
the next, of two columns with one name the first would vanish.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError

KEYS = ("study_instance_uid", "accession_number")
UID = re.compile(r"2\.25\.\d{5,}|\d+(?:\.\d+){3,}")
_DELIMITERS = (",", ";", "\t")
_DAMAGED = "\ufffd"
_LONGEST_CELL = 1 << 24
_DISTINCT = 6  # characters from which a cell that is shaped like a key is hardly anything else
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no encoding writes it
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # a terminal obeys them
Numbered = tuple[int, dict[str, str]]


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


def warn_of_damage(places: int, where: str) -> None:
    """Says on stderr that some of a file's bytes were replaced."""
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
    return read(path, where)[0]


def read(path: Path, where: str) -> tuple[list[Numbered], bool]:
    """What `read_rows` gives, and whether commas part the columns."""
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
    warn_of_damage(damaged, where)
    return [(n, {plain(k): plain(v) for k, v in row.items()}) for n, row in rows], commas


def column_of(name: object) -> str:
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
    columns = [column_of(name) for name in lines[0]] if lines else []
    for place, name in enumerate(columns):
        # Of two the first would be lost.
        if name and name in columns[:place]:
            first = columns.index(name) + 1
            raise _Wrong(f"columns {first} and {place + 1} have the same name")
    _check_swallowed(lines, columns, delimiter)
    for number, cells in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in cells[len(columns) :]):  # a text would lose its end
            count = max(i for i, cell in enumerate(cells, start=1) if cell.strip())
            raise _Wrong(
                f"row {number} has {count} cells, the header has {len(columns)}",
                "quote cells that hold what parts the columns",
            )
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
    if UID.fullmatch(text) or (len(text) >= _DISTINCT and _shape(text) in shapes):
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
        path = within + name if within else column_of(name)
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


def plain(text: str) -> str:
    """A text without control characters, and without halves of characters, which JSON can spell."""
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))
