"""Tables that go with the images, by study or accession number: CSV, JSON lines, folders of texts.

No message here quotes a cell: rows are named by their number (the header is row 1), columns by
their name.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError

KEYS = ("study_instance_uid", "accession_number")
_UNKNOWN = frozenset(("nan", "na", "n/a", "none", "null", "?"))
_DELIMITERS = (",", ";", "\t")
_DAMAGED = "\ufffd"
_LONGEST_CELL = 1 << 24
_UID = re.compile(r"\d+(?:\.\d+){3,}")
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


def read_rows(path: Path, *, where: str) -> list[tuple[int, dict[str, str]]]:
    """Numbered rows of a CSV file with a header line, or of JSON lines (`.jsonl`).

    Raises:
        UserError: it cannot be read.
    """
    read = _json_rows if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows
    try:
        text, damaged = decode(path.read_bytes())
        if "\0" in text:
            raise UserError("is no text; a spreadsheet?", where=where, fix="save it as CSV")
        rows = read(text)
    except FileNotFoundError:
        raise UserError("no such file", where=where) from None
    except (OSError, csv.Error):
        raise UserError("cannot be read", where=where, fix="give CSV or JSONL, in UTF-8") from None
    except _NotJson as error:
        raise UserError(f"line {error.args[0]} is no JSON object", where=where) from None
    _warn_of_damage(damaged, where)
    return rows


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


def _csv_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    csv.field_size_limit(_LONGEST_CELL)
    head = text.split("\n", 1)[0]
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(head)))
    columns = [_column(name) for name in lines[0]] if lines else []
    return [
        (number, dict(zip(columns, cells, strict=False)))
        for number, cells in enumerate(lines[1:], start=2)
        if cells
    ]


def _delimiter(head: str) -> str:
    return max(_DELIMITERS, key=lambda d: (head.count(d), -_DELIMITERS.index(d)))


class _NotJson(Exception):  # noqa: N818
    """Holds the number of the line."""


def _json_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise _NotJson(number)
        rows.append((number, {_column(name): _cell(value) for name, value in row.items()}))
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_cell, value))
    return "" if value is None else str(value)


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
        (number, {key: name, column: text})
        for number, (name, (text, _)) in enumerate(zip(keys, texts, strict=True), start=1)
    ]
    return make_table(key, [key, column], rows)
