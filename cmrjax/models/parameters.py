"""Parameters by their path: nested dicts as networks have them, flat ones as files do."""

from typing import Any

from flax import nnx, traverse_util

from cmrjax.models.build import ModelConfig, abstract_model

SEPARATOR = "/"


def flatten(params: dict[str, Any]) -> dict[str, Any]:
    """Leaves of a nested dict by their path, joined with `/`.

    Example:
        >>> flatten({"a": {"b": 1}, "c": 2})
        {'a/b': 1, 'c': 2}
    """
    return traverse_util.flatten_dict(params, sep=SEPARATOR)


def unflatten(leaves: dict[str, Any]) -> dict[str, Any]:
    """The nested dict of what `flatten` gave."""
    return traverse_util.unflatten_dict(leaves, sep=SEPARATOR)


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Path of every parameter, joined with `/`, and its shape."""
    state = nnx.to_pure_dict(nnx.state(abstract_model(config), nnx.Param))
    return {path: tuple(leaf.shape) for path, leaf in flatten(state).items()}
