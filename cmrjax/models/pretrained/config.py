"""The `pretrained` section of a training config: where initial weights come from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass
from cmrjax.models.pretrained.options import ImportOptions

# The network of the run says these; the source has to fit it.
_OF_THE_NETWORK = ("frames", "size", "tubelet_frames", "max_tokens", "pool")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where one tower's weights come from.

    Args:
        path: a `.safetensors` file, a folder of one, a model folder of ours or a workdir.
        layout: see `load.LAYOUTS`; empty finds out.
        step: of a workdir: which checkpoint; -1 takes the newest.
        options: the choices that the source leaves, written beside these keys.
    """

    path: str
    layout: str = ""
    step: int = -1
    options: ImportOptions = dataclasses.field(default_factory=ImportOptions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig:
    """Where initial weights come from.

    Args:
        workdir: a workdir of `train`; empty takes no parts of one.
        step: which checkpoint; -1 takes the newest.
        take: the parts of the network that are taken from it.
        positions: 'resample' its positions where frames or size differ, or 'error'.
        video: see `SourceConfig`: weights of the video tower from elsewhere.
        text: the same of the text tower.
    """

    workdir: str = ""
    step: int = -1
    take: tuple[str, ...] = ("video",)
    positions: str = "error"
    video: SourceConfig | None = None
    text: SourceConfig | None = None

    def sources(self) -> dict[str, SourceConfig]:
        """The towers that come from elsewhere than `workdir`."""
        named = {"video": self.video, "text": self.text}
        return {name: source for name, source in named.items() if source is not None}

    def paths(self) -> list[str]:
        """Everything that weights come from, `workdir` first."""
        return [self.workdir] * bool(self.workdir) + [s.path for s in self.sources().values()]


def pretrained_config(section: Mapping[str, Any]) -> PretrainedConfig:
    """Checks the section.

    Raises:
        UserError: names every wrong key; or a tower that is to come from two places.
    """
    fields = dict(section)
    for name in ("video", "text"):
        fields[name] = _source_config(fields.get(name) or {}, where=f"pretrained.{name}")
    config = to_dataclass(PretrainedConfig, fields, where="pretrained")
    ImportOptions(positions=config.positions)
    both = [name for name in config.sources() if config.workdir and name in config.take]
    if both:
        raise UserError(
            f"{both[0]} is to come from workdir and from {both[0]}.path",
            where="config.pretrained",
            fix=f"leave {both[0]} out of take",
        )
    return config


def _source_config(section: Mapping[str, Any], *, where: str) -> SourceConfig | None:
    if not isinstance(section, Mapping):
        raise UserError("not a section with keys", where=f"config.{where}", fix="give a dict")
    if wrong := [key for key in _OF_THE_NETWORK if section.get(key)]:
        raise UserError(
            f"{', '.join(wrong)}: the network says this",
            where=f"config.{where}",
            fix="set config.data, config.model or config.text",
        )
    own = {key: section[key] for key in ("path", "layout", "step") if key in section}
    rest = {key: value for key, value in section.items() if key not in own}
    options = to_dataclass(ImportOptions, rest, where=where)
    if not own.get("path"):
        if own.get("layout") or options != ImportOptions():
            raise UserError("choices without a path", where=f"config.{where}", fix="give path")
        return None
    return SourceConfig(**own, options=options)
