"""The flags of `cmrjax prepare`, and what can be refused before anything is read."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.contract import DTYPES
from cmrjax.data.sources.table import PUBLIC
from cmrjax.data.splits import FRACTIONS

_TWO_PHASES = ("acdc", "mnms", "mnms2")
_RANGES = {
    "workers": (1, 4096),
    "size": (8, 2048),  # a cine of 16-bit pixels is 2 GB then, by 256 frames
    "frames": (1, 1024),
    "patients": (1, 10**6),
}


def build_parser() -> argparse.ArgumentParser:
    """The flags of `prepare`."""
    parser = argparse.ArgumentParser(
        prog="cmrjax prepare", description="scans and reports in, a dataset out"
    )
    add = parser.add_argument
    add("--source", required=True, choices=("dicom", *PUBLIC, "phantom"))
    add("--input", type=Path, help="folder of scans (not for phantom)")
    add("--output", type=Path, required=True, help="dataset directory to write")
    add(
        "--reports",
        type=Path,
        help="CSV or JSONL (study_instance_uid or accession_number, report) or a folder of texts",
    )
    add("--labels", type=Path, help="CSV or JSONL: the same keys, and a column for each task")
    add("--label-tasks", type=Path, help="CSV: column, kind, task, classes; without it, numbers")
    add("--deid-key-file", type=Path, help="secret that hashes the ids; needed for dicom")
    add("--public", action="store_true", help="the input is public: a fixed id namespace")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    add("--runner", choices=("local", "beam"), default="local", help="beam: under Apache Beam")
    add("--beam-options", metavar="OPTIONS", help="of the pipeline: one quoted text")
    add("--size", type=int, help="rows and columns stored (default 64)")
    add("--spacing", type=float, help="mm between pixels (default 2.5)")
    add("--frames", type=int, help="frames a cycle (default 16; acdc 2, emidec 1)")
    add(
        "--fade",
        action="store_true",
        help="acdc, mnms, mnms2: where ED and ES alone are there, --frames fade between them",
    )
    add("--dtype", choices=DTYPES, help="stored pixels (default uint8)")
    add(
        "--contract",
        type=Path,
        metavar="DIR",
        help="prepare as the data of this workdir, model folder or dataset was",
    )
    add(
        "--max-rejected",
        type=float,
        metavar="SHARE",
        help="stop when more than this share of the studies gives no cine (default: never)",
    )
    add("--fractions", type=float, nargs=3, default=FRACTIONS, metavar=("TRAIN", "VAL", "TEST"))
    add("--split-seed", type=int, default=0, help="deals the splits (default 0)")
    add(
        "--splits",
        type=Path,
        metavar="DATASET",
        help="patients of this former dataset keep their split and fold (the same key)",
    )
    add("--patients", type=int, help="phantom: patients to make (default 200)")
    add("--seed", type=int, help="phantom: its seed (default 0)")
    add("--profile", choices=("demo", "full"), help="phantom: kind of export (default demo)")
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The flags as given; exits with 2 on an unknown one.

    A pipeline's options begin with a dash, which argparse takes as the value of no flag unless it
    is joined to it.
    """
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--beam-options":
            word = f"{words.pop()}={word}"
        words.append(word)
    return build_parser().parse_args(words)


def check(args: argparse.Namespace) -> None:
    """Refuses what is wrong before anything is written.

    Raises:
        UserError: names the flag.
    """
    if args.source != "phantom" and args.input is None:
        raise UserError("--input is missing", fix="give the folder of scans")
    if args.label_tasks is not None and args.labels is None and args.source != "phantom":
        raise UserError("--label-tasks without --labels", fix="give the labels, too")
    if args.source == "phantom" and args.input is not None:
        raise UserError("--source phantom makes its own scans", fix="leave --input out")
    if args.source != "phantom":
        for name in ("patients", "seed", "profile"):
            if getattr(args, name) is not None:
                raise UserError(f"--{name} is of --source phantom alone", fix="leave it out")
    for name, (least, most) in _RANGES.items():
        if (value := getattr(args, name)) is not None and not least <= value <= most:
            raise UserError(f"--{name} {value} is not from {least} to {most}")
    if args.spacing is not None and not 0.1 <= args.spacing <= 20:
        raise UserError(f"--spacing {args.spacing} is not a spacing in mm")
    if args.max_rejected is not None and not 0 <= args.max_rejected <= 1:
        raise UserError(f"--max-rejected {args.max_rejected} is not a share from 0 to 1")
    if min(args.fractions) < 0 or not math.isclose(sum(args.fractions), 1, abs_tol=1e-6):
        raise UserError("--fractions must be shares that sum to 1")
    if args.fade and args.source not in _TWO_PHASES:
        raise UserError(f"--fade is for {', '.join(_TWO_PHASES)}", fix="leave it out")
    if args.beam_options is not None and args.runner != "beam":
        raise UserError("--beam-options without --runner beam")
    if args.input is not None and args.output.resolve().is_relative_to(args.input.resolve()):
        raise UserError(
            "lies inside --input, and would be read as scans",
            where=str(args.output),
            fix="give an --output elsewhere",
        )
