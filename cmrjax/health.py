"""The health of a run: which alarms there are, what each one does, and the record of them.

A step whose loss or gradient is not finite has changed nothing (`step.make_train_step` sees to it).
Everything else is decided from the values that were logged, so that a resumed run decides as an
uninterrupted one would have.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic

HEALTH_FILE = "health.jsonl"
POLICIES = ("stop", "skip", "rollback")
# Key of the config -> the metric that must not fall below it.
BOUNDS = {
    "min_spread": "embedding_spread",
    "min_effective_rank": "effective_rank",
    "min_teacher_information": "teacher_information",
}
# Logged losses that a jump is measured against, and how many of them it takes to know what is
# usual.
SPIKE_WINDOW = 32
SPIKE_LEAST = 8

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """What a run does when it goes wrong.

    Args:
        policy: at a loss or gradient that is not finite: 'stop' the run, 'skip' the step, or
            'rollback' to the last checkpoint and leave the batch out from then on, which ends with
            the same bits as 'skip'.
        max_skipped: steps left out one after another, or jumps of the loss in a run, before it
            stops under every policy.
        spike_factor: a logged loss above so many times the median of the last `SPIKE_WINDOW` ones
            is a jump; 0 is off. Its update has been made by then, so that 'skip' too goes back, to
            the last checkpoint before the last usual value, and leaves out the batches since. For
            losses that are positive.
        min_spread: least `embedding_spread`; 0 is off, as for the next two. These bounds belong to
            a batch size and an objective. Below one the run has collapsed, and stops.
        min_effective_rank: least `effective_rank`.
        min_teacher_information: least `teacher_information`.
        grace_steps: first steps, in which the bounds do not count.
        patience: logged values in a row below a bound that make an alarm.
        drill_nan_step: make the loss of this step NaN, to see what the policy does; -1 for none.
            Marked as a drill in the record. No other step is changed.
    """

    policy: str = "stop"
    max_skipped: int = 10
    spike_factor: float = 0.0
    min_spread: float = 0.0
    min_effective_rank: float = 0.0
    min_teacher_information: float = 0.0
    grace_steps: int = 100
    patience: int = 3
    drill_nan_step: int = -1

    def __post_init__(self):
        wrong = {
            "policy": (self.policy not in POLICIES, f"use one of {POLICIES}"),
            "max_skipped": (self.max_skipped < 0, "give 0 or more"),
            "spike_factor": (self.spike_factor != 0 and self.spike_factor <= 1, "0, or above 1"),
            "patience": (self.patience < 1, "give 1 or more"),
            "drill_nan_step": (self.drill_nan_step == 0, "steps count from 1; -1 for none"),
        }
        for name, (is_wrong, fix) in wrong.items():
            if is_wrong:
                raise UserError(f"{name} = {getattr(self, name)!r}", where="config.health", fix=fix)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One alarm, a line of `health.jsonl`.

    Args:
        step: number of the step, from 1.
        what: 'loss' or 'grad_norm' (not finite), 'spike', or the name of a metric that collapsed.
        policy: what was done: 'stop', 'skip' or 'rollback'.
        value: as text, since JSON has no NaN.
        excluded: steps whose batches the run leaves out from now on.
        studies: keyed-hash ids of the studies in the step's batch.
        drill: whether the config asked for it.
    """

    step: int
    what: str
    policy: str
    value: str
    excluded: tuple[int, ...] = ()
    studies: tuple[str, ...] = ()
    drill: bool = False

    def line(self) -> str:
        """What a user reads of it while the run goes on."""
        what = "spike of the loss" if self.what == "spike" else self.what
        drill = "drill: " if self.drill else ""
        return f"{drill}step {self.step}: {what} = {self.value}, policy {self.policy}"


class Journal:
    """The events of a run, in memory and in `health.jsonl`.

    Args:
        workdir: where the file is, if there is one.
        write: False for the processes that leave writing to the first.
    """

    def __init__(self, workdir: Path, *, write: bool = True):
        self._path, self._write = workdir / HEALTH_FILE, write
        self.events = read_events(workdir)

    @property
    def excluded(self) -> frozenset[int]:
        """Steps whose batches are left out."""
        return frozenset(step for event in self.events for step in event.excluded)

    @property
    def not_finite_steps(self) -> frozenset[int]:
        """Steps that were left out since a value of theirs was not finite."""
        values = ("loss", "grad_norm")
        return frozenset(
            e.step for e in self.events if e.what in values and e.policy in ("skip", "rollback")
        )

    def left_out_before(self, step: int) -> int:
        """How many steps up to this one were not finite one after another.

        Those that a jump of the loss took along neither count nor end the row.
        """
        bad, passed, count = self.not_finite_steps, self.excluded, 0
        while step in bad or step in passed:
            count += step in bad
            step -= 1
        return count

    @property
    def spikes(self) -> int:
        """How often the loss has jumped."""
        return sum(event.what == "spike" for event in self.events)

    def record(self, event: Event) -> None:
        """Adds an event, on disk when this returns; one met again by a resumed run counts once."""
        known = {(e.step, e.what, e.policy) for e in self.events}
        if (event.step, event.what, event.policy) in known:
            return
        self.events.append(event)
        if self._write:
            lines = [json.dumps(dataclasses.asdict(e)) + "\n" for e in self.events]
            write_bytes_atomic(self._path, "".join(lines).encode())


def read_events(workdir: Path) -> list[Event]:
    """The events of `health.jsonl`.

    Raises:
        UserError: it is not what this package writes.
    """
    path = workdir / HEALTH_FILE
    if not path.is_file():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        lists = ("excluded", "studies")
        return [Event(**row | {name: tuple(row[name]) for name in lists}) for row in rows]
    except (ValueError, TypeError, KeyError):
        raise UserError(
            "cannot be read", where=str(path), fix="delete it to forget the left-out batches"
        ) from None


def not_finite(values: Row) -> tuple[str, str]:
    """Which value of a skipped step is not finite, and what it is."""
    name = "grad_norm" if math.isfinite(values["loss"]) else "loss"
    return name, str(values[name])


def is_spike(config: HealthConfig, rows: Sequence[Row]) -> bool:
    """Whether the last logged loss is a jump.

    Args:
        config: its factor.
        rows: logged values of steps that were made, in order.
    """
    before = [row["loss"] for row in rows[-SPIKE_WINDOW - 1 : -1]]
    if not config.spike_factor or len(before) < SPIKE_LEAST:
        return False
    return rows[-1]["loss"] > config.spike_factor * statistics.median(before)


def collapsed(config: HealthConfig, rows: Sequence[Row]) -> str | None:
    """The key of a bound that its metric has been below for too long.

    Args:
        config: the bounds.
        rows: logged values of steps that were made, in order.

    Raises:
        UserError: a bound is set for a metric that the objective does not log.
    """
    counted = [row for row in rows if row["step"] > config.grace_steps][-config.patience :]
    for key, metric in BOUNDS.items():
        bound = getattr(config, key)
        if not bound or not rows:
            continue
        if metric not in rows[-1]:
            raise UserError(
                f"the objective logs no {metric}", where=f"config.health.{key}", fix="set it to 0"
            )
        values = [row[metric] for row in counted]
        # A value that is no number is below every bound.
        if len(values) == config.patience and not any((v or 0.0) >= bound for v in values):
            return key
    return None


def collapse_message(config: HealthConfig, key: str, row: Row) -> UserError:
    """The error that ends a run whose metric has been below the bound of `key` until `row`."""
    metric = BOUNDS[key]
    return UserError(
        f"collapse: {metric} = {row[metric]:.4g}, below the bound of {getattr(config, key):g} for "
        f"{config.patience} logged values",
        where=f"step {row['step']}",
        fix="start anew with a lower learning rate or the objective's own guard (centring, a "
        f"colder teacher, more negatives), or set config.health.{key} lower if this is no collapse",
    )


def stop_message(event: Event) -> UserError:
    """The error that ends a run at an event."""
    what = {"loss": "the loss is", "grad_norm": "the gradient's norm is"}
    text = f"{what.get(event.what, 'the loss jumped to')} {event.value}"
    return UserError(
        f"drill: {text}" if event.drill else text,
        where=f"step {event.step}",
        fix="lower config.optim.learning_rate, or set config.health.policy to 'skip' or "
        f"'rollback'; the last checkpoint is from before this step, and {HEALTH_FILE} names the "
        "batch's studies",
    )


def too_many(event: Event, config: HealthConfig) -> UserError:
    """The error that ends a run that has left out more than it may."""
    kind = "jumps of the loss" if event.what == "spike" else "steps left out in a row"
    return UserError(
        f"more than {config.max_skipped} {kind}",
        where=f"step {event.step}",
        fix="lower config.optim.learning_rate, or look at the data; "
        f"{HEALTH_FILE} names the studies, config.health.max_skipped is the bound",
    )
