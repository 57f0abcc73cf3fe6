"""Reproduces an experiment: runs its jobs, then writes its table.

`acdc_transfer`: does pretraining help on 80 real hearts (ACDC, end-diastole and end-systole)?
`acdc_pretraining`: DINO and masked autoencoding on their single frames, against no pretraining and
against training end to end. Patient-level cross-validation; what is trained on ACDC is trained
inside the fold, but for `acdc_pretraining --transductive`.
"""

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrjax.core.claim import claim
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import FOLDS
from cmrjax.evals import linear_probe
from cmrjax.evals.embeddings import Cohort, embed, read_cohort
from cmrjax.evals.linear_probe import ProbeData
from cmrjax.evals.predictions import Predictions, to_csv
from cmrjax.evals.workdir_encoder import random_encoder
from cmrjax.reporting import transfer
from cmrjax.reporting.transfer_page import write_table
from cmrjax.reproducing import acdc_pretraining

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXPERIMENTS = ("acdc_transfer", "acdc_pretraining")
MARK = "reproduce.json"
# A heart with its right ventricle is wider than the 128 mm of prepare's defaults: 160 mm here. 16
# frames, as the phantom has: ACDC's two become the first and the middle one, unchanged, and what
# lies between fades (`--fade`).
CONTRACT = ("--size", "64", "--spacing", "2.5", "--frames", "16")
VOLUMES = ("lvedv_ml", "lvesv_ml", "lvef", "rvedv_ml", "rvesv_ml", "rvef", "lv_mass_g")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the experiment is; tests make it small.

    Args:
        patients: of the phantom.
        prepare: more words for both prepare commands.
        phantom: more words for the phantom's training command.
        acdc: more words for ACDC's training commands.
    """

    patients: int = 400
    prepare: tuple[str, ...] = ()
    phantom: tuple[str, ...] = ()
    acdc: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A job.

    Args:
        verb: of `cmrjax`.
        words: its arguments.
        product: a folder that makes the job needless; None for jobs that see that themselves.
    """

    verb: str
    words: tuple[str, ...]
    product: Path | None = None

    def __str__(self) -> str:
        return f"cmrjax {self.verb} {shlex.join(self.words)}"


def main(argv: Sequence[str]) -> int:
    """`cmrjax reproduce acdc_transfer --input ACDC_DIR --workdir D`."""
    parser = argparse.ArgumentParser(prog="cmrjax reproduce", description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--input", type=Path, required=True, help="ACDC's training folder")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=FOLDS, help=f"how many of the {FOLDS} to run")
    parser.add_argument("--seed", type=int, default=0, help="of the phantom and of every training")
    parser.add_argument(
        "--transductive",
        action="store_true",
        help="acdc_pretraining: pretrain once on the frames of all patients, without labels",
    )
    args = parser.parse_args(argv)
    if args.experiment == "acdc_transfer":
        if args.transductive:
            raise UserError("--transductive is for acdc_pretraining")
        acdc_transfer(args.input, args.workdir, folds=args.folds, seed=args.seed)
        return 0
    run_pretraining(args.input, args.workdir, args.folds, args.seed, args.transductive)
    return 0


def run_pretraining(
    scans: Path,
    workdir: Path,
    folds: int,
    seed: int,
    transductive: bool,
    words: tuple[str, ...] = (),
) -> Path:
    """Runs `reproducing.acdc_pretraining` and prints its table; see `Plan` for the arguments."""
    _check(scans, folds)
    settings = {"experiment": "acdc_pretraining", "seed": seed, "transductive": transductive}
    claim(workdir, MARK, settings)
    table = acdc_pretraining.run(
        acdc_pretraining.Plan(
            scans=scans,
            workdir=workdir,
            configs=CONFIGS,
            folds=folds,
            seed=seed,
            transductive=transductive,
            words=words,
        )
    )
    print(table.read_text())
    print(table)
    return table


def _check(scans: Path, folds: int) -> None:
    if not CONFIGS.is_dir():
        raise UserError("the configs folder is missing", fix="run this from a source checkout")
    if not 1 <= folds <= FOLDS:
        raise UserError(f"--folds {folds}", fix=f"give 1 to {FOLDS}")
    if not scans.is_dir():
        raise UserError("no such folder", where=str(scans), fix="give ACDC's training folder")


def acdc_transfer(
    scans: Path, workdir: Path, *, folds: int, seed: int, scale: Scale | None = None
) -> None:
    """Runs every job of the experiment; the same command goes on where a stopped one was.

    Args:
        scans: ACDC's training folder.
        workdir: holds everything that the experiment makes; the table is `acdc_transfer.md`.
        folds: how many of the folds to run.
        seed: of the phantom and of every training.
        scale: the full one by default.

    Raises:
        UserError: the folder holds something else, or the experiment with another seed.
    """
    scale = scale or Scale()
    _check(scans, folds)
    settings = {"experiment": "acdc_transfer", "seed": seed, "patients": scale.patients}
    claim(workdir, MARK, settings)
    for command in commands(scans, workdir, CONFIGS, folds=folds, seed=seed, scale=scale):
        if command.product is not None and command.product.exists():
            continue
        print(f"$ {command}", file=sys.stderr)
        importlib.import_module(f"cmrjax.{command.verb}").main(list(command.words))
    _probe_volumes(workdir, folds=folds)
    _probe_untrained(workdir, folds=folds, seed=seed)
    shown = commands(
        Path("ACDC_DIR"), Path("WORKDIR"), Path("configs"), folds=1, seed=seed, scale=scale
    )
    table = write_table(workdir, folds=folds, seed=seed, commands=[str(c) for c in shown])
    print(table.read_text())
    print(table)


def commands(
    scans: Path, workdir: Path, configs: Path, *, folds: int, seed: int, scale: Scale
) -> list[Command]:
    """Every job in its order.

    Args:
        scans: ACDC's training folder.
        workdir: of the experiment.
        configs: the folder of configs.
        folds: how many of the folds.
        seed: of the phantom and of every training.
        scale: how large.
    """
    acdc, phantom, pretrain = (workdir / name for name in ("acdc", "phantom", "pretrain"))
    config = str(configs / "pretrain_acdc.py")

    def prepare(*words: object, output: Path) -> Command:
        all_words = (*map(str, words), "--output", str(output), *CONTRACT, *scale.prepare)
        return Command("prepare", all_words, product=output)

    def train(argument: str, run: Path, *words: str) -> Command:
        common = ("--config", f"{config}:{argument}", "--workdir", str(run))
        return Command("train", (*common, f"--config.seed={seed}", *words))

    def evaluate(run: Path, *words: str) -> list[Command]:
        probe, zero_shot = configs / "eval_linear_probe.py", configs / "eval_zero_shot.py"
        # The table resamples the pooled folds; intervals of one fold's 16 patients say nothing.
        common = ("--workdir", str(run), "--config.n_bootstrap=0", *words)
        return [
            Command("evaluate", ("--config", str(probe), *common)),
            Command("evaluate", ("--config", f"{zero_shot}:acdc", *common)),
        ]

    out = [
        prepare("--source", "acdc", "--fade", "--input", scans, output=acdc),
        prepare(
            *("--source", "phantom", "--patients", scale.patients, "--seed", seed), output=phantom
        ),
        train("phantom", pretrain, f"--config.data.dataset={phantom}", *scale.phantom),
    ]
    for i in range(folds):
        fold = (f"--config.data.dataset={acdc}", f"--config.data.fold=({i}, {FOLDS})", *scale.acdc)
        taken = f"--config.pretrained.workdir={pretrain}"
        scratch, moved = (transfer.run_folder(workdir, arm, i) for arm in ("scratch", "transfer"))
        out += [train("acdc", scratch, *fold), *evaluate(scratch)]
        out += [train("acdc", moved, *fold, taken), *evaluate(moved)]
        unseen = (f"--config.data={acdc}", f"--config.fold=({i}, {FOLDS})")
        out += evaluate(pretrain, *unseen, f"--config.suffix={transfer.SUFFIX}")
    return out


def _probe_volumes(workdir: Path, *, folds: int) -> None:
    """The group from what the experts' masks measure: what no encoder is expected to pass."""
    source = RecordSource(workdir / "acdc")
    tasks = {t: s for t, s in source.info["label_tasks"].items() if s["kind"] != "regression"}
    for i in range(folds):
        cohorts = _cohorts(source, i)
        measured = [np.stack([c.labels[name] for name in VOLUMES], axis=1) for c in cohorts]
        found = linear_probe.probe(
            _probe_data(cohorts, measured), tasks, encoder="volumes", evaluator="linear_probe"
        )
        write_bytes_atomic(transfer.volumes_file(workdir, i), to_csv(found))


def _probe_untrained(workdir: Path, *, folds: int, seed: int) -> None:
    """The network before its first step, drawn several times: a single draw is luck."""
    files = [transfer.untrained_file(workdir, i) for i in range(folds)]
    if all(file.is_file() for file in files):
        return
    source = RecordSource(workdir / "acdc")
    cohorts = [_cohorts(source, i) for i in range(folds)]
    found: list[list[Predictions]] = [[] for _ in files]
    for k in range(transfer.DRAWS):
        encoder = random_encoder(workdir / "pretrain", seed=seed + k, name=f"untrained{k}")
        for fold, mine in zip(found, cohorts, strict=True):
            data = _probe_data(mine, [embed(encoder, c).pooled for c in mine])
            fold += linear_probe.probe(
                data, source.info["label_tasks"], encoder=encoder.name, evaluator="linear_probe"
            )
    for file, fold in zip(files, found, strict=True):
        write_bytes_atomic(file, to_csv(fold))


def _cohorts(source: RecordSource, fold: int) -> list[Cohort]:
    return [read_cohort(source, split=s, fold=(fold, FOLDS)) for s in linear_probe.SPLITS]


def _probe_data(cohorts: Sequence[Cohort], features: Sequence[np.ndarray]) -> ProbeData:
    return ProbeData(
        features=np.concatenate(features),
        split=np.repeat(linear_probe.SPLITS, [len(c.members) for c in cohorts]),
        labels={t: np.concatenate([c.labels[t] for c in cohorts]) for t in cohorts[0].labels},
        patient_id=np.concatenate([c.patient_id for c in cohorts]),
        study_id=np.concatenate([c.study_id for c in cohorts]),
    )


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("reproduce", sys.argv[1:]))
