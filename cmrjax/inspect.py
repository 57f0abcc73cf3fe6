"""`cmrjax inspect DIR`: the data card of a dataset, as text, JSON or a page with its cines."""

import argparse
import base64
import io
import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.card import contact_sheet, data_card
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import SPLIT_NAMES

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Data card: {name}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;color:#222}}
img{{width:100%;image-rendering:pixelated;background:#000}}pre{{white-space:pre-wrap}}</style>
<h1>Data card: {name}</h1><pre>{card}</pre>
<h2>Cines</h2><p>A study a row; each cine at its first frame and in mid-cycle.</p>
<img alt="cines of some studies" src="data:image/png;base64,{sheet}"></html>
"""


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "none"


def as_text(card: Mapping[str, Any]) -> str:
    """The data card for reading on a terminal."""
    contract, splits = card["contract"], card["splits"]
    lines = [
        f"{card['name']}: {card['patients']} patients, {card['studies']} studies, "
        f"{card['cines']} cines",
        f"source      {card['source']}{' (public)' if card['public'] else ''}; {card['licence']}",
        f"stored      {contract['frames']} x {contract['size']} x {contract['size']} "
        f"{contract['dtype']}, {contract['spacing_mm']} mm"
        f"{', with masks' if contract['masks'] else ''}",
        f"views       {_line(card['by_view'])}",
        f"phases      {_line(card['phases'])}",
        f"spacing mm  {_line(card['spacing_mm'])}",
        f"crops       {_line({key.replace('_', ' '): n for key, n in card['crops'].items()})}",
        f"splits      {_line({name: splits[name]['patients'] for name in SPLIT_NAMES})}"
        f" patients; folds {splits['folds']}",
        f"reports     {card['reports']['studies_with_report']} studies, text from "
        f"{card['text_source']}; words: {_line(card['reports']['words'])}",
        f"removed     {_line(card['deidentified'])}",
        f"left out    {_line(card['rejected'])}",
        *_alike(card["near_duplicates"]),
        "labels",
    ]
    for task, row in card["labels"].items():
        rest = {k: v for k, v in row.items() if k not in ("kind", "classes")}
        lines.append(f"  {task:<30} {row['kind']:<10} {_line(rest | row.get('classes', {}))}")
    return "\n".join(lines)


def _alike(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each pair of studies that look alike under two patients' names."""
    lines = [
        f"  {p['study_a']} ({p['split_a']}) and {p['study_b']} ({p['split_b']}), "
        f"{p['distance']:.1%} of the bits differ"
        for p in pairs
    ]
    return ["look alike, of different patients", *lines] if lines else []


def _write(path: Path, source: RecordSource, card: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    contact_sheet(source).save(buffer, "PNG")
    if path.suffix == ".png":
        write_bytes_atomic(path, buffer.getvalue())
        return
    sheet = base64.b64encode(buffer.getvalue()).decode()
    page = _PAGE.format(name=escape(card["name"]), card=escape(as_text(card)), sheet=sheet)
    write_bytes_atomic(path, page.encode())


def main(argv: list[str]) -> int:
    """Runs `cmrjax inspect`; prints the data card.

    Raises:
        UserError: the directory is no dataset, or the output has another ending.
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
