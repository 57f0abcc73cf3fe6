"""Does pretraining without labels help on real hearts? Single frames of ACDC, one network.

DINO and masked autoencoding against the same network at random initialisation (both read by a
linear probe) and trained end to end on the labels, over patient-level folds.
"""

import importlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.contract import load_checkpoint_contract
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import FOLDS
from cmrjax.data.transforms import prepare_clip
from cmrjax.evals import linear_probe, metrics
from cmrjax.evals.baselines import trivial_prediction
from cmrjax.evals.embeddings import Cohort, embed, read_cohort
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.linear_probe import ProbeData
from cmrjax.evals.predictions import Predictions, pool_predictions, to_csv
from cmrjax.evals.workdir_encoder import load_encoder, random_encoder
from cmrjax.experiment import load_run_config
from cmrjax.objectives.supervised import Supervised
from cmrjax.reporting.pretraining_page import DRAWS, write_table

ARMS = ("mae", "dino", "supervised")
GROUPS = ("nor", "dcm", "hcm", "minf", "rv")
TASKS = (*GROUPS, "lvef")
EVALUATOR = "linear_probe"
CONTRACT = ("--size", "64", "--spacing", "2.5", "--frames", "2")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run.

    Args:
        scans: ACDC's training folder.
        workdir: of the experiment.
        configs: the folder of configs.
        folds: how many of the folds.
        seed: of every training.
        transductive: pretrain once, on the frames of all patients without their labels, instead
            of inside each fold.
        words: more words for the training commands; tests make them small.
    """

    scans: Path
    workdir: Path
    configs: Path
    folds: int
    seed: int
    transductive: bool = False
    words: tuple[str, ...] = ()

    @property
    def dataset(self) -> Path:
        """The prepared ACDC."""
        return self.workdir / "acdc"

    def run_folder(self, arm: str, fold: int) -> Path:
        """The train workdir of an arm in a fold."""
        if self.transductive and arm != "supervised":
            return self.workdir / "pretrained" / arm
        return self.workdir / f"fold{fold}" / arm

    def commands(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The verbs and their words, in order."""
        prepare = ("--source", "acdc", "--input", str(self.scans), "--output", str(self.dataset))
        yield "prepare", (*prepare, *CONTRACT)
        done = set()
        for fold in range(self.folds):
            for arm in ARMS:
                folder = self.run_folder(arm, fold)
                if folder in done:
                    continue
                done.add(folder)
                whole = self.transductive and arm != "supervised"
                part = "split=all" if whole else f"fold=({fold}, {FOLDS})"
                config = f"{self.configs / 'pretrain_acdc_frames.py'}:{arm}"
                where = (f"--config.data.dataset={self.dataset}", f"--config.data.{part}")
                words = ("--config", config, "--workdir", str(folder), *where)
                yield "train", (*words, f"--config.seed={self.seed}", *self.words)


def run(plan: Plan) -> Path:
    """Runs every job; the same command goes on where a stopped one was.

    Returns:
        The table, `acdc_pretraining.md` in the workdir.
    """
    for verb, words in plan.commands():
        if verb == "prepare" and plan.dataset.exists():
            continue
        print(f"$ cmrjax {verb} {shlex.join(words)}", file=sys.stderr)
        importlib.import_module(f"cmrjax.{verb}").main(list(words))
    source = RecordSource(plan.dataset)
    files = []
    for fold in range(plan.folds):
        files.append(plan.workdir / f"fold{fold}" / "predictions.csv")
        if not files[-1].is_file():
            found = list(fold_predictions(plan, source, fold))
            write_bytes_atomic(files[-1], to_csv(found))
    parts = pool_predictions(files)
    how = metrics.Resampling(split=f"test, {plan.folds} of {FOLDS} folds pooled", step=0)
    shown = replace(plan, scans=Path("ACDC_DIR"), workdir=Path("WORKDIR"), configs=Path("configs"))
    lines = [
        f"cmrjax {verb} {shlex.join(words)}" for verb, words in replace(shown, folds=1).commands()
    ]
    return write_table(parts, how, plan.workdir, transductive=plan.transductive, commands=lines)


def fold_predictions(plan: Plan, source: RecordSource, fold: int) -> Iterator[Predictions]:
    """What every arm says of a fold's test patients."""
    cohorts = [read_cohort(source, split=s, fold=(fold, FOLDS)) for s in linear_probe.SPLITS]
    keep = lambda parts: without(twins(source), parts)  # noqa: E731
    for arm in ARMS:
        encoder = load_encoder(plan.run_folder(arm, fold), name=arm)
        yield from keep(probe(encoder, cohorts))
    for draw in range(DRAWS):
        folder = plan.run_folder("mae", fold)
        encoder = random_encoder(folder, seed=plan.seed + draw, name=f"untrained{draw}")
        yield from keep(probe(encoder, cohorts))
    yield from keep(own_head(plan.run_folder("supervised", fold), cohorts[-1]))
    yield from keep(trivial(cohorts))


def twins(source: RecordSource) -> frozenset[str]:
    """Patients whose frames another patient has as well; ACDC holds such a pair.

    One of them may be trained on where the other is tested, so neither is scored.
    """
    pairs = source.info.get("near_duplicates", [])
    return frozenset(pair[key] for pair in pairs for key in ("patient_a", "patient_b"))


def without(patients: frozenset[str], parts: Iterable[Predictions]) -> Iterator[Predictions]:
    """The predictions of everyone else. Cases are told by id: a task lacks those not labelled."""
    for part in parts:
        yield part.take(np.flatnonzero(~np.isin(part.patient_id, sorted(patients))))


def probe(encoder: Encoder, cohorts: Sequence[Cohort]) -> list[Predictions]:
    """A linear probe of each task, fitted inside the fold."""
    data = ProbeData(
        features=np.concatenate([embed(encoder, cohort).pooled for cohort in cohorts]),
        split=np.repeat(linear_probe.SPLITS, [len(c.members) for c in cohorts]),
        labels={t: np.concatenate([c.labels[t] for c in cohorts]) for t in TASKS},
        patient_id=np.concatenate([c.patient_id for c in cohorts]),
        study_id=np.concatenate([c.study_id for c in cohorts]),
    )
    known = cohorts[0].source.info["label_tasks"]
    tasks = {task: known[task] for task in TASKS}
    return linear_probe.probe(data, tasks, encoder=encoder.name, evaluator=EVALUATOR)


def own_head(workdir: Path, test: Cohort) -> Iterator[Predictions]:
    """What the end-to-end network says itself, without a probe."""
    run = load_run_config(workdir)
    _, contract = load_checkpoint_contract(workdir)
    objective = make_objective(run, contract, source=RecordSource(Path(run.data_config().dataset)))
    assert isinstance(objective, Supervised)
    params = checkpoint.restore_parts(workdir, parts=("params",))[1]["params"]
    graph = nnx.split(objective.abstract())[0]
    outputs = jax.jit(lambda clips, mask: nnx.merge(graph, params)(clips, mask)[0])
    most = max(len(study.rows) for study in test.members)
    found = []
    for study in test.members:
        clips = np.stack([prepare_clip(test.source[row]["cine"], contract) for row in study.rows])
        clips = np.pad(clips, ((0, most - len(clips)), (0, 0), (0, 0), (0, 0)))
        there = np.arange(most) < len(study.rows)
        found.append(np.asarray(outputs(jnp.asarray(clips)[None], jnp.asarray(there)[None])))
    values, config = np.stack(found).astype(np.float64), objective.config
    for i, task in enumerate((*config.binary, *config.regression)):
        if task in config.binary:
            kind, value = "probability", 1 / (1 + np.exp(-values[:, i]))
        else:
            j = i - len(config.binary)
            kind, value = "regression", values[:, i] * config.std[j] + config.mean[j]
        yield _of(test, "end_to_end", task, kind, value)


def trivial(cohorts: Sequence[Cohort]) -> Iterator[Predictions]:
    """The prevalence, and the mean of the patients that are trained on."""
    fitted, test = cohorts[:-1], cohorts[-1]
    for task in TASKS:
        kind = "regression" if task == "lvef" else "probability"
        known = np.concatenate([cohort.labels[task] for cohort in fitted])
        value = trivial_prediction(known, {"kind": kind}, n=len(test.members))
        yield _of(test, "trivial", task, kind, value)


def _of(test: Cohort, encoder: str, task: str, kind: str, value: np.ndarray) -> Predictions:
    ids = (test.patient_id, test.study_id)
    return Predictions(EVALUATOR, encoder, task, kind, *ids, test.labels[task], value).known()
