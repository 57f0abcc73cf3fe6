"""The one train step: a pure function of state and batch, jitted with explicit shardings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from cmrjax.core.partitioning import (
    batch_sharding,
    parameter_shardings,
    replicated,
    shardings_like,
)
from cmrjax.objectives.base import Objective

PyTree = Any


@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run is: restore it, and the run goes on as if it had never stopped.

    Args:
        params: pure nested dict.
        extra: what the objective keeps beside them.
        opt_state: optax's.
        step: int32, optimizer steps done.
        examples: uint32, global examples consumed: the position in the data. (A run of more than
            4.29e9 examples would need a wider one.)
    """

    params: PyTree
    extra: PyTree
    opt_state: PyTree
    step: Any
    examples: Any


jax.tree_util.register_dataclass(
    TrainState,
    data_fields=["params", "extra", "opt_state", "step", "examples"],
    meta_fields=[],
)


def init_state(
    objective: Objective, optimizer: optax.GradientTransformation, key: jax.Array
) -> TrainState:
    """The state before the first step; trace it with `eval_shape` or jit it with shardings."""
    params, extra = objective.init(key)
    return TrainState(params, extra, optimizer.init(params), jnp.int32(0), jnp.uint32(0))


def state_shardings(
    objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh
) -> tuple[TrainState, TrainState]:
    """Shapes and shardings of the state, with no array made.

    Returns:
        The state as `jax.ShapeDtypeStruct`s, and as `NamedSharding`s.
    """
    shapes = jax.eval_shape(lambda: init_state(objective, optimizer, jax.random.key(0)))
    params = parameter_shardings(objective.abstract(), mesh)
    like = lambda tree: shardings_like(tree, shapes.params, params, mesh)  # noqa: E731
    everywhere = replicated(mesh)
    shardings = TrainState(
        params, like(shapes.extra), like(shapes.opt_state), everywhere, everywhere
    )
    return shapes, shardings


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    mesh: Mesh,
    shardings: TrainState,
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]]:
    """Builds `(state, batch) -> (state, metrics)`.

    The random key of a step depends on the seed and the step's number alone, so a resumed run
    draws what an uninterrupted one would have drawn.
    """

    def train_step(state: TrainState, batch: PyTree):
        key = jax.random.fold_in(jax.random.key(seed), state.step)

        def loss_of(params):
            return objective.loss(params, state.extra, batch, key, state.step)

        (loss, aux), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"loss": loss, "grad_norm": optax.tree.norm(grads), **aux.metrics}
        size = jax.tree.leaves(batch)[0].shape[0]
        state = TrainState(params, aux.extra, opt_state, state.step + 1, state.examples + size)
        return state, metrics

    return jax.jit(
        train_step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
