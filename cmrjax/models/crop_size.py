"""A video tower on clips of another size, with the parameters of the one that is trained.

Multi-crop training (Caron et al. 2020, 2021) runs one network on large and small crops. Only the
tables of positions depend on the size; they are interpolated by constant matrices, so gradients of
every crop reach the one table.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.resample import cubic_weights, linear_weights
from cmrjax.models.video import VideoConfig
from cmrjax.models.video_vit import VideoViTConfig


def at_clip(config: VideoConfig, clip: tuple[int, int, int]) -> VideoViTConfig:
    """The tower's config for clips of another size.

    Args:
        config: of the tower.
        clip: frames, rows and columns.

    Raises:
        UserError: the tower is no ViT, or its tubelets do not divide the clip.
    """
    if not isinstance(config, VideoViTConfig):
        raise UserError(
            "crops of several sizes need a tower of family 'vit'",
            where="config.model",
            fix="choose family: vit, or no local crops",
        )
    return dataclasses.replace(config, clip=clip)


def resample_tower(
    params: dict[str, Any], from_config: VideoViTConfig, to_config: VideoViTConfig
) -> dict[str, Any]:
    """A tower's parameters for clips of another size.

    Positions are interpolated over space by cubic convolution, as DINO does, and linearly over
    time; see `models.pretrained.resample`.

    Args:
        params: of the tower of `from_config`, a pure dict.
        from_config: the tower as it is trained.
        to_config: of `at_clip`.

    Returns:
        A dict of the same leaves, but for the tables of positions. Differentiable.
    """
    axes = [
        _weights(kind, a, b)
        for kind, a, b in zip(
            (linear_weights, cubic_weights, cubic_weights),
            from_config.grid,
            to_config.grid,
            strict=True,
        )
    ]
    tables = {"time": axes[:1], "space": axes[1:], "position": axes}
    return {
        name: _interpolate(leaf, tables[name]) if name in tables else leaf
        for name, leaf in params.items()
    }


def _weights(kind, size: int, new_size: int) -> np.ndarray:
    return np.eye(size) if size == new_size else kind(size, new_size)


def _interpolate(table, axes: list[np.ndarray]):
    """`[prod of old sizes, d]` to `[prod of new sizes, d]`, one matrix `[new, old]` an axis."""
    x = table.reshape(*(weights.shape[1] for weights in axes), -1)
    for i, weights in enumerate(axes):
        x = jnp.moveaxis(jnp.tensordot(jnp.asarray(weights, table.dtype), x, axes=(1, i)), 0, i)
    return x.reshape(-1, table.shape[-1])
