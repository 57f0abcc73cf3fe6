"""The loop of a run: step, look at the step before, save; then draw the next batch."""

import contextlib
import dataclasses
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cmrjax.core import checkpoint, clock
from cmrjax.core.distributed import StopRequest, any_process, barrier
from cmrjax.core.errors import PreemptedError
from cmrjax.core.writer import MetricWriter, read_metrics, write_json_atomic
from cmrjax.experiment import RunConfig
from cmrjax.health import (
    BOUNDS,
    SPIKE_WINDOW,
    Event,
    Journal,
    collapse_message,
    collapsed,
    is_spike,
    not_finite,
    stop_message,
    too_many,
)
from cmrjax.step import TrainState, pass_over

# Record ids of a local batch, int [b, cines] with -1 as padding -> hashed ids of its studies.
StudiesOf = Callable[[np.ndarray], tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Seen:
    """A step that has been started and not yet looked at.

    Args:
        step: its number, from 1.
        metrics: of the step function; None for a batch that was left out.
        rows: records of this process's part of the batch; None if unknown.
    """

    step: int
    metrics: dict[str, jax.Array] | None
    rows: np.ndarray | None


def run_loop(
    run: RunConfig,
    workdir: Path,
    state: TrainState,
    step_fn: Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]],
    read_from: Callable[[int], Iterator[dict[str, np.ndarray]]],
    *,
    put: Callable[[Any], Any],
    studies_of: StudiesOf,
    stop: StopRequest,
) -> bool:
    """Trains from `state` to `run.steps`, with a checkpoint at the end.

    Args:
        run: the config.
        workdir: where metrics, checkpoints, status and health events go.
        state: where to start; it is donated to the first step.
        step_fn: of `make_train_step`.
        read_from: the batches of this process from a global example on.
        put: places a batch on the devices.
        studies_of: names the studies of a batch, for the record of an event.
        stop: looked at between steps.

    Returns:
        True at the end. False where the run has to go on from its last checkpoint, or from its
        start where there is none: a batch that is left out from now on has done damage.

    Raises:
        UserError: the run went wrong and the health policy is to stop, or it has collapsed.
        PreemptedError: a stop was asked for; a checkpoint is saved.
    """
    step, reader = int(state.step), read_from(int(state.examples))
    before: Seen | None = None
    with contextlib.closing(Monitor(run, workdir, step=step, studies_of=studies_of)) as monitor:
        while step < run.steps and not _stops_here(run, step, stop):
            batch = next(reader)
            rows = batch.pop("rows", None)
            step += 1
            if step in monitor.excluded:
                state, metrics = pass_over(state, run.batch_size), None
            else:
                state, metrics = step_fn(state, put(batch))
            monitor.advance()
            # Reading a value waits for the device: look at the step before, while this one runs.
            if before is not None and not monitor.look(before):
                return False
            before = Seen(step, metrics, rows)
            if step % run.checkpoint_every == 0 or step == run.steps:
                # Nothing is saved before its step has been looked at.
                if not monitor.look(before):
                    return False
                before = None
                _save(run, workdir, step, state)
                monitor.write_status("running", step)
        if before is not None and not monitor.look(before):
            return False
        if step < run.steps:
            if step not in checkpoint.steps(workdir):
                _save(run, workdir, step, state)
            monitor.write_status("stopped", step)
            raise PreemptedError(
                f"stopped by a signal at step {step} of {run.steps}, checkpoint saved",
                fix="the same command goes on from there",
            )
        monitor.write_status("done", step)
    return True


def _stops_here(run: RunConfig, step: int, stop: StopRequest) -> bool:
    """Whether to stop after this step, the same in every process."""
    if jax.process_count() == 1:
        return stop.asked
    # A signal reaches the processes at different steps, or one alone. Asking the others waits for
    # the device, so it is done where values are read anyway.
    return step % run.log_every == 0 and any_process(stop.asked)


class Monitor:
    """Looks at what each step gave: logs it, and acts where the run is not well.

    Args:
        run: the config.
        workdir: of the run.
        step: steps done; lines of metrics after it are dropped.
        studies_of: see `run_loop`.
    """

    def __init__(self, run: RunConfig, workdir: Path, *, step: int, studies_of: StudiesOf):
        self._run, self._workdir, self._studies_of = run, workdir, studies_of
        self._health = run.health_config()
        main = jax.process_index() == 0
        self._writer = MetricWriter(workdir, resume_step=step) if main else None
        self._journal = Journal(workdir, write=main)
        self.excluded = self._journal.excluded
        # Logged values of the steps that were made, on which the alarms are decided.
        made = [r for r in read_metrics(workdir) if r["step"] <= step and not r.get("skipped")]
        self._rows = deque(made, maxlen=max(SPIKE_WINDOW + 1, self._health.patience))
        self._left_out = self._journal.left_out_before(step)  # steps in a row
        self._bar = clock.progress(
            total=run.steps * run.batch_size,
            initial=step * run.batch_size,
            unit="examples",
            description="train",
        )
        self._window = (time.monotonic(), step)
        self.write_status("running", step)

    def close(self) -> None:
        """Ends the progress line and the files."""
        self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def advance(self) -> None:
        """Counts a batch."""
        self._bar.update(self._run.batch_size)

    def write_status(self, state: str, step: int) -> None:
        """Writes `status.json`."""
        write_status(self._workdir, state, step, self._run.steps)

    def look(self, seen: Seen) -> bool:
        """Waits for a step, logs it if it is its turn, and acts on what it gave.

        Returns:
            False where the run has to go back; see `run_loop`.

        Raises:
            UserError: see `run_loop`.
        """
        logged = seen.step % self._run.log_every == 0 or seen.step == self._run.steps
        if seen.metrics is None:
            self._left_out += seen.step in self._journal.not_finite_steps
            if logged:
                self._log(seen.step, {"loss": math.nan, "skipped": 1.0})
            return True
        if float(seen.metrics["skipped"]):
            values = {name: float(value) for name, value in seen.metrics.items()}
            if logged:
                self._log(seen.step, values)
            self._left_out += 1
            what, value = not_finite(values)
            return self._act(seen, what, value, first=seen.step)
        self._left_out = 0
        if not logged:
            return True
        values = {name: float(value) for name, value in seen.metrics.items()}
        del values["skipped"]  # a line has it only where it is 1
        self._log(seen.step, values)
        self._rows.append({"step": seen.step, **values})
        rows = list(self._rows)
        if is_spike(self._health, rows):
            # The last usual value was computed before its own update: that one is suspect too.
            return self._act(seen, "spike", str(values["loss"]), first=rows[-2]["step"])
        if key := collapsed(self._health, rows):
            name = BOUNDS[key]
            self._record(Event(step=seen.step, what=name, policy="stop", value=str(values[name])))
            raise collapse_message(self._health, key, rows[-1])
        return True

    def _act(self, seen: Seen, what: str, value: str, *, first: int) -> bool:
        """Does what the policy says at an alarm whose cause is at step `first` or after it."""
        config, jumped = self._health, what == "spike"
        policy = "rollback" if jumped and config.policy == "skip" else config.policy
        count = self._journal.spikes + 1 if jumped else self._left_out
        exhausted = policy != "stop" and count > config.max_skipped
        policy = "stop" if exhausted else policy
        event = Event(
            step=seen.step,
            what=what,
            policy=policy,
            value=value,
            excluded=tuple(range(first, seen.step + 1)) if policy == "rollback" else (),
            studies=self._studies_of(seen.rows) if seen.rows is not None else (),
            drill=seen.step == config.drill_nan_step,
        )
        if policy == "rollback":
            # First what holds the damage, then the record: a run that is killed in between meets
            # the same alarm once more.
            for damaged in [s for s in checkpoint.steps(self._workdir) if s >= first]:
                checkpoint.remove(self._workdir, damaged)
        self._record(event)
        if policy == "rollback":
            barrier(f"health-{seen.step}")  # every process reads the record when it goes on
        if policy == "stop":
            raise too_many(event, config) if exhausted else stop_message(event)
        return policy == "skip"

    def _record(self, event: Event) -> None:
        self._journal.record(event)
        if self._writer is not None:
            self._bar.write(event.line(), file=sys.stderr)

    def _log(self, step: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        elapsed = max(now - self._window[0], 1e-9)
        rate = (step - self._window[1]) * self._run.batch_size / elapsed
        self._window = (now, step)
        examples = step * self._run.batch_size
        values = values | {"examples": examples, "examples_per_s": rate, "time_s": time.time()}
        if self._writer is not None:
            self._writer.write(step, values)
        self._bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
        self.write_status("running", step)


def write_status(workdir: Path, state: str, step: int, steps: int) -> None:
    """Writes `status.json`, which says where a run stands."""
    if jax.process_index() == 0:
        status = {"state": state, "step": step, "steps": steps, "updated": time.time()}
        write_json_atomic(workdir / "status.json", status)


def state_tree(state: TrainState) -> dict[str, Any]:
    """A state as a checkpoint holds it; a moving average that is not kept is not in it."""
    tree = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: part for name, part in tree.items() if name != "ema" or part}


def _save(run: RunConfig, workdir: Path, step: int, state: TrainState) -> None:
    checkpoint.save(workdir, step, state_tree(state), keep=run.keep_checkpoints or None)
