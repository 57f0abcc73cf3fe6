"""The video towers by family: what a config may name and how each is built."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass
from cmrjax.models.mvit import MViT, MViTConfig
from cmrjax.models.tower import VideoTower
from cmrjax.models.video_vit import VideoViT, VideoViTConfig

VideoConfig = VideoViTConfig | MViTConfig

FAMILIES: dict[str, type] = {"vit": VideoViTConfig, "mvit": MViTConfig}


def family_of(config: VideoConfig) -> str:
    """The family's name in configs."""
    return next(name for name, kind in FAMILIES.items() if isinstance(config, kind))


def video_config_from(section: Mapping[str, Any], *, where: str) -> VideoConfig:
    """A tower's config from plain data whose key `family` says which tower it is.

    Raises:
        UserError: the family or a key is unknown, or a value does not fit.
    """
    fields = dict(section)
    family = fields.pop("family", "vit")
    if family not in FAMILIES:
        raise UserError(
            f"unknown family {family!r}", where=f"config.{where}", fix=f"use one of {[*FAMILIES]}"
        )
    return to_dataclass(FAMILIES[family], fields, where=where)


def make_video_tower(config: VideoConfig, *, rngs: nnx.Rngs) -> VideoTower:
    """Builds the tower of a config."""
    if isinstance(config, MViTConfig):
        return MViT(config, rngs=rngs)
    return VideoViT(config, rngs=rngs)
