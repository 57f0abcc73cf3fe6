"""The report job: one self-contained page about a run, its data and its results."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cmrjax.core.distributed import use_compilation_cache
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.reporting.build import build_page
from cmrjax.reporting.page import render
from cmrjax.reporting.run import read_run


def main(argv: Sequence[str]) -> int:
    """`cmrjax report --workdir D [--with-text]`."""
    parser = argparse.ArgumentParser(prog="cmrjax report", description=__doc__)
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument(
        "--with-text",
        action="store_true",
        help="show de-identified report text of data that is not public, under a banner",
    )
    args = parser.parse_args(argv)
    use_compilation_cache()
    print(write_report(args.workdir, with_text=args.with_text))
    return 0


def write_report(workdir: Path, *, with_text: bool) -> Path:
    """Writes `workdir/report/index.html`.

    Args:
        workdir: of a train job.
        with_text: show report text even of data that is not public.

    Returns:
        The page's path.

    Raises:
        UserError: not a workdir, or its dataset was prepared another way.
        CorruptDataError: a checkpoint, results file or record is damaged.
    """
    page = build_page(read_run(workdir, with_text=with_text))
    path = workdir / "report" / "index.html"
    write_bytes_atomic(path, render(page))
    return path


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("report", sys.argv[1:]))
