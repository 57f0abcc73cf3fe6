"""The parts of a run that depend on its objective: how examples are drawn, and the objective."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from jax.sharding import Mesh
from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass
from cmrjax.data.contract import InputContract
from cmrjax.data.pipeline import StudyExamples, select_studies
from cmrjax.data.records import RecordSource
from cmrjax.experiment import JOINT_KEYS, TOKENIZER_KEYS, RunConfig, video_config
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.base import Objective
from cmrjax.objectives.contrastive import Contrastive, ContrastiveConfig
from cmrjax.objectives.dino import Dino
from cmrjax.objectives.dino_config import DinoConfig
from cmrjax.objectives.mae import Mae, MaeConfig
from cmrjax.objectives.multitask import Multitask, MultitaskConfig
from cmrjax.objectives.supervised import Supervised, SupervisedConfig

T = TypeVar("T")

# The kind of label that each list of an objective's section holds.
LABEL_KINDS = {"findings": "binary", "binary": "binary", "regression": "regression"}


def label_tasks(run: RunConfig) -> tuple[str, ...]:
    """The labels that the objective reads, in its order."""
    section = run.objective
    if run.objective_name == "multitask":
        return _own_section(MultitaskConfig, run).labels
    if run.objective_name == "contrastive":
        return tuple(section.get("findings", ()))
    return (*section.get("binary", ()), *section.get("regression", ()))


def make_examples(
    run: RunConfig, source: RecordSource, contract: InputContract, tokenizer: Tokenizer | None
) -> StudyExamples:
    """How the run draws examples: with what its objective reads.

    Raises:
        UserError: the dataset lacks it.
    """
    tasks, info = label_tasks(run), source.info["label_tasks"]
    unknown = sorted(set(tasks) - set(info))
    if unknown:
        raise UserError(
            f"the dataset has no labels {unknown}",
            where="config.objective",
            fix=f"use some of {sorted(info)}",
        )
    _check_kinds(run, {task: info[task]["kind"] for task in tasks})
    masks = False
    if run.objective_name == "multitask":
        config = _own_section(MultitaskConfig, run)
        config.require_dataset(label_tasks=info, masks=source.contract.masks)
        masks = "segmentation" in config.tasks
        if masks and "mask_classes" not in source.features:
            raise UserError(
                "its masks do not say which classes were drawn",
                where=str(source.directory),
                fix="prepare it again with this version",
            )
    return StudyExamples(
        source,
        run.data_config(),
        contract,
        tokenizer=tokenizer,
        tasks=tasks,
        masks=masks,
        report_vectors=run.objective.get("positives") == "similarity",
    )


def _check_kinds(run: RunConfig, kinds: Mapping[str, str]) -> None:
    for key, kind in LABEL_KINDS.items():
        for task in run.objective.get(key, ()):
            if kinds.get(task, kind) != kind:
                raise UserError(
                    f"{task!r} is a label of kind {kinds[task]}",
                    where=f"config.objective.{key}",
                    fix=f"name labels of kind {kind}",
                )


def _own_section(kind: type[T], run: RunConfig) -> T:
    """The objective's own keys."""
    section = {k: v for k, v in run.objective.items() if k != "name"}
    return to_dataclass(kind, section, where="objective")


def make_objective(
    run: RunConfig,
    contract: InputContract,
    *,
    vocabulary: int = 0,
    source: RecordSource | None,
    mesh: Mesh | None = None,
) -> Objective:
    """Builds the objective.

    Args:
        run: the config.
        contract: the model's own input.
        vocabulary: number of tokens; 0 without text.
        source: gives the label statistics that a supervised objective standardises with; None
            leaves them at 0 and 1, which is enough for its network.
        mesh: of the run; None is enough for its network.

    Raises:
        UserError: its parts do not fit, or a label has nothing to standardise with.
    """
    clip = (contract.clip_frames, contract.crop_size, contract.crop_size)
    video = video_config(run, clip=clip)
    augment = to_dataclass(AugmentConfig, run.augment, where="augment")
    name = run.objective_name
    if name == "dino":
        config = _own_section(DinoConfig, run)
        return Dino(model=video, config=config, augment=augment, steps=run.steps)
    if name == "mae":
        if not isinstance(video, VideoViTConfig):
            raise UserError("MAE needs a ViT", where="config.model", fix="use vit")
        return Mae(model=video, config=_own_section(MaeConfig, run), augment=augment)
    if name == "multitask":
        config = _own_section(MultitaskConfig, run)
        return Multitask(model=video, config=config, augment=augment)
    if name == "supervised":
        config = _own_section(SupervisedConfig, run)
        if video.clip[0] == 1:
            config = dataclasses.replace(config, frames=contract.clip_frames)
        if source is not None:
            config = _with_statistics(config, run, source)
        else:
            k = len(config.regression)
            config = dataclasses.replace(config, mean=(0.0,) * k, std=(1.0,) * k)
        return Supervised(model=video, config=config, augment=augment)
    if video.clip[0] == 1 < contract.clip_frames:
        raise UserError(
            f"objective {name!r} does not take clips frame by frame",
            where="config.model.frames_as_images",
            fix="set it to False, or data.clip_frames to 1",
        )
    text = {k: v for k, v in run.text.items() if k not in TOKENIZER_KEYS}
    text_section = text | {"vocabulary": vocabulary, "max_tokens": contract.max_tokens}
    model = TwoTowerConfig(
        video=video,
        text=to_dataclass(TextEncoderConfig, text_section, where="text"),
        **{k: v for k, v in run.model.items() if k in JOINT_KEYS},
    )
    config = _own_section(ContrastiveConfig, run)
    if config.form != "ring":
        mesh = None
    return Contrastive(model=model, config=config, augment=augment, steps=run.steps, mesh=mesh)


def _with_statistics(
    config: SupervisedConfig, run: RunConfig, source: RecordSource
) -> SupervisedConfig:
    members = select_studies(source, dataclasses.replace(run.data_config(), split="train"))
    labels = [source[study.rows[0]]["labels"] for study in members]
    mean, std = [], []
    for task in config.regression:
        values = np.array([row[task] for row in labels], np.float64)
        known = values[np.isfinite(values)]
        if not len(known) or not known.std() > 0:
            raise UserError(
                f"{task!r} has no two different values among the training patients",
                where="config.objective.regression",
                fix="leave it out",
            )
        mean.append(float(known.mean()))
        std.append(float(known.std()))
    return dataclasses.replace(config, mean=tuple(mean), std=tuple(std))
