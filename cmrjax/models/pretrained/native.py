"""Our own weights: a model folder, or a checkpoint of a workdir put into the same form."""

import dataclasses
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.build import ModelConfig, config_from_json
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.parameters import parameter_shapes
from cmrjax.models.pretrained.entries import Entry, Path
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.resample import Grid, require_grid, resample_positions
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.video_vit import VideoViTConfig

FREE = ()
FORMAT = "cmrjax-model"


def matches(weights: Weights) -> bool:
    """Whether the source is one."""
    return (weights.config or {}).get("format") == FORMAT


def part(weights: Weights, name: str) -> Weights:
    """One tower of a network that has several, as a source of its own.

    Args:
        weights: a source of ours.
        name: 'video' or 'text'.

    Raises:
        UserError: the network has no such part.
    """
    config = weights.config or {}
    if config.get("kind") == name:
        return weights
    model = config.get("model") or {}
    if name not in model:
        raise UserError(f"it has no {name} tower", where=weights.where, fix="give another source")
    tensors = {
        key.removeprefix(f"{name}/"): value
        for key, value in weights.tensors.items()
        if key.startswith(f"{name}/")
    }
    own = config | {"kind": name, "model": model[name]}
    return dataclasses.replace(weights, tensors=tensors, config=own)


def config_from(weights: Weights, options: ImportOptions) -> ModelConfig:
    """The source's config, for clips and sentences of the size that the options ask for."""
    for key in ("inflate", "channels", "mean", "std", "heads", "tubelet_frames", "pool"):
        if getattr(options, key):
            raise UserError(f"{key} is no choice for weights of ours", where=weights.where)
    return _changed(_own(weights), options)


def _own(weights: Weights) -> ModelConfig:
    config = weights.config or {}
    try:
        kind, model = config["kind"], config["model"]
    except KeyError as error:
        raise UserError(f"its config.json has no {error}", where=weights.where) from None
    return config_from_json(kind, model, where=weights.where)


def _changed(config: Any, options: ImportOptions) -> Any:
    towers = {name: _changed(tower, options) for name, tower in _towers(config).items() if name}
    if towers:
        return dataclasses.replace(config, **towers)
    if isinstance(config, TextEncoderConfig):
        return dataclasses.replace(config, max_tokens=options.max_tokens or config.max_tokens)
    frames, rows, columns = config.clip
    clip = (options.frames or frames, options.size or rows, options.size or columns)
    return dataclasses.replace(config, clip=clip)


def _towers(config: ModelConfig) -> dict[str, Any]:
    """The towers by the name that their parameters begin with; a tower alone has none."""
    found = {name: getattr(config, name) for name in ("video", "text") if hasattr(config, name)}
    return found or {"": config}


def entries(weights: Weights, config: ModelConfig, options: ImportOptions) -> list[Entry]:
    """Every parameter as it is, but for positions on another grid."""
    own = _own(weights)
    before, after = _towers(own), _towers(config)
    found = []
    for key, shape in parameter_shapes(own).items():
        path = tuple(key.split("/"))
        name = path[0] if path[0] in before else ""
        inner = path[1:] if name else path
        if name in before and inner in (("time",), ("space",), ("position",)):
            found.append(_positions(path, shape, before[name], after[name], options, weights.where))
        else:
            found.append(Entry(path=path, keys=(key,), shapes=(shape,), convert=lambda x: x))
    return found


def _positions(
    path: Path, shape: tuple[int, ...], before: Any, after: Any, options: ImportOptions, where: str
) -> Entry:
    keys, shapes = ("/".join(path),), (shape,)
    if isinstance(before, TextEncoderConfig):
        rows = after.max_tokens
        if rows > before.max_tokens:
            raise UserError(
                f"{rows} tokens, but positions for {before.max_tokens}",
                where=where,
                fix="choose max_tokens no larger",
            )
        note = f"the first {rows}" if rows < before.max_tokens else ""
        return Entry(path=path, keys=keys, shapes=shapes, convert=lambda x: x[:rows], note=note)
    require_grid(_grid(before), _grid(after), options.positions, where=where)
    old, new = _along(path[-1], _grid(before)), _along(path[-1], _grid(after))
    how = {"time": "linear", "space": "bicubic"}.get(path[-1], "bicubic, linear over time")
    note = f"{old} to {new}, {how}" if old != new else ""

    def convert(table: np.ndarray) -> np.ndarray:
        return resample_positions(table, old, new)

    return Entry(
        path=path, keys=keys, shapes=shapes, convert=convert, note=note, resampled=old != new
    )


def _grid(config: VideoViTConfig | MViTConfig) -> Grid:
    return config.patch_grid if isinstance(config, MViTConfig) else config.grid


def _along(name: str, grid: Grid) -> Grid:
    """What part of the grid a table of this name is of."""
    t, h, w = grid
    return {"time": (t, 1, 1), "space": (1, h, w), "position": grid}[name]
