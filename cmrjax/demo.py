"""The demo: the whole way on an embedded phantom, from DICOM files to a report page.

It runs the very jobs that a user would run, one after another, and prints each command.
"""

import argparse
import hashlib
import importlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from cmrjax.core.clock import Stopwatch, progress
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_json_atomic

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PATIENTS = 760
MARK = "demo.json"


def main(argv: Sequence[str]) -> int:
    """`cmrjax demo [--workdir D] [--seed N]`."""
    parser = argparse.ArgumentParser(prog="cmrjax demo", description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=0, help="of the phantom and of the training")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    args = parser.parse_args(argv)
    demo(args.workdir, seed=args.seed, patients=args.patients)
    return 0


def demo(workdir: Path, *, seed: int, patients: int) -> None:
    """Runs every job of the demo; the same command goes on where a stopped one was.

    Args:
        workdir: holds everything that the demo makes, the dataset and DICOM files too.
        seed: of the phantom and of the training.
        patients: how many to make.

    Raises:
        UserError: the folder holds something else, or a demo with other settings.
    """
    if not CONFIGS.is_dir():
        raise UserError("the configs folder is missing", fix="run the demo from a source checkout")
    _claim(workdir, {"seed": seed, "patients": patients})
    watch = Stopwatch()
    dataset, ceiling = workdir / "dataset", workdir / "supervised"
    with watch.part("phantom"):
        _write_scans(workdir, seed=seed, patients=patients)
    with watch.part("prepare"):
        if not dataset.exists():
            _job(
                "prepare",
                [
                    *("--source", "dicom", "--public", "--input", workdir / "dicom"),
                    *("--reports", workdir / "reports.csv", "--labels", workdir / "labels.csv"),
                    *("--deid-key-file", workdir / "deid.key", "--output", dataset),
                ],
            )
    pretrain = CONFIGS / "pretrain_phantom.py"
    common = [f"--config.data.dataset={dataset}", f"--config.seed={seed}"]
    with watch.part("train"):
        _job("train", ["--config", pretrain, "--workdir", workdir, *common])
    with watch.part("supervised ceiling"):
        config = f"{pretrain}:supervised"
        short = ["--config.steps=120", "--config.checkpoint_every=120"]
        _job("train", ["--config", config, "--workdir", ceiling, *common, *short])
    for name in ("zero_shot", "linear_probe", "retrieval"):
        with watch.part(name):
            words = ["--config", CONFIGS / f"eval_{name}.py", "--workdir", workdir]
            if name == "linear_probe":
                words.append(f"--config.ceiling_workdir={ceiling}")
            _job("evaluate", words)
    with watch.part("report"):
        _job("report", ["--workdir", workdir])
    write_json_atomic(workdir / "time.json", watch.seconds)
    for name, seconds in watch.seconds.items():
        print(f"{seconds:7.1f} s  {name}", file=sys.stderr)
    print(f"{sum(watch.seconds.values()):7.1f} s  in all", file=sys.stderr)
    print(workdir / "report" / "index.html")


def _claim(workdir: Path, settings: dict[str, int]) -> None:
    mark = workdir / MARK
    if mark.is_file():
        try:
            before = json.loads(mark.read_text())
        except ValueError:
            before = None
        if before != settings:
            raise UserError(
                f"holds a demo with other settings: {before}",
                where=str(workdir),
                fix="remove it, or give another --workdir",
            )
    elif workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UserError("not empty and not a demo", where=str(workdir), fix="give another")
    write_json_atomic(mark, settings)


def _write_scans(workdir: Path, *, seed: int, patients: int) -> None:
    """DICOM files, reports, labels and the key that will hash the ids."""
    # The renderer is needed here alone; other verbs need not import it.
    from cmrjax.data.phantom.generate import DEMO, write_phantom

    mark = workdir / "dicom.done"
    if mark.is_file():
        return
    shutil.rmtree(workdir / "dicom", ignore_errors=True)  # of a demo that was stopped
    with progress(total=patients, unit="patient", description="phantom") as bar:

        def show(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        write_phantom(
            workdir,
            patients=patients,
            seed=seed,
            profile=DEMO,
            workers=os.cpu_count() or 1,
            progress=show,
        )
    # A hospital's key is random and secret. These patients do not exist, and a key made from the
    # seed gives the same ids, hence the same splits and results, on every machine.
    key = workdir / "deid.key"
    key.touch(mode=0o600)
    key.write_text(hashlib.sha256(f"cmrjax demo {seed}".encode()).hexdigest() + "\n")
    mark.touch()


def _job(verb: str, words: Sequence[object]) -> None:
    """Runs a job as the command line would, and shows the command."""
    argv = [str(word) for word in words]
    print(f"$ cmrjax {verb} {shlex.join(argv)}", file=sys.stderr)
    importlib.import_module(f"cmrjax.{verb}").main(argv)


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("demo", sys.argv[1:]))
