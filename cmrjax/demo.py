"""The demo: the whole way on an embedded phantom, from DICOM files to a report page.

It runs the very jobs that a user would run, one after another, and prints each command.
"""

import argparse
import hashlib
import importlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from cmrjax.core.claim import claim
from cmrjax.core.clock import Stopwatch, progress
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_json_atomic

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PRETRAIN = CONFIGS / "pretrain_phantom.py"
PATIENTS = 700
# What the acceptance suite takes instead, when there is time.
LONG_PATIENTS, LONG_STEPS = 760, 800
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


def demo(workdir: Path, *, seed: int, patients: int = PATIENTS, steps: int | None = None) -> None:
    """Runs every job of the demo; the same command goes on where a stopped one was.

    Args:
        workdir: holds everything that the demo makes, the dataset and DICOM files too.
        seed: of the phantom and of the training.
        patients: how many to make.
        steps: of the contrastive training; the config's by default.

    Raises:
        UserError: the folder holds something else, or a demo with other settings.
    """
    if not CONFIGS.is_dir():
        raise UserError("the configs folder is missing", fix="run the demo from a source checkout")
    claim(workdir, MARK, {"seed": seed, "patients": patients, "steps": steps})
    watch = Stopwatch()
    dataset, ceiling = workdir / "dataset", workdir / "supervised"
    with watch.part("phantom"):
        _write_scans(workdir, seed=seed, patients=patients)
    with watch.part("prepare"):
        if not dataset.exists():
            prepare_dataset(workdir, dataset, reports=workdir / "reports.csv")
    with watch.part("train"):
        train_contrastive(workdir, dataset=dataset, seed=seed, steps=steps)
    with watch.part("supervised ceiling"):
        words = ["--config", f"{PRETRAIN}:supervised", "--workdir", ceiling]
        _job("train", [*words, f"--config.data.dataset={dataset}", f"--config.seed={seed}"])
    for name in ("zero_shot", "linear_probe", "retrieval"):
        with watch.part(name):
            evaluate(name, workdir, ceiling=ceiling if name == "linear_probe" else None)
    with watch.part("report"):
        _job("report", ["--workdir", workdir])
    write_json_atomic(workdir / "time.json", watch.seconds)
    for name, seconds in watch.seconds.items():
        print(f"{seconds:7.1f} s  {name}", file=sys.stderr)
    print(f"{sum(watch.seconds.values()):7.1f} s  in all", file=sys.stderr)
    print(workdir / "report" / "index.html")


def prepare_dataset(export: Path, dataset: Path, *, reports: Path) -> None:
    """`cmrjax prepare` on the phantom's DICOM files.

    Args:
        export: holds `dicom/`, `labels.csv` and `deid.key`.
        dataset: to be written.
        reports: CSV of reports.
    """
    _job(
        "prepare",
        [
            *("--source", "dicom", "--public", "--input", export / "dicom"),
            *("--reports", reports, "--labels", export / "labels.csv"),
            *("--deid-key-file", export / "deid.key", "--output", dataset),
            # 160 mm hold both atria and the right ventricle, 128 mm do not.
            *("--spacing", 2.5),
        ],
    )


def train_contrastive(workdir: Path, *, dataset: Path, seed: int, steps: int | None) -> None:
    """`cmrjax train` with the demo's contrastive config."""
    words = ["--config", PRETRAIN, "--workdir", workdir, f"--config.data.dataset={dataset}"]
    if steps is not None:
        words += [f"--config.steps={steps}", f"--config.checkpoint_every={steps // 2}"]
    _job("train", [*words, f"--config.seed={seed}"])


def evaluate(name: str, workdir: Path, *, ceiling: Path | None = None) -> None:
    """`cmrjax evaluate` with one of the evaluators' configs."""
    words = ["--config", CONFIGS / f"eval_{name}.py", "--workdir", workdir]
    if ceiling is not None:
        words.append(f"--config.ceiling_workdir={ceiling}")
    _job("evaluate", words)


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
