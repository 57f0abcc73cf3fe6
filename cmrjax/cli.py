"""`cmrjax <verb>`: starts a job and turns what it raises into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

from cmrjax import __version__
from cmrjax.core.errors import EXIT_USER, CmrjaxError
from cmrjax.core.terminal import printable

VERBS = {
    "demo": "the whole way on an embedded phantom, from DICOM to a report page",
    "bench": "run a benchmark suite",
    "prepare": "read scans and reports, write a dataset",
    "inspect": "show what a dataset holds",
    "verify": "check every record of a dataset or every file of a checkpoint",
    "train": "train, or go on training",
    "evaluate": "run an evaluator on a checkpoint",
    "embed": "write the vectors of a dataset's studies or cines to a file",
    "report": "write the report page of a workdir",
    "status": "show where a run stands",
    "export": "write a model for others: weights, a model folder, StableHLO, ONNX",
    "import": "make a model folder of another network's weights",
    "stats": "compute every statistic of a predictions file",
    "reproduce": "run an experiment and write its table",
}


def usage() -> str:
    """The list of verbs."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(["usage: cmrjax <verb> [flags]; cmrjax <verb> --help", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cmrjax argv...` and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else EXIT_USER
    if words[0] == "--version":
        print(__version__)
        return 0
    if words[0] not in VERBS:
        known = ", ".join(VERBS)
        print(f"cmrjax: error: unknown verb {words[0]!r}; use one of {known}", file=sys.stderr)
        return EXIT_USER
    return run(words[0], words[1:])


def run(verb: str, argv: Sequence[str]) -> int:
    """Runs one verb's job."""
    try:
        return importlib.import_module(f"cmrjax.{verb}").main(list(argv))
    except CmrjaxError as error:
        print(f"cmrjax {verb}: error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"cmrjax {verb}: interrupted; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
