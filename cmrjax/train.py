"""The training job: one loop for every objective; the same command resumes a stopped run."""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from cmrjax.core import checkpoint, clock
from cmrjax.core.config import load_config, split_overrides
from cmrjax.core.distributed import stop_on_signal, use_compilation_cache
from cmrjax.core.errors import CorruptDataError, PreemptedError, UserError
from cmrjax.core.partitioning import make_mesh, parse_mesh, put_batch
from cmrjax.core.writer import MetricWriter, write_json_atomic
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import (
    load_checkpoint_contract,
    require_same,
    save_checkpoint_contract,
)
from cmrjax.data.pipeline import StudyExamples, batches, example_dataset, select_studies
from cmrjax.data.records import RecordSource
from cmrjax.experiment import (
    RunConfig,
    input_contract,
    load_run_config,
    make_objective,
    make_tokenizer,
    run_config,
)
from cmrjax.optim import make_optimizer
from cmrjax.pretrained import with_pretrained
from cmrjax.step import TrainState, init_state, make_train_step, state_shardings

# A resumed run may change these; anything else would make it another run.
RESUMABLE_CHANGES = frozenset({"checkpoint_every", "log_every", "keep_checkpoints", "mesh"})


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
    tasks = (*run.objective.get("binary", ()), *run.objective.get("regression", ()))
    examples = example_dataset(
        members,
        StudyExamples(source, data, contract, tokenizer=tokenizer, tasks=tasks),
        seed=run.seed,
    )
    examples[0]  # clips that the records cannot give are refused here, not at the first step

    # Shapes, then shardings, then arrays.
    mesh = make_mesh(run.mesh)
    objective = make_objective(
        run, contract, vocabulary=tokenizer.get_vocab_size() if tokenizer else 0, source=source
    )
    optimizer = make_optimizer(run.optim_config(), steps=run.steps)
    shapes, shardings = state_shardings(objective, optimizer, mesh)
    _check_batch(run, mesh)

    # Where the parameters come from, first that applies: (1) this run's last checkpoint,
    # (2) another network's weights, (3) scratch.
    if done:
        target = jax.tree.map(
            lambda s, d: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=d), shapes, shardings
        )
        state = _from_tree(checkpoint.restore(workdir, done[-1], _to_tree(target)))
    else:
        init = jax.jit(
            lambda: init_state(objective, optimizer, jax.random.key(run.seed)),
            out_shardings=shardings,
        )
        state = init()
        if run.pretrained_config().paths():
            params = with_pretrained(
                state.params, objective.network, run.pretrained_config(), tokenizer=tokenizer
            )
            state = dataclasses.replace(state, params=jax.device_put(params, shardings.params))
    # Written once the parts are known to fit, so that a refused run leaves no half of a workdir.
    workdir.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        wordpiece.save_tokenizer(workdir, tokenizer)
    save_checkpoint_contract(workdir, source.contract, contract)
    write_json_atomic(workdir / "config.json", run.to_json())

    step_fn = make_train_step(objective, optimizer, seed=run.seed, mesh=mesh, shardings=shardings)
    reader = batches(
        examples,
        batch_size=run.batch_size,
        start=int(state.examples),
        process=jax.process_index(),
        processes=jax.process_count(),
    )
    try:
        _loop(run, workdir, state, step_fn, reader, mesh)
    except (UserError, CorruptDataError):
        # Whoever follows this run need not wait for it; the same command may still go on.
        _write_status(workdir, "failed", (checkpoint.steps(workdir) or [0])[-1], run.steps)
        raise


def _loop(run: RunConfig, workdir: Path, state: TrainState, step_fn, reader, mesh) -> None:
    """Step, log the previous step, save; then draw the next batch."""
    step = int(state.step)
    main_process = jax.process_index() == 0
    writer = MetricWriter(workdir, resume_step=step) if main_process else None
    bar = clock.progress(
        total=run.steps * run.batch_size,
        initial=step * run.batch_size,
        unit="examples",
        description="train",
    )
    _write_status(workdir, "running", step, run.steps)
    pending: tuple[int, dict[str, jax.Array]] | None = None
    window = (time.monotonic(), step)
    with stop_on_signal() as stop:
        while step < run.steps and not stop.asked:
            state, metrics = step_fn(state, put_batch(next(reader), mesh))
            step += 1
            bar.update(run.batch_size)
            # Reading a value waits for the device: read the step before, while this one runs.
            if pending is not None:
                window = _log(pending, writer, bar, run, window)
                _write_status(workdir, "running", step, run.steps)
                pending = None
            if step % run.log_every == 0 or step == run.steps:
                pending = (step, metrics)
            if step % run.checkpoint_every == 0 or step == run.steps:
                if pending is not None:
                    window = _log(pending, writer, bar, run, window)
                    pending = None
                _require_finite(metrics, step)
                checkpoint.save(workdir, step, _to_tree(state), keep=run.keep_checkpoints or None)
                _write_status(workdir, "running", step, run.steps)
    bar.close()
    if step < run.steps:
        if pending is not None:
            _log(pending, writer, bar, run, window)
        if step not in checkpoint.steps(workdir):
            checkpoint.save(workdir, step, _to_tree(state), keep=run.keep_checkpoints or None)
        _write_status(workdir, "stopped", step, run.steps)
        if writer is not None:
            writer.close()
        raise PreemptedError(
            f"stopped by a signal at step {step} of {run.steps}, checkpoint saved",
            fix="the same command goes on from there",
        )
    if writer is not None:
        writer.close()
    _write_status(workdir, "done", step, run.steps)


def _log(pending, writer, bar, run: RunConfig, window: tuple[float, int]) -> tuple[float, int]:
    step, metrics = pending
    _require_finite(metrics, step)
    values = {name: float(value) for name, value in metrics.items()}
    now = time.monotonic()
    rate = (step - window[1]) * run.batch_size / max(now - window[0], 1e-9)
    values |= {"examples": step * run.batch_size, "examples_per_s": rate, "time_s": time.time()}
    if writer is not None:
        writer.write(step, values)
    bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
    return now, step


def _require_finite(metrics: dict[str, jax.Array], step: int) -> None:
    loss = float(metrics["loss"])
    if not math.isfinite(loss):
        raise UserError(
            f"the loss is {loss}",
            where=f"step {step}",
            fix="lower config.optim.learning_rate; the last checkpoint is from before this step",
        )


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
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    if run.batch_size % ways:
        raise UserError(
            f"{run.batch_size} does not divide over {ways} devices",
            where="config.batch_size",
            fix="make it a multiple of data x fsdp of the mesh",
        )


def _to_tree(state: TrainState) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _from_tree(tree: dict[str, Any]) -> TrainState:
    return TrainState(**tree)


def _write_status(workdir: Path, state: str, step: int, steps: int) -> None:
    if jax.process_index() == 0:
        status = {"state": state, "step": step, "steps": steps, "updated": time.time()}
        write_json_atomic(workdir / "status.json", status)


if __name__ == "__main__":
    from cmrjax.cli import run as run_verb

    sys.exit(run_verb("train", sys.argv[1:]))
