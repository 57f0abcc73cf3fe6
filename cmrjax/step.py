"""The one train step: a pure function of state and batch, jitted with explicit shardings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cmrjax.core.partitioning import (
    BATCH_AXES,
    batch_sharding,
    parameter_shardings,
    replicated,
    shardings_like,
)
from cmrjax.objectives.base import Aux, Objective
from cmrjax.optim import OptimConfig, frozen_mask

PyTree = Any


@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run is: restore it, and the run goes on as if it had never stopped.

    Args:
        params: pure nested dict.
        extra: what the objective keeps beside them.
        opt_state: optax's.
        step: int32, batches drawn: the optimizer's steps, and those that were skipped.
        examples: uint32, global examples consumed: the position in the data. (A run of more than
            4.29e9 examples would need a wider one.)
        ema: moving average of the params, for evaluation; {} without one.
    """

    params: PyTree
    extra: PyTree
    opt_state: PyTree
    step: Any
    examples: Any
    ema: PyTree = dataclasses.field(default_factory=dict)


jax.tree_util.register_dataclass(
    TrainState,
    data_fields=["params", "extra", "opt_state", "step", "examples", "ema"],
    meta_fields=[],
)


def init_state(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    ema: bool = False,
) -> TrainState:
    """The state before the first step; trace it with `eval_shape` or jit it with shardings.

    Args:
        objective: what is trained.
        optimizer: of `make_optimizer`.
        key: of the initial parameters.
        ema: keep a moving average, which starts here.
    """
    params, extra = objective.init(key)
    average = jax.tree.map(jnp.copy, params) if ema else {}
    return TrainState(params, extra, optimizer.init(params), jnp.int32(0), jnp.uint32(0), average)


def state_shardings(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    ema: bool = False,
) -> tuple[TrainState, TrainState]:
    """Shapes and shardings of the state, with no array made.

    Returns:
        The state as `jax.ShapeDtypeStruct`s, and as `NamedSharding`s.
    """
    shapes = jax.eval_shape(lambda: init_state(objective, optimizer, jax.random.key(0), ema=ema))
    params = parameter_shardings(objective.abstract(), mesh)
    like = lambda tree: shardings_like(tree, shapes.params, params, mesh)  # noqa: E731
    everywhere = replicated(mesh)
    shardings = TrainState(
        params,
        like(shapes.extra),
        like(shapes.opt_state),
        everywhere,
        everywhere,
        like(shapes.ema),
    )
    return shapes, shardings


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    mesh: Mesh,
    shardings: TrainState,
    optim: OptimConfig | None = None,
    drill_nan_step: int = -1,
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]]:
    """Builds `(state, batch) -> (state, metrics)`.

    The random key of a step depends on the seed and the step's number alone, so a resumed run
    draws what an uninterrupted one would have drawn.

    A step whose loss or gradient is not finite changes nothing but the two counters, to the bit;
    the metric `skipped` is then 1.

    Args:
        objective: what is trained.
        optimizer: of `make_optimizer`.
        seed: of the run.
        mesh: of `make_mesh`.
        shardings: of `state_shardings`.
        optim: its `frozen`, `ema_decay` and `accumulate` are of the step; None takes the defaults.
        drill_nan_step: number, from 1, of a step whose loss is made NaN; -1 for none.
    """
    optim = optim or OptimConfig()
    frozen = frozen_mask(optim.frozen, shardings.params)

    def loss_of(params, extra, batch, key, step):
        # No gradient is computed for what is frozen, or for anything before it.
        params = jax.tree.map(
            lambda p, is_frozen: jax.lax.stop_gradient(p) if is_frozen else p, params, frozen
        )
        return objective.loss(params, extra, batch, key, step)

    def trained(new, old):
        # Adding nothing to a number, or averaging it with itself, may still change its bits.
        return jax.tree.map(lambda n, o, is_frozen: o if is_frozen else n, new, old, frozen)

    def train_step(state: TrainState, batch: PyTree):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        if optim.accumulate == 1:
            gradient_of = jax.value_and_grad(loss_of, has_aux=True)
            (loss, aux), grads = gradient_of(state.params, state.extra, batch, key, state.step)
        else:
            loss, aux, grads = _accumulated(
                loss_of, state, batch, key, parts=optim.accumulate, mesh=mesh
            )
        # Always there, so that a drill's program is that of a run without one.
        loss = jnp.where(state.step + 1 == drill_nan_step, jnp.nan, loss)
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)

        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = trained(optax.apply_updates(state.params, updates), state.params)
        ema = state.ema
        if optim.ema_decay:
            ema = trained(optax.incremental_update(params, ema, 1 - optim.ema_decay), ema)
        new = (params, aux.extra, opt_state, ema)
        old = (state.params, state.extra, state.opt_state, state.ema)
        params, extra, opt_state, ema = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

        metrics = {"loss": loss, "grad_norm": grad_norm, **aux.metrics}
        metrics["skipped"] = 1 - finite.astype(jnp.float32)
        state = TrainState(params, extra, opt_state, state.step, state.examples, ema)
        return pass_over(state, jax.tree.leaves(batch)[0].shape[0]), metrics

    return jax.jit(
        train_step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def pass_over(state: TrainState, examples: int) -> TrainState:
    """The state with a batch of so many examples counted, and nothing else changed."""
    return dataclasses.replace(
        state, step=state.step + 1, examples=state.examples + jnp.uint32(examples)
    )


def _accumulated(
    loss_of: Callable, state: TrainState, batch: PyTree, key: jax.Array, *, parts: int, mesh: Mesh
) -> tuple[jax.Array, Aux, PyTree]:
    """Mean loss, metrics, new `extra` and gradient over parts of a batch, one after another.

    Every part starts from the step's own `extra`: a teacher moves once a step, and a running mean
    over the batch (a centre) is the mean of those over the parts.
    """
    # Every `parts`-th example makes a part, so that each is spread over the devices as they are.
    spread = NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))
    cut = jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(
            x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), spread
        ),
        batch,
    )
    gradient_of = jax.value_and_grad(loss_of, has_aux=True)

    def body(total, inputs):
        number, part = inputs
        part_key = jax.random.fold_in(key, number)
        (loss, aux), grads = gradient_of(state.params, state.extra, part, part_key, state.step)
        return jax.tree.map(jnp.add, total, (aux.extra, grads)), (loss, aux.metrics)

    def mean(total):
        return total // parts if jnp.issubdtype(total.dtype, jnp.integer) else total / parts

    start = jax.tree.map(jnp.zeros_like, (state.extra, state.params))
    total, logged = jax.lax.scan(body, start, (jnp.arange(parts), cut))
    extra, grads = jax.tree.map(mean, total)
    loss, metrics = jax.tree.map(lambda x: x.mean(axis=0), logged)
    return loss, Aux(metrics, extra), grads
