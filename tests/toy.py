"""A regression that compiles in no time, through the real step and loop."""

import dataclasses
import functools
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.core import checkpoint
from cmrjax.core.distributed import StopRequest
from cmrjax.core.partitioning import make_mesh, put_batch
from cmrjax.experiment import RunConfig
from cmrjax.loop import run_loop, state_tree
from cmrjax.objectives.base import Aux
from cmrjax.objectives.health_metrics import embedding_spread
from cmrjax.optim import OptimConfig, make_optimizer
from cmrjax.step import TrainState, init_state, make_train_step, pass_over, state_shardings

BATCH = 8


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.video = nnx.Linear(3, 4, rngs=rngs)
        self.head = nnx.Linear(4, 1, rngs=rngs)


@dataclasses.dataclass(frozen=True)
class Toy:
    """The mean squared error of a network of two layers, with a teacher and a centre in `extra`."""

    def abstract(self):
        return nnx.eval_shape(lambda: Network(nnx.Rngs(0)))

    def init(self, key):
        params = nnx.to_pure_dict(nnx.state(Network(nnx.Rngs(key)), nnx.Param))
        teacher = jax.tree.map(jnp.copy, params)
        return params, {"teacher": teacher, "centre": jnp.zeros(4), "batches": jnp.int32(0)}

    def loss(self, params, extra, batch, key, step):
        del key, step
        model = nnx.merge(nnx.split(self.abstract())[0], params)
        hidden = jnp.tanh(model.video(batch["x"]))
        loss = jnp.mean((model.head(hidden)[:, 0] - batch["y"]) ** 2)
        teacher = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, extra["teacher"], params)
        centre = 0.9 * extra["centre"] + 0.1 * hidden.mean(axis=0)
        extra = {"teacher": teacher, "centre": centre, "batches": extra["batches"] + 1}
        return loss, Aux({"embedding_spread": embedding_spread(hidden)}, extra)


def batch_at(start: int, *, damaged: dict[int, float], batch: int = BATCH):
    """The batch from example `start` on; steps of `damaged`, from 1, have that in every target."""
    rng = np.random.default_rng(start)
    x = rng.normal(size=(batch, 3)).astype(np.float32)
    y = x.sum(axis=1)
    y[:] = damaged.get(start // batch + 1, y)
    rows = np.full((batch, 2), -1, np.int32)
    rows[:, 0] = start + np.arange(batch)
    return {"x": x, "y": y, "rows": rows}


@functools.cache
def parts(optim: OptimConfig, *, drill: int = -1, devices: int = 1, steps: int = 100):
    """`(initial state, step function, shapes, shardings, mesh)`; a step function compiles once."""
    toy, mesh = Toy(), make_mesh(devices=jax.devices()[:devices])
    params = jax.eval_shape(lambda: toy.init(jax.random.key(0))[0])
    optimizer = make_optimizer(optim, steps=steps, params=params)
    ema = optim.ema_decay > 0
    shapes, shardings = state_shardings(toy, optimizer, mesh, ema=ema)
    start = jax.jit(
        lambda: init_state(toy, optimizer, jax.random.key(1), ema=ema), out_shardings=shardings
    )
    step_fn = make_train_step(
        toy, optimizer, seed=0, mesh=mesh, shardings=shardings, optim=optim, drill_nan_step=drill
    )
    return start, step_fn, shapes, shardings, mesh


def toy_run(**changes) -> RunConfig:
    fixed = {"data": {}, "model": {}, "objective": {}, "optim": {}, "seed": 0, "batch_size": BATCH}
    return RunConfig(**fixed | {"steps": 8, "checkpoint_every": 3, "log_every": 1} | changes)


def drive(
    run: RunConfig,
    workdir: Path,
    *,
    damaged=(),
    stop_after: int | None = None,
    devices: int = 1,
) -> TrainState:
    """What `train` does around the loop, for the toy; the state of the last checkpoint.

    Args:
        run: of `toy_run`.
        workdir: resumes what is there.
        damaged: step -> target of the whole batch, see `batch_at`.
        stop_after: batches after which a stop is asked for.
        devices: of the mesh.
    """
    optim, drill = run.optim_config(), run.health_config().drill_nan_step
    start, step_fn, shapes, shardings, mesh = parts(optim, drill=drill, devices=devices)
    mine = slice(jax.process_index(), None, jax.process_count())
    stop, drawn = StopRequest(), itertools.count(1)

    def first() -> TrainState:
        if not (done := checkpoint.steps(workdir)):
            return start()
        target = jax.tree.map(
            lambda s, d: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=d), shapes, shardings
        )
        return TrainState(**checkpoint.restore(workdir, done[-1], state_tree(target)))

    def read_from(example: int):
        for k in itertools.count(example, BATCH):
            stop.asked |= next(drawn) == stop_after
            yield {name: x[mine] for name, x in batch_at(k, damaged=dict(damaged)).items()}

    while not run_loop(
        run,
        workdir,
        first(),
        step_fn,
        read_from,
        put=lambda batch: put_batch(batch, mesh),
        studies_of=lambda rows: tuple(f"{row:04x}" for row in rows.ravel() if row >= 0),
        stop=stop,
    ):
        pass
    return first()


def by_hand(optim: OptimConfig, *, steps: int, left_out=(), damaged=(), drill: int = -1):
    """The state after the steps, without a loop or a health policy."""
    start, step_fn, _, _, mesh = parts(optim, drill=drill)
    state = start()
    for step in range(1, steps + 1):
        batch = batch_at((step - 1) * BATCH, damaged=dict(damaged))
        del batch["rows"]
        if step in left_out:
            state = pass_over(state, BATCH)
        else:
            state, _ = step_fn(state, put_batch(batch, mesh))
    return state


def same_bits(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in leaves)
