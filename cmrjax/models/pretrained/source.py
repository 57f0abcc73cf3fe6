"""What a source's config.json and key names say of its network."""

import math
import re
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.options import ImportOptions

# More is no network but a mistake, or meant to fill the memory.
MAX_DEPTH = 1000
# Names of activations -> ours. torch's `gelu` is the exact one.
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def is_of(weights: Weights, model_types: tuple[str, ...], key: str) -> bool:
    """Whether config.json names one of the types, or, where it names none, a key looks like it."""
    named = (weights.config or {}).get("model_type")
    if named is not None:
        return named in model_types
    return any(re.search(key, name) for name in weights.tensors)


def prefix_of(weights: Weights, marker: str) -> str:
    """What stands before `marker` in the keys: `bert.` of a model with a head, often nothing."""
    found = {key.split(marker)[0] for key in weights.tensors if marker in key}
    return min(found, key=len, default="")


def depth_of(weights: Weights, start: str, said: Any = None) -> int:
    """How many layers there are: what config.json says, or the highest number in the keys.

    Args:
        weights: the source.
        start: what the keys of layers begin with, before the number.
        said: what another config than Hugging Face's says.

    Raises:
        UserError: none, or more than any network has.
    """
    numbers = [
        int(number.group(1))
        for key in weights.tensors
        if (number := re.match(re.escape(start) + r"(\d+)\.", key))
    ]
    found = max(numbers, default=-1) + 1 if said is None else whole(weights, "depth", said)
    depth = integer(weights, "num_hidden_layers", found)
    if depth > MAX_DEPTH:
        raise UserError(f"{depth} layers", where=f"{weights.where}: config.json")
    return depth


def integer(weights: Weights, key: str, fallback: int | None = None) -> int:
    """A whole number of config.json, or the fallback.

    Raises:
        UserError: neither is there, or it is no such number.
    """
    value = (weights.config or {}).get(key, fallback)
    if value is None:
        raise UserError(f"nothing says {key}", where=weights.where, fix="put its config.json there")
    return whole(weights, key, value)


def whole(weights: Weights, key: str, value: Any, least: int = 1) -> int:
    """The value, if it is a whole number of at least so much.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key} = {value!r}", where=f"{weights.where}: config.json")
    return value


def pair(weights: Weights, key: str, fallback: int | None = None) -> tuple[int, int]:
    """Rows and columns: one whole number of config.json for both, or a list of two."""
    value = (weights.config or {}).get(key, fallback)
    if isinstance(value, list) and len(value) == 2 and all(type(v) is int and v > 0 for v in value):
        return value[0], value[1]
    number = integer(weights, key, fallback)
    return number, number


def real(weights: Weights, key: str, fallback: float) -> float:
    """A positive number of config.json, or the fallback.

    Raises:
        UserError: it is no such number.
    """
    value = (weights.config or {}).get(key, fallback)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{key} = {value!r}", where=f"{weights.where}: config.json")
    return float(value)


def heads_of(weights: Weights, options: ImportOptions, *, known: int = 0) -> int:
    """Attention heads, which no tensor tells.

    Args:
        weights: the source, with `num_attention_heads` in its config.json.
        options: `heads`.
        known: what is known from elsewhere; 0 where nothing is.

    Raises:
        UserError: nobody says it, or two say different things.
    """
    if "num_attention_heads" in (weights.config or {}):
        known = integer(weights, "num_attention_heads")
    if known and options.heads and known != options.heads:
        raise UserError(
            f"heads = {options.heads}, but the source has {known}",
            where=weights.where,
            fix="leave heads out",
        )
    if not known and not options.heads:
        raise UserError(
            "nothing says how many attention heads it has",
            where=weights.where,
            fix="put its config.json there, or give heads",
        )
    return known or options.heads


def activation_of(weights: Weights) -> str:
    """The MLP's activation in our words.

    Raises:
        UserError: we have none that computes the same.
    """
    name = (weights.config or {}).get("hidden_act", "gelu")
    if name not in _ACTIVATIONS:
        raise UserError(
            f"hidden_act = {name!r}", where=weights.where, fix=f"known: {', '.join(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name]


def shape_of(weights: Weights, key: str, rank: int) -> tuple[int, ...]:
    """The shape of a tensor that a config must be read from.

    Raises:
        UserError: it is not there, or has another number of dimensions.
    """
    if key not in weights.tensors or weights.tensors[key].ndim != rank:
        found = weights.tensors[key].shape if key in weights.tensors else "nothing"
        raise UserError(f"{key}: {found}, not {rank} dimensions", where=weights.where)
    return weights.tensors[key].shape


def ratio(hidden: int, width: int) -> float:
    """The ratio that, times the width and rounded down, gives the hidden width again."""
    value = hidden / width
    return value if int(width * value) == hidden else math.nextafter(value, math.inf)
