"""The status job: where a run stands."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.core.writer import read_metrics


def main(argv: Sequence[str]) -> int:
    """`cmrjax status D`."""
    parser = argparse.ArgumentParser(prog="cmrjax status", description=__doc__)
    parser.add_argument("workdir", type=Path)
    args = parser.parse_args(argv)
    path = args.workdir / "status.json"
    try:
        status = json.loads(path.read_text())
        age = time.time() - status["updated"]
        line = f"{status['state']}: step {status['step']} of {status['steps']}, {age:.0f} s ago"
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(
            "not a workdir: status.json is missing or unreadable",
            where=str(args.workdir),
            fix="give the --workdir of a cmrjax train job",
        ) from None
    print(line)
    print(f"checkpoints: {', '.join(map(str, checkpoint.steps(args.workdir))) or 'none'}")
    # A step that was skipped has no loss.
    if rows := [row for row in read_metrics(args.workdir) if row["loss"] is not None]:
        print(f"loss {rows[-1]['loss']:.4f} at step {rows[-1]['step']}")
    return 0


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("status", sys.argv[1:]))
