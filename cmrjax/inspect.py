"""`cmrjax inspect DIR`: the data card of a dataset, as text, JSON or a page with its cines."""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.core.terminal import printable
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.card import data_card
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import SPLIT_NAMES
from cmrjax.reporting.counts import Noted, joined, mixed
from cmrjax.reporting.reasons import meaning

_SPREAD = ("min", "median", "max", "mean", "sd")


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "none"


def as_text(card: Mapping[str, Any]) -> str:
    """The data card for reading on a terminal."""
    contract, splits, reports = card["contract"], card["splits"], card["reports"]
    lines = [
        f"{card['name']}: {card['patients']} patients, {card['studies']} studies, "
        f"{card['cines']} cines",
        f"source      {card['source']}{' (public)' if card['public'] else ''}; {card['licence']}",
        f"stored      {contract['frames']} x {contract['size']} x {contract['size']} "
        f"{contract['dtype']}, {contract['spacing_mm']} mm"
        f"{', with masks' if contract['masks'] else ''}"
        f"{', fading where two phases alone were there' if card['faded'] else ''}",
        f"views       {_line(card['by_view'])}",
        f"studies     {_line(card['by_vendor'])}; {_line(card['by_field_strength'])}",
        f"phases      {_line(card['phases'])}",
        f"spacing mm  {_spread(card['spacing_mm'])}; between slices {_spread(card['gap_mm'])}",
        f"crops       {_line({key.replace('_', ' '): n for key, n in card['crops'].items()})}",
        f"splits      {_line({name: splits[name]['patients'] for name in SPLIT_NAMES})}"
        f" patients; folds {splits['folds']}",
        f"reports     {reports['studies_with_report']} studies, {reports['distinct']} different "
        f"texts, from {card['text_source']}; words: {_spread(reports['words'])}",
        f"removed     {_line(card['deidentified'])}",
        "left out" if card["rejected"] else "left out    none",
        *(_rejected(reason, n) for reason, n in card["rejected"].items()),
        *_noted("reports and tables", joined(card)),
        *_noted("patients", mixed(card)),
        *_alike(card["near_duplicates"]),
        "labels",
    ]
    for task, row in card["labels"].items():
        lines.append(f"  {task:<30} {row['kind']:<10} known {row['known']}{_label(row)}")
    return "\n".join(printable(line.replace("\n", " ")) for line in lines)


def _label(row: Mapping[str, Any]) -> str:
    if "median" in row:
        return f", {_spread(row)}"
    counts = row.get("classes") or {k: n for k, n in row.items() if k == "positive"}
    return f", {_line(counts)}" if counts else ""


def _spread(values: Mapping[str, Any]) -> str:
    return _line({name: f"{v:g}" for name, v in values.items() if name in _SPREAD})


def _rejected(reason: str, count: int) -> str:
    return f"  {reason:<30} {count:>8}  {meaning(reason)}".rstrip()


def _noted(heading: str, counts: Noted) -> list[str]:
    lines = [f"  {what:<32} {n:>6}  {text}" for what, n, text in counts]
    return [heading, *lines] if lines else []


def _alike(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each pair of studies that look alike under two patients' names."""
    lines = [
        f"  {p['study_a']} ({p['split_a']}) and {p['study_b']} ({p['split_b']}), "
        f"{p['distance']:.1%} of the bits differ"
        for p in pairs
    ]
    return ["look alike, of different patients", *lines] if lines else []


def _write(path: Path, source: RecordSource, card: Mapping[str, Any]) -> None:
    from cmrjax.reporting import contact_sheet, dataset_page  # slow to import, of use here alone

    sheets = contact_sheet.sheets(source)
    if path.suffix == ".html":
        content = dataset_page.render(card, sheets)
    else:
        buffer = io.BytesIO()
        contact_sheet.joined(sheets).save(buffer, "PNG")
        content = buffer.getvalue()
    try:
        write_bytes_atomic(path, content)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path)) from None
    print(f"cmrjax inspect: wrote {path}", file=sys.stderr)


def main(argv: list[str]) -> int:
    """Runs `cmrjax inspect`; prints the data card.

    Raises:
        UserError: the directory is no dataset, or the output has another ending or cannot be
            written.
    """
    parser = argparse.ArgumentParser(prog="cmrjax inspect", description="show what a dataset holds")
    parser.add_argument("directory", type=Path, help="a dataset that `prepare` wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--output", type=Path, help="write a page (.html) or its cines (.png)")
    args = parser.parse_args(argv)
    if args.output is not None and args.output.suffix not in (".html", ".png"):
        raise UserError("--output must end in .html or .png", where=str(args.output))
    source = RecordSource(args.directory)
    card = data_card(source)
    if args.output is not None:
        _write(args.output, source, card)
    print(json.dumps(card) if args.json else as_text(card))
    return 0


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("inspect", sys.argv[1:]))
