"""One evaluator on one checkpoint: opens the data, embeds, evaluates, writes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import cmrjax.core.partitioning  # noqa: F401  (its flax setting; networks are built below)
from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.data.contract import load_checkpoint_contract, require_same
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import load_splits
from cmrjax.evals import baselines, linear_probe, metrics, retrieval, zero_shot
from cmrjax.evals.base import SETTINGS, Result, is_done, result_folder, write_result
from cmrjax.evals.embeddings import (
    Cohort,
    StudyEmbeddings,
    cached,
    dataset_fingerprint,
    embed,
    read_cohort,
    split_label,
)
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.workdir_encoder import load_encoder, random_encoder
from cmrjax.experiment import load_run_config

EVALUATORS = ("zero_shot", "linear_probe", "retrieval")
SCHEDULES = ("every_checkpoint", "last_checkpoint")


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """An evaluator job.

    Args:
        evaluator: 'zero_shot', 'linear_probe' or 'retrieval'.
        data: a dataset directory; empty takes the one that the run was trained on.
        split: 'test' or 'val'.
        fold: `(i, k)`; empty takes the pinned split, or with empty `data` the run's own fold.
        tasks: labels; empty takes all that apply.
        prompts: of zero-shot: 'phantom', 'acdc' or a JSON file.
        ceiling_workdir: of the probe: a supervised run, reported beside as 'supervised'.
        n_bootstrap: resamples of patients.
        seed: of the resampling.
        batch_size: clips of a batch.
        schedule: 'every_checkpoint' or 'last_checkpoint'.
        suffix: added to the evaluator's name, to keep results on several datasets apart.
        patience_s: how long `--follow` waits for a trainer that shows no life.
    """

    evaluator: str
    data: str = ""
    split: str = "test"
    fold: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    prompts: str = "phantom"
    ceiling_workdir: str = ""
    n_bootstrap: int = 2000
    seed: int = 0
    batch_size: int = 32
    schedule: str = "every_checkpoint"
    suffix: str = ""
    patience_s: float = 600.0

    def __post_init__(self):
        allowed = {"evaluator": EVALUATORS, "schedule": SCHEDULES, "split": ("test", "val")}
        for key, values in allowed.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}", where="config", fix=f"use one of {values}"
                )
        if self.fold and len(self.fold) != 2:
            raise UserError(f"fold = {self.fold}", where="config.fold", fix="give (i, k)")
        if self.evaluator == "linear_probe" and self.split != "test":
            raise UserError(
                "the probe is chosen on 'val'", where="config.split", fix="use split 'test'"
            )
        if self.batch_size < 1 or self.n_bootstrap < 0:
            raise UserError("batch_size or n_bootstrap is too small", where="config")
        if not self.suffix.replace("_", "a").replace("-", "a").isalnum() and self.suffix:
            raise UserError("suffix holds more than letters, digits, - and _", where="config")

    @property
    def name(self) -> str:
        """The evaluator's name in rows."""
        return f"{self.evaluator}_{self.suffix}" if self.suffix else self.evaluator


class Job:
    """An evaluator job on a workdir, everything checked before anything is computed.

    Args:
        config: what to evaluate.
        workdir: of a train job.

    Raises:
        UserError: no workdir, no dataset, a contract that differs, patients who were trained on.
    """

    def __init__(self, config: EvalConfig, workdir: Path):
        self.config, self.workdir = config, workdir
        contract, self.input = load_checkpoint_contract(workdir)
        self.run = load_run_config(workdir)
        trained = self.run.data_config()
        self.directory = Path(config.data or trained.dataset)
        self.source = RecordSource(self.directory)
        require_same(self.source.contract, contract, where=str(self.directory))
        fold = config.fold or (() if config.data else trained.fold)
        self.fold = (fold[0], fold[1]) if fold else None
        self._refuse_trained_patients(workdir)
        if config.ceiling_workdir:
            ceiling = Path(config.ceiling_workdir)
            require_same(
                self.source.contract,
                load_checkpoint_contract(ceiling)[0],
                where="config.ceiling_workdir",
            )
            self._refuse_trained_patients(ceiling)
        self.tasks = self._tasks()
        self._cohorts: dict[str, Cohort] = {}

    @property
    def folder_name(self) -> str:
        """The folder under `evals/`."""
        fold = "" if self.fold is None else f"_fold{self.fold[0]}of{self.fold[1]}"
        return self.config.name + fold

    def _refuse_trained_patients(self, workdir: Path) -> None:
        """Evaluated patients may not have been trained on, by this run or one that it starts from.

        A training dataset that is not at hand cannot be checked.
        """
        mine = self.source.splits.patients(self.config.split, self.fold)
        while True:
            run = load_run_config(workdir)
            trained = run.data_config()
            if (Path(trained.dataset) / "splits.json").is_file():
                fold = (trained.fold[0], trained.fold[1]) if trained.fold else None
                seen = load_splits(Path(trained.dataset)).patients(trained.split, fold)
                if both := mine & seen:
                    raise UserError(
                        f"{len(both)} of {len(mine)} patients were trained on",
                        where=str(workdir),
                        fix="evaluate the split and fold that the run was trained on",
                    )
            before = run.pretrained_config().workdir
            if not before or not (Path(before) / "config.json").is_file():
                return
            workdir = Path(before)

    def _tasks(self) -> dict[str, Mapping[str, Any]]:
        """The labels to evaluate, in the dataset's order."""
        known = self.source.info["label_tasks"]
        if unknown := [t for t in self.config.tasks if t not in known]:
            raise UserError(
                f"the dataset has no {', '.join(unknown)}",
                where="config.tasks",
                fix=f"use some of {', '.join(known)}",
            )
        chosen = {t: spec for t, spec in known.items() if t in (self.config.tasks or known)}
        if self.config.evaluator != "zero_shot":
            return chosen
        binary = {t for t, spec in chosen.items() if spec["kind"] == "binary"}
        with_prompts = [t for t in self.prompts if t in binary]
        if not with_prompts:
            raise UserError(
                "no binary label of the dataset has prompts",
                where=f"config.prompts {self.config.prompts!r}",
                fix=f"prompts are for {', '.join(self.prompts)}",
            )
        return {t: chosen[t] for t in with_prompts}

    @cached_property
    def prompts(self) -> dict[str, zero_shot.Ensemble]:
        """Prompts of every task of the file."""
        return zero_shot.load_prompts(self.config.prompts)

    @cached_property
    def fingerprint(self) -> str:
        """Of the dataset."""
        return dataset_fingerprint(self.source)

    def settings(self, step: int) -> dict[str, Any]:
        """What the numbers of a step depend on; kept beside them."""
        config = json.loads(json.dumps(asdict(self.config) | {"fold": self.fold}))
        for key in ("schedule", "patience_s", "batch_size"):
            del config[key]
        identity = _hash(checkpoint.folder(self.workdir, step) / checkpoint.MANIFEST)
        return {"config": config, "dataset": self.fingerprint, "checkpoint": identity}

    def is_current(self, step: int) -> bool:
        """Whether this step is evaluated, with these settings.

        Raises:
            UserError: it is, on another dataset; those numbers are not thrown away silently.
        """
        if not is_done(self.workdir, self.folder_name, step):
            return False
        folder = result_folder(self.workdir, self.folder_name, step)
        try:
            before = json.loads((folder / SETTINGS).read_text())
        except (OSError, ValueError):
            return False
        now = self.settings(step)
        if before.get("config", {}).get("data") != now["config"]["data"]:
            raise UserError(
                "holds results on another dataset",
                where=str(folder),
                fix="give --config.suffix=NAME, or delete the folder",
            )
        return before == now

    def cohort(self, split: str) -> Cohort:
        """The studies of a split, read once."""
        if split not in self._cohorts:
            cohort = read_cohort(self.source, split=split, fold=self.fold)
            if not cohort.members:
                raise UserError(f"no study in split {split!r}", where=str(self.directory))
            self._cohorts[split] = cohort
        return self._cohorts[split]

    @cached_property
    def random(self) -> Encoder:
        """The network before its first step."""
        return random_encoder(self.workdir)

    @cached_property
    def ceiling(self) -> Encoder | None:
        """The supervised network, where one is given."""
        if not self.config.ceiling_workdir:
            return None
        return load_encoder(Path(self.config.ceiling_workdir), name="supervised")

    def embed(self, encoder: Encoder, split: str) -> StudyEmbeddings:
        """Embeddings of a split, from the cache that all evaluators share."""
        return embed(
            encoder,
            self.cohort(split),
            batch_size=self.config.batch_size,
            identity=self._identity(encoder),
            cache=self.workdir / "evals" / "_embeddings",
        )

    def _identity(self, encoder: Encoder) -> str:
        if encoder.name == "random":
            return _hash(self.workdir / "config.json")
        named = self.config.ceiling_workdir if encoder.name == "supervised" else self.workdir
        return _hash(checkpoint.folder(Path(named), encoder.step) / checkpoint.MANIFEST)

    def evaluate(self, step: int) -> Path:
        """Evaluates one checkpoint and writes its result folder.

        Returns:
            The folder.
        """
        encoder = load_encoder(self.workdir, step=step)
        how = metrics.Resampling(
            split=split_label(self.config.split, self.fold),
            step=step,
            n_bootstrap=self.config.n_bootstrap,
            seed=self.config.seed,
        )
        by_evaluator = {
            "zero_shot": self._zero_shot,
            "linear_probe": self._linear_probe,
            "retrieval": self._retrieval,
        }
        result = by_evaluator[self.config.evaluator](encoder, how)
        settings = self.settings(step)
        return write_result(self.workdir, self.folder_name, step, result, settings=settings)

    def _zero_shot(self, encoder: Encoder, how: metrics.Resampling) -> Result:
        encoders = [encoder, self.random]
        text = {e.name: e.encode_text for e in encoders}
        encoder.encode_text(["Normal study."])  # refuses before the videos are embedded
        return zero_shot.evaluate(
            {e.name: self.embed(e, self.config.split) for e in encoders},
            text,
            {t: self.prompts[t] for t in self.tasks},
            how,
            evaluator=self.config.name,
        )

    def _retrieval(self, encoder: Encoder, how: metrics.Resampling) -> Result:
        encoders = [encoder, self.random]
        encoder.encode_text(["Normal study."])
        return retrieval.evaluate(
            {e.name: self.embed(e, self.config.split) for e in encoders},
            {e.name: e.encode_text for e in encoders},
            encoder.input.report_sections,
            how,
            evaluator=self.config.name,
        )

    def _linear_probe(self, encoder: Encoder, how: metrics.Resampling) -> Result:
        encoders = [e for e in (encoder, self.random, self.ceiling) if e is not None]
        features = {
            e.name: self._probe_data([self.embed(e, s).pooled for s in linear_probe.SPLITS])
            for e in encoders
        }
        pixels = self._probe_data([self._pixels(s) for s in linear_probe.SPLITS])
        scores = baselines.principal_components(pixels.features, pixels.split == "train")
        features["pixels_pca"] = self._probe_data(
            np.split(
                scores, np.cumsum([len(self.cohort(s).members) for s in linear_probe.SPLITS])[:-1]
            )
        )
        return linear_probe.evaluate(features, self.tasks, how, evaluator=self.config.name)

    def _pixels(self, split: str) -> np.ndarray:
        cohort = self.cohort(split)
        (pixels,) = cached(
            self.workdir / "evals" / "_embeddings",
            "0/pixels",
            cohort,
            key=f"{baselines.PIXEL_FRAMES}x{baselines.PIXEL_SIDE}:{self.input}",
            compute=lambda: [baselines.pixel_features(self.source, cohort.members, self.input)],
        )
        return pixels

    def _probe_data(self, parts: list[np.ndarray]) -> linear_probe.ProbeData:
        cohorts = [self.cohort(s) for s in linear_probe.SPLITS]
        return linear_probe.ProbeData(
            features=np.concatenate(parts),
            split=np.repeat(linear_probe.SPLITS, [len(c.members) for c in cohorts]),
            labels={t: np.concatenate([c.labels[t] for c in cohorts]) for t in self.tasks},
            patient_id=np.concatenate([c.patient_id for c in cohorts]),
            study_id=np.concatenate([c.study_id for c in cohorts]),
        )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
