"""The training job: one loop for every objective; the same command resumes a stopped run."""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cmrjax.assembly import make_examples, make_objective
from cmrjax.core import checkpoint
from cmrjax.core.config import load_config, split_overrides
from cmrjax.core.distributed import barrier, stop_on_signal, use_compilation_cache
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.partitioning import make_mesh, parse_mesh, put_batch
from cmrjax.core.writer import write_json_atomic
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import (
    load_checkpoint_contract,
    require_same,
    save_checkpoint_contract,
)
from cmrjax.data.pipeline import batches, example_dataset, select_studies
from cmrjax.data.records import RecordSource
from cmrjax.experiment import (
    RunConfig,
    input_contract,
    load_run_config,
    make_tokenizer,
    run_config,
)
from cmrjax.health import HEALTH_FILE
from cmrjax.loop import run_loop, state_tree, write_status
from cmrjax.optim import make_optimizer
from cmrjax.pretrained import with_pretrained
from cmrjax.step import TrainState, init_state, make_train_step, state_shardings

# A resumed run may change these; anything else would make it another run.
RESUMABLE_CHANGES = frozenset(
    {"checkpoint_every", "log_every", "keep_checkpoints", "mesh", "health"}
)


def main(argv: Sequence[str]) -> int:
    """`cmrjax train --config F --workdir D`."""
    parser = argparse.ArgumentParser(prog="cmrjax train", description=__doc__)
    parser.add_argument("--config", required=True, help="config file, with optional :arguments")
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--mesh", help="short for --config.mesh, for example data=4,fsdp=2")
    overrides, words = split_overrides(argv)
    args = parser.parse_args(words)
    config = load_config(args.config, overrides)
    if args.mesh:
        config["mesh"] = parse_mesh(args.mesh)
    train(run_config(config), args.workdir)
    return 0


def train(run: RunConfig, workdir: Path) -> None:
    """Trains until `run.steps`, from wherever the workdir's last checkpoint is.

    Raises:
        UserError: the workdir belongs to another run, or the config is wrong.
        CorruptDataError: a record or checkpoint is damaged.
        PreemptedError: a signal asked the run to stop; it has saved a checkpoint.
    """
    use_compilation_cache()
    check_workdir(run, workdir)
    done = checkpoint.steps(workdir)
    if not done:  # what an earlier start left out is not of this one
        (workdir / HEALTH_FILE).unlink(missing_ok=True)

    # Data: the order of examples is a function of the seed, the position is one integer.
    data = run.data_config()
    source = RecordSource(Path(data.dataset))
    if done:  # the folder may hold what another `prepare` wrote since
        require_same(source.contract, load_checkpoint_contract(workdir)[0], where=data.dataset)
    if data.check_shards:
        source.check_shards(process=jax.process_index(), processes=jax.process_count())
    contract = input_contract(run, source)
    members = select_studies(source, data)
    tokenizer = None
    if contract.tokenizer == "wordpiece":
        # One without a checkpoint beside it is of a start that failed, maybe with other patients.
        tokenizer = wordpiece.load_tokenizer(workdir) if done else make_tokenizer(run, source)
    examples = example_dataset(
        members, make_examples(run, source, contract, tokenizer), seed=run.seed
    )
    examples[0]  # clips that the records cannot give are refused here, not at the first step

    # Shapes, then shardings, then arrays.
    mesh = make_mesh(run.mesh)
    vocabulary = tokenizer.get_vocab_size() if tokenizer else 0
    objective = make_objective(run, contract, vocabulary=vocabulary, source=source, mesh=mesh)
    optim = run.optim_config()
    network = jax.eval_shape(lambda: objective.init(jax.random.key(0))[0])
    optimizer = make_optimizer(optim, steps=run.steps, params=network)
    ema = optim.ema_decay > 0
    shapes, shardings = state_shardings(objective, optimizer, mesh, ema=ema)
    _check_batch(run, mesh)

    def start() -> TrainState:
        # Where the state comes from, first that applies: (1) this run's last checkpoint,
        # (2) another network's weights, (3) scratch.
        if done := checkpoint.steps(workdir):
            target = jax.tree.map(
                lambda s, d: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=d), shapes, shardings
            )
            return TrainState(**checkpoint.restore(workdir, done[-1], state_tree(target)))
        init = jax.jit(
            lambda: init_state(objective, optimizer, jax.random.key(run.seed), ema=ema),
            out_shardings=shardings,
        )
        state = init()
        if run.pretrained_config().paths():
            given = with_pretrained(
                state.params,
                objective.network,
                run.pretrained_config(),
                tokenizer=tokenizer,
                contract=source.contract,
            )
            params = jax.device_put(given, shardings.params)
            extra = jax.device_put(objective.extra_of(params), shardings.extra)
            average = jax.tree.map(jnp.copy, params) if ema else {}
            state = dataclasses.replace(state, params=params, ema=average, extra=extra)
        return state

    state = start()
    # Written once the parts are known to fit, so that a refused run leaves no half of a workdir.
    barrier("workdir")  # no process looks at the folder any more
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        if tokenizer is not None:
            wordpiece.save_tokenizer(workdir, tokenizer)
        save_checkpoint_contract(workdir, source.contract, contract)
        write_json_atomic(workdir / "config.json", run.to_json())

    step_fn = make_train_step(
        objective,
        optimizer,
        seed=run.seed,
        mesh=mesh,
        shardings=shardings,
        optim=optim,
        drill_nan_step=run.health_config().drill_nan_step,
    )
    parts = {"process": jax.process_index(), "processes": jax.process_count()}
    loop = functools.partial(
        run_loop,
        run,
        workdir,
        step_fn=step_fn,
        read_from=lambda start: batches(examples, batch_size=run.batch_size, start=start, **parts),
        put=lambda batch: put_batch(batch, mesh),
        studies_of=lambda rows: study_ids(source, rows),
    )
    try:
        with stop_on_signal() as stop:
            while not loop(state, stop=stop):
                state = start()
    except (UserError, CorruptDataError):
        # Whoever follows this run need not wait for it; the same command may still go on.
        write_status(workdir, "failed", (checkpoint.steps(workdir) or [0])[-1], run.steps)
        raise


def study_ids(source: RecordSource, rows: np.ndarray) -> tuple[str, ...]:
    """The hashed ids of a global batch's studies.

    Args:
        source: the dataset.
        rows: int32 `[b, cines]`, records of this process's part of the batch; -1 is padding.
    """
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        rows = np.asarray(multihost_utils.process_allgather(rows))
    return tuple(sorted({str(source.index.study_id[row]) for row in rows.ravel() if row >= 0}))


def check_workdir(run: RunConfig, workdir: Path) -> None:
    """Refuses a folder that is not a workdir, or one that belongs to another run.

    Raises:
        UserError: says which folder, or which keys of the config differ.
    """
    ours = ("config.json", "contract.json", wordpiece.TOKENIZER_FILE, "demo.json")
    # A workdir has one of these; so has what a killed start left, or a demo that keeps data here.
    is_ours = any((workdir / name).is_file() for name in ours)
    if workdir.is_dir() and any(workdir.iterdir()) and not is_ours:
        raise UserError("not empty and not a workdir", where=str(workdir), fix="give another")
    if workdir.exists() and not workdir.is_dir():
        raise UserError("not a folder", where=str(workdir), fix="give another --workdir")
    if (workdir / "config.json").is_file():
        before, now = load_run_config(workdir).to_json(), run.to_json()
        differing = sorted(
            key for key in now if before[key] != now[key] and key not in RESUMABLE_CHANGES
        )
        if differing and checkpoint.steps(workdir):
            raise UserError(
                f"the run here has another {', '.join(differing)}",
                where=str(workdir / "config.json"),
                fix="give another --workdir, or the config that the run was started with",
            )


def _check_batch(run: RunConfig, mesh) -> None:
    ways, parts = mesh.shape["data"] * mesh.shape["fsdp"], run.optim_config().accumulate
    if run.batch_size % (ways * parts):
        over = f"{ways} devices" + f" in {parts} parts" * (parts > 1)
        raise UserError(
            f"{run.batch_size} does not divide over {over}",
            where="config.batch_size",
            fix="make it a multiple of data x fsdp of the mesh, times optim.accumulate",
        )


if __name__ == "__main__":
    from cmrjax.cli import run as run_verb

    sys.exit(run_verb("train", sys.argv[1:]))
