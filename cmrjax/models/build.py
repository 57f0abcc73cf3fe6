"""Networks from plain data and back: what a model folder's config.json holds."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass
from cmrjax.models.heads import StudyRegressor, StudyRegressorConfig
from cmrjax.models.text_encoder import TextEncoder, TextEncoderConfig
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.models.video import VideoConfig, family_of, make_video_tower, video_config_from

ModelConfig = VideoConfig | TextEncoderConfig | TwoTowerConfig | StudyRegressorConfig

KINDS = ("video", "text", "two_tower", "study_regressor")


def kind_of(config: ModelConfig) -> str:
    """One of `KINDS`."""
    if isinstance(config, TwoTowerConfig):
        return "two_tower"
    if isinstance(config, TextEncoderConfig):
        return "text"
    return "study_regressor" if isinstance(config, StudyRegressorConfig) else "video"


def make_model(config: ModelConfig, *, rngs: nnx.Rngs) -> Any:
    """The network of a config."""
    if isinstance(config, TwoTowerConfig):
        return TwoTower(config, rngs=rngs)
    if isinstance(config, TextEncoderConfig):
        return TextEncoder(config, rngs=rngs)
    if isinstance(config, StudyRegressorConfig):
        return StudyRegressor(config, rngs=rngs)
    return make_video_tower(config, rngs=rngs)


def abstract_model(config: ModelConfig) -> Any:
    """The network with shapes and axis names, no arrays."""
    return nnx.eval_shape(lambda: make_model(config, rngs=nnx.Rngs(0)))


def init_params(config: ModelConfig, key: jax.Array) -> dict[str, Any]:
    """Initial parameters as a pure nested dict."""
    return nnx.to_pure_dict(nnx.state(make_model(config, rngs=nnx.Rngs(key)), nnx.Param))


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """A config as plain data; `config_from_json` reads it."""
    section = json.loads(json.dumps(dataclasses.asdict(config)))
    if isinstance(config, TwoTowerConfig | StudyRegressorConfig):
        section["video"] |= {"family": family_of(config.video)}
    elif not isinstance(config, TextEncoderConfig):
        section |= {"family": family_of(config)}
    return section


def config_from_json(kind: str, section: Mapping[str, Any], *, where: str) -> ModelConfig:
    """Reads what `config_to_json` wrote.

    Args:
        kind: one of `KINDS`.
        section: plain data.
        where: names the file in messages.

    Raises:
        UserError: the kind or a key is unknown.
    """
    if kind not in KINDS:
        raise UserError(f"unknown kind {kind!r}", where=where, fix=f"use one of {KINDS}")
    if kind == "video":
        return video_config_from(section, where=where)
    if kind == "text":
        return to_dataclass(TextEncoderConfig, section, where=where)
    if "video" not in section or (kind == "two_tower" and "text" not in section):
        raise UserError(f"a {kind} without its towers", where=where)
    parts: dict[str, Any] = dict(section)
    parts["video"] = video_config_from(parts["video"], where=f"{where}.video")
    if kind == "two_tower":
        parts["text"] = to_dataclass(TextEncoderConfig, parts["text"], where=f"{where}.text")
        return to_dataclass(TwoTowerConfig, parts, where=where)
    return to_dataclass(StudyRegressorConfig, parts, where=where)
