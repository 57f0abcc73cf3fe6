"""One evaluator on one checkpoint: opens the data, embeds, evaluates, writes."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import cmrjax.core.partitioning  # noqa: F401  (its flax setting; networks are built below)
from cmrjax.core.errors import UserError
from cmrjax.data.contract import require_same
from cmrjax.data.records import RecordSource
from cmrjax.evals import baselines, linear_probe, metrics, retrieval, seeing, zero_shot
from cmrjax.evals.base import SETTINGS, Result, is_done, result_folder, write_result
from cmrjax.evals.config import EvalConfig
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
from cmrjax.evals.origin import Origin, WorkdirOrigin

log = logging.getLogger("cmrjax.evaluate")


class Job:
    """An evaluator job on a model, everything checked before anything is computed.

    Args:
        config: what to evaluate.
        origin: where the model comes from.

    Raises:
        UserError: no dataset, a contract that differs, patients who were trained on.
    """

    def __init__(self, config: EvalConfig, origin: Origin):
        self.config, self.origin, self.input = config, origin, origin.input
        trained, trained_fold = origin.data
        if not (config.data or trained):
            raise UserError(
                "a model folder names no dataset",
                where=str(origin.directory),
                fix="give --config.data=DIR",
            )
        self.directory = Path(config.data or trained)
        self.source = RecordSource(self.directory)
        fold = config.fold or (() if config.data else trained_fold)
        self.fold = (fold[0], fold[1]) if fold else None
        self._require_fit(origin, where=str(self.directory))
        self._ceiling: Origin | None = None
        if config.ceiling_workdir:
            self._ceiling = WorkdirOrigin(Path(config.ceiling_workdir))
            self._require_fit(self._ceiling, where="config.ceiling_workdir")
        self.tasks = self._tasks()
        self._cohorts: dict[str, Cohort] = {}

    @property
    def folder_name(self) -> str:
        """The folder under `evals/`."""
        fold = "" if self.fold is None else f"_fold{self.fold[0]}of{self.fold[1]}"
        return self.config.name + fold

    def _require_fit(self, origin: Origin, *, where: str) -> None:
        """The dataset is prepared as the model's was, and no patient was trained on.

        A training dataset that is not known or not at hand cannot be checked.
        """
        if origin.contract is not None:
            require_same(self.source.contract, origin.contract, where=where)
        else:
            log.warning("%s has no dataset contract: any dataset is accepted", origin.directory)
        self._warn_of_another_key(origin, where=where)
        mine = self.source.splits.patients(self.config.split, self.fold)
        if both := mine & origin.seen(self.source):
            raise UserError(
                f"{len(both)} of {len(mine)} patients were trained on",
                where=str(origin.directory),
                fix="evaluate the split and fold that the model was trained on, "
                "or prepare the dataset with --splits of the training's",
            )

    def _warn_of_another_key(self, origin: Origin, *, where: str) -> None:
        names = {c.id_namespace for c in (self.source.contract, origin.contract) if c is not None}
        if len(names) > 1 and all(name.startswith("keyed:") for name in names):
            log.warning(
                "%s: its ids are of another key than the model's data: patients who were trained "
                "on cannot be told",
                where,
            )

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
        return {
            "config": config,
            "dataset": self.fingerprint,
            "checkpoint": self.origin.identity(step),
            **self.origin.remarks,
        }

    def is_current(self, step: int) -> bool:
        """Whether this step is evaluated, with these settings.

        Raises:
            UserError: it is, on another dataset; those numbers are not thrown away silently.
        """
        if not is_done(self.origin.directory, self.folder_name, step):
            return False
        folder = result_folder(self.origin.directory, self.folder_name, step)
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
        return self.origin.untrained()

    @cached_property
    def ceiling(self) -> Encoder | None:
        """The supervised network at its last step, where one is given."""
        if self._ceiling is None:
            return None
        return self._ceiling.encoder(_last_step(self._ceiling), name="supervised")

    def embed(self, encoder: Encoder, split: str) -> StudyEmbeddings:
        """Embeddings of a split, from the cache that all evaluators share."""
        return embed(
            encoder,
            self.cohort(split),
            batch_size=self.config.batch_size,
            identity=self._identity(encoder),
            cache=self.origin.directory / "evals" / "_embeddings",
        )

    def _identity(self, encoder: Encoder) -> str:
        if encoder.name == "random":
            return self.origin.untrained_identity()
        ceiling = self._ceiling if encoder.name == "supervised" else None
        return (ceiling or self.origin).identity(encoder.step)

    def evaluate(self, step: int) -> Path:
        """Evaluates one checkpoint and writes its result folder.

        Returns:
            The folder.
        """
        encoder = self.origin.encoder(step)
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
            "attention": self._attention,
        }
        result = by_evaluator[self.config.evaluator](encoder, how)
        settings = self.settings(step)
        return write_result(
            self.origin.directory, self.folder_name, step, result, settings=settings
        )

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

    def _attention(self, encoder: Encoder, how: metrics.Resampling) -> Result:
        return seeing.evaluate(
            [encoder, self.random],
            self.cohort(self.config.split),
            how,
            evaluator=self.config.name,
            sentence=self.config.sentence,
            drawn_studies=self.config.drawn_studies,
            batch_size=self.config.batch_size,
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
            self.origin.directory / "evals" / "_embeddings",
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


def _last_step(origin: Origin) -> int:
    """Its newest step.

    Raises:
        UserError: there is none.
    """
    if not (steps := origin.steps()):
        raise UserError(
            "no complete checkpoint", where=str(origin.directory), fix="run cmrjax train first"
        )
    return steps[-1]
