"""A training config, checked, and what follows from it alone: tokenizer and model input.

`assembly` makes the parts that depend on the objective.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import InputContract
from cmrjax.data.pipeline import DataConfig, report_sentences, select_studies
from cmrjax.data.records import RecordSource
from cmrjax.data.reports import SECTIONS
from cmrjax.health import HealthConfig
from cmrjax.models.pretrained.config import PretrainedConfig, pretrained_config
from cmrjax.models.video import VideoConfig, video_config_from
from cmrjax.optim import OptimConfig

OBJECTIVES = ("contrastive", "supervised", "dino", "mae", "multitask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A training config, checked. The sections stay plain dicts until their parts are built.

    Args:
        data: see `DataConfig`.
        steps: optimizer steps of the whole run.
        batch_size: studies of a global batch.
        seed: of parameters, data order and augmentation.
        checkpoint_every: steps between checkpoints; the last step always has one.
        log_every: steps between lines of metrics.
        keep_checkpoints: how many to keep; 0 keeps all.
        mesh: axis name -> size.
        pretrained: see `models.pretrained.config`.
        model: `family` and the keys of its config, see `models.video` (and `joint`,
            `init_temperature`, `init_bias`, `study_pool`). With `frames_as_images` the tower is of
            single frames, and every drawn frame of a cine is an image of its own.
        objective: `name` and the objective's own keys.
        optim: see `OptimConfig`.
        text: see `TextEncoderConfig`, with `vocabulary_size` of one made from the reports, or
            `vocabulary`, a given one's file, and `lowercase`, whether it was made without case.
        augment: see `AugmentConfig`.
        health: see `HealthConfig`.
    """

    data: Mapping[str, Any]
    steps: int
    batch_size: int
    seed: int
    checkpoint_every: int
    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    optim: Mapping[str, Any]
    mesh: Mapping[str, int] = dataclasses.field(default_factory=dict)
    pretrained: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    text: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    health: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    log_every: int = 20
    keep_checkpoints: int = 0

    def data_config(self) -> DataConfig:
        """The `data` section."""
        return to_dataclass(DataConfig, self.data, where="data")

    def optim_config(self) -> OptimConfig:
        """The `optim` section."""
        return to_dataclass(OptimConfig, self.optim, where="optim")

    def health_config(self) -> HealthConfig:
        """The `health` section."""
        return to_dataclass(HealthConfig, self.health, where="health")

    def pretrained_config(self) -> PretrainedConfig:
        """The `pretrained` section."""
        return pretrained_config(self.pretrained)

    @property
    def objective_name(self) -> str:
        """One of `OBJECTIVES`."""
        name = self.objective.get("name", "")
        if name not in OBJECTIVES:
            raise UserError(f"name = {name!r}", where="config.objective", fix=f"use {OBJECTIVES}")
        return name

    def to_json(self) -> dict[str, Any]:
        """Plain data for `config.json`."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """Checks a config's keys, all sections of it.

    Raises:
        UserError: names every unknown or missing key of a section.
    """
    run = to_dataclass(RunConfig, config, where="")
    data, _ = run.data_config(), run.optim_config()
    run.pretrained_config()
    run.health_config()
    if run.objective_name == "contrastive" and not run.text:
        raise UserError("no text section", where="config.text", fix="give the text tower")
    video_config(run, clip=(data.clip_frames, 0, 0))
    _check_text(run, data)
    for name in ("steps", "batch_size", "checkpoint_every", "log_every"):
        if getattr(run, name) < 1:
            raise UserError(f"{name} = {getattr(run, name)}", where="config", fix="give 1 or more")
    return run


def _check_text(run: RunConfig, data: DataConfig) -> None:
    positives = run.objective.get("positives", "statement")
    joined = data.sentences_per_text > 1 and run.objective_name == "contrastive"
    if joined and positives == "statement":
        raise UserError(
            "positives 'statement' with texts of several sentences",
            where="config.objective.positives",
            fix="use 'study', 'findings' or 'similarity', or data.sentences_per_text = 1",
        )
    if unknown := sorted(set(data.report_sections) - set(SECTIONS)):
        raise UserError(
            f"no section of a report is called {unknown}",
            where="config.data.report_sections",
            fix=f"use some of {SECTIONS}",
        )
    for key, least in (("sentences_per_text", 1), ("sentences", 1), ("cines", 1)):
        if getattr(data, key) < least:
            raise UserError(
                f"{key} = {getattr(data, key)}", where="config.data", fix="give 1 or more"
            )
    if not 0 <= data.section_dropout < 1:
        raise UserError(
            f"section_dropout = {data.section_dropout}",
            where="config.data",
            fix="give 0 to below 1",
        )


def load_run_config(workdir: Path) -> RunConfig:
    """Reads a workdir's `config.json`.

    Raises:
        UserError: the folder is not a workdir.
    """
    path = workdir / "config.json"
    try:
        config = json.loads(path.read_text())
        if isinstance(config, dict) and "format" in config:
            raise UserError(
                "is a model folder, not a workdir",
                where=str(workdir),
                fix="give it where a --model or a path is asked for",
            )
        return run_config(config)
    except (OSError, ValueError):
        raise UserError(
            "not a workdir: config.json is missing or unreadable",
            where=str(workdir),
            fix="give the --workdir of a cmrjax train job",
        ) from None


JOINT_KEYS = ("joint", "init_temperature", "init_bias", "study_pool")
TOKENIZER_KEYS = ("vocabulary_size", "vocabulary", "lowercase")


def video_config(run: RunConfig, *, clip: tuple[int, int, int]) -> VideoConfig:
    """The video tower's config for a clip of this shape."""
    section = {k: v for k, v in run.model.items() if k not in JOINT_KEYS}
    if section.pop("frames_as_images", False):
        clip = (1, *clip[1:])
    return video_config_from(section | {"clip": clip}, where="model")


def input_contract(run: RunConfig, source: RecordSource) -> InputContract:
    """What the model adds between a record and its input."""
    data = run.data_config()
    return InputContract(
        clip_frames=data.clip_frames,
        clip_sampling=data.clip_sampling,
        crop_size=data.crop_size or source.contract.size,
        normalise="unit",
        report_sections=data.report_sections,
        tokenizer="wordpiece" if run.objective_name == "contrastive" else "none",
        max_tokens=data.max_tokens,
    )


def make_tokenizer(run: RunConfig, source: RecordSource) -> Tokenizer:
    """The given vocabulary, or one trained on the training patients' reports.

    Under cross-validation "training" means the fold's: nothing of a test patient's text is seen.

    Raises:
        UserError: the training patients have no text, or it does not make a vocabulary.
    """
    data = dataclasses.replace(run.data_config(), split="train")
    texts = report_sentences(source, select_studies(source, data), data)
    if vocabulary := run.text.get("vocabulary", ""):
        tokenizer = wordpiece.from_vocabulary(
            Path(vocabulary), lowercase=run.text.get("lowercase", True)
        )
        if next(texts, None) is None:  # without a pair every loss would be 0, and nothing learned
            raise UserError(
                f"no report of the training patients has a sentence in {data.report_sections}",
                where="config.data.report_sections",
                fix="name sections that the reports have, or prepare the dataset with --reports",
            )
        return tokenizer
    return wordpiece.train_tokenizer(texts, vocabulary_size=run.text.get("vocabulary_size", 1000))
