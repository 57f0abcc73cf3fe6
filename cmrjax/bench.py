"""The benchmark suite: what this code costs beside a plain way of doing the same."""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cmrjax.benchmarks.row import Row, format_table
from cmrjax.core.errors import UserError

SUITES = {
    "ingest": "reading DICOM and preparing it beside pydicom and SciPy; workers; memory",
    "losses": "contrastive losses in tiles and around a ring beside the whole matrix of pairs",
    "models": "parameters, FLOPs, step time and memory of the video towers; an import",
}


def main(argv: Sequence[str]) -> int:
    """`cmrjax bench SUITE [--json] [--only NAME ...]`."""
    suites = "; ".join(f"{name}: {text}" for name, text in SUITES.items())
    parser = argparse.ArgumentParser(prog="cmrjax bench", description=__doc__, epilog=suites)
    parser.add_argument("suite", choices=[*SUITES])
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="some rows alone")
    parser.add_argument("--data", type=Path, help="ingest: a folder of Sunnybrook's images")
    args = parser.parse_args(argv)
    if args.data is not None and (args.suite != "ingest" or not args.data.is_dir()):
        raise UserError("--data is a folder, for the suite ingest", where=str(args.data))
    suite = importlib.import_module(f"cmrjax.benchmarks.{args.suite}")
    given = {} if args.data is None else {"data": args.data}
    rows: list[Row] = []
    try:
        for row in suite.run(tuple(args.only), **given):
            rows.append(row)
    finally:  # what was measured before a failure or an interrupt is shown
        as_json = [row.to_json() for row in rows]
        print(json.dumps(as_json, indent=1) if args.json else format_table(rows))
    return 0


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("bench", sys.argv[1:]))
