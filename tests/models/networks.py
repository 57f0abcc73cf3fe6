"""Networks for tests, filled by NumPy: initialising one on the device compiles for seconds."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import cmrjax.core.partitioning  # noqa: F401  (its flax setting)


def filled(create: Callable[[], nnx.Module], *, seed: int = 0, scale: float = 0.3) -> Any:
    """The module with every parameter drawn, biases and positions too; norms stay near 1."""
    graph, state = nnx.split(nnx.eval_shape(create))
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        near = 1.0 if "scale" in jax.tree_util.keystr(path) else 0.0
        return jnp.asarray(near + scale * rng.standard_normal(leaf.shape), leaf.dtype)

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(draw, state))


def compiled(module: Any, method: str = "__call__") -> Callable[..., Any]:
    """A method of a module as one compiled function of its arguments and its parameters."""
    graph, state = nnx.split(module)
    function = jax.jit(lambda state, *args: getattr(nnx.merge(graph, state), method)(*args))
    return lambda *args: np.asarray(function(state, *args))
