"""Weights of any known layout into parameters of ours, with a report of every one of them."""

import dataclasses
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.models.build import ModelConfig, kind_of
from cmrjax.models.parameters import flatten, parameter_shapes, unflatten
from cmrjax.models.pretrained import bert, dinov2, mvit, native, timm_vit, videomae, vit
from cmrjax.models.pretrained.entries import Entry
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.report import LoadReport, Row, Shape

LAYOUTS: dict[str, ModuleType] = {
    "bert": bert,
    "vit": vit,
    "dinov2": dinov2,
    "videomae": videomae,
    "timm_vit": timm_vit,
    "mvit": mvit,
    "cmrjax": native,
}
# Fields that weights say nothing of: how the network is computed, and what is made of its tokens.
FREE = frozenset({"variant", "size", "clip", "max_tokens", "pool", "remat", "scan", "unroll"})
FREE |= {"implementation", "dtype"}

Params = dict[str, Any]


class Loaded(NamedTuple):
    """A network with its weights.

    Args:
        kind: one of `models.build.KINDS`.
        config: what it looks like.
        params: pure nested dict of float32 arrays; some may be views of the mapped file.
        report: what became of every parameter and tensor.
    """

    kind: str
    config: ModelConfig
    params: Params
    report: LoadReport


def load(
    weights: Weights,
    *,
    layout: str = "",
    config: ModelConfig | None = None,
    options: ImportOptions | None = None,
    initial: Callable[[ModelConfig], Params] | None = None,
) -> Loaded:
    """Turns a source's tensors into our parameters.

    Args:
        weights: the source.
        layout: one of `LAYOUTS`; empty finds out.
        config: the network that they must fit; None takes the source's own.
        options: what the user has decided.
        initial: gives a network's initial values, for parameters that may be missing.

    Raises:
        LoadError: something is missing, unexpected, or other than `config` says.
        UserError: the layout is unknown or a choice is needed.
        CorruptDataError: a tensor holds numbers that are not finite.
    """
    options = options or ImportOptions()
    name = layout or detect(weights)
    if name not in LAYOUTS:
        raise UserError(f"unknown layout {name!r}", where="layout", fix=f"use {', '.join(LAYOUTS)}")
    module = LAYOUTS[name]
    free = FREE | set(module.FREE)
    source = _config_from(module, weights, options)
    differing: tuple[str, ...] = ()
    wanted = source
    if config is not None:
        wanted, differing = config, differences(source, config, free)
        if not differing:
            source = config
    found = module.entries(weights, source, options)
    filled, report = _fill(weights, found, parameter_shapes(wanted), name, differing)
    report.require(allow_missing=options.allow_missing, allow_unexpected=options.allow_unexpected)
    if filled.incomplete:
        if initial is None:
            raise UserError("no initial values for what is missing", where=weights.where)
        _complete(filled, initial(wanted))
    return Loaded(kind_of(wanted), wanted, unflatten(filled.arrays), report)


def _config_from(module: ModuleType, weights: Weights, options: ImportOptions) -> ModelConfig:
    try:
        return module.config_from(weights, options)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        # A config.json may hold anything, lists and dicts where numbers belong.
        raise UserError(
            f"not a config.json of this layout ({error})", where=weights.where
        ) from error


def detect(weights: Weights) -> str:
    """The layout of the source.

    Raises:
        UserError: none fits, or several; says what was seen.
    """
    fitting = [name for name, module in LAYOUTS.items() if module.matches(weights)]
    if len(fitting) == 1:
        return fitting[0]
    config = weights.config or {}
    said = {key: config[key] for key in ("model_type", "architecture", "format") if key in config}
    keys = sorted(weights.tensors)
    what = f"could be {' or '.join(fitting)}" if fitting else "of no known layout"
    raise UserError(
        f"{what}: config.json says {said or 'nothing'}, {len(keys)} tensors "
        f"({', '.join(keys[:3])}, ..., {keys[-1]})",
        where=weights.where,
        fix=f"give layout, one of {', '.join(LAYOUTS)}",
    )


def differences(source: Any, asked: Any, free: frozenset[str] | set[str]) -> tuple[str, ...]:
    """Names each field in which the source's network is not the one that was asked for.

    Args:
        source: the source's config.
        asked: ours.
        free: fields that may differ.
    """
    if type(source) is not type(asked):
        return (f"the source is a {type(source).__name__}, asked for a {type(asked).__name__}",)
    fields = {field.name for field in dataclasses.fields(source)} - free
    if "tubelet_frames" in free:
        fields -= {"tubelet"}
    pairs = {name: (getattr(source, name), getattr(asked, name)) for name in sorted(fields)}
    if hasattr(source, "dimensions"):
        names = ("width", "depth", "heads")
        sizes = zip(source.dimensions, asked.dimensions, strict=True)
        pairs = dict(zip(names, sizes, strict=True)) | pairs
    if "tubelet_frames" in free:
        pairs["patch"] = (source.tubelet[1:], asked.tubelet[1:])
    return tuple(
        f"{name} {theirs!r} in the source, {ours!r} asked for"
        for name, (theirs, ours) in pairs.items()
        if theirs != ours
    )


@dataclasses.dataclass
class _Filled:
    """Arrays by path, and the rows (None: the whole) that are missing of each."""

    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    incomplete: dict[str, list[int | None]] = dataclasses.field(default_factory=dict)


def _fill(
    weights: Weights,
    found: list[Entry],
    shapes: Mapping[str, Shape],
    layout: str,
    differing: tuple[str, ...],
) -> tuple[_Filled, LoadReport]:
    filled, rows = _Filled(), {"taken": [], "resampled": [], "missing": [], "unexpected": []}
    used: set[str] = set()
    named: set[str] = set()
    for entry in found:
        path = "/".join(entry.path)
        if path not in shapes:
            continue  # of a network that was not asked for; its tensors are unexpected
        named.add(path)
        used.update(entry.keys)
        shape = shapes[path] if entry.layer is None else shapes[path][1:]
        why = _why_not(weights, entry, shapes[path])
        value = None
        if not why:
            value = entry.convert(*(_float32(weights, key) for key in entry.keys))
            if value.shape != shape:
                why = f"gives {value.shape}"
        row = _row(weights, entry, shape, why)
        if why or value is None:
            rows["missing"].append(row)
            filled.incomplete.setdefault(path, []).append(entry.layer)
            continue
        rows["resampled" if entry.resampled else "taken"].append(row)
        if entry.layer is None:
            filled.arrays[path] = np.asarray(value, np.float32)
            continue
        if path not in filled.arrays:
            filled.arrays[path] = np.empty(shapes[path], np.float32)
        filled.arrays[path][entry.layer] = value
    for path in shapes:
        if path not in named:
            rows["missing"].append(Row(path=path, shape=shapes[path], note="not in this layout"))
            filled.incomplete[path] = [None]
    for key in sorted(set(weights.tensors) - used):
        rows["unexpected"].append(Row(keys=(key,), shapes=(weights.tensors[key].shape,)))
    lists = {name: tuple(content) for name, content in rows.items()}
    report = LoadReport(layout=layout, where=weights.where, differences=differing, **lists)
    return filled, report


def _why_not(weights: Weights, entry: Entry, whole: Shape) -> str:
    """Why an entry cannot be taken, or nothing."""
    if any(key not in weights.tensors for key in entry.keys):
        return "not in the source"
    if entry.shapes:
        given = tuple(weights.tensors[key].shape for key in entry.keys)
        if given != entry.shapes:
            return f"not {' and '.join(map(str, entry.shapes))}"
    if entry.layer is not None and (not whole or entry.layer >= whole[0]):
        return f"no layer {entry.layer} here"
    return ""


def _row(weights: Weights, entry: Entry, shape: Shape, why: str) -> Row:
    held = (weights.tensors.get(key) for key in entry.keys)
    return Row(
        path="/".join(entry.path),
        layer=entry.layer,
        shape=shape,
        keys=entry.keys,
        shapes=tuple(None if tensor is None else tensor.shape for tensor in held),
        note=why or entry.note,
    )


def _float32(weights: Weights, key: str) -> np.ndarray:
    array = np.asarray(weights.tensors[key])
    if array.dtype.kind in "iub":
        raise UserError(f"{key} holds whole numbers", where=weights.where, fix="save as F32")
    array = array.astype(np.float32, copy=False)
    # A sum is finite only if every number is, and costs no array of its own.
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise CorruptDataError(f"{key} holds numbers that are not finite", where=weights.where)
    return array


def _complete(filled: _Filled, initial: Params) -> None:
    """Fills what was allowed to be missing with initial values."""
    values = flatten(initial)
    for path, layers in filled.incomplete.items():
        rows = [layer for layer in layers if layer is not None]
        if path not in filled.arrays or len(rows) < len(layers):
            filled.arrays[path] = values[path]
        else:
            filled.arrays[path][rows] = np.asarray(values[path])[rows]
