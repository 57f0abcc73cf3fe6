"""The evaluation job: one evaluator on a model folder, or on a run's checkpoints as they appear."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmrjax.core import checkpoint
from cmrjax.core.config import load_config, split_overrides
from cmrjax.core.distributed import use_compilation_cache
from cmrjax.core.errors import CmrjaxError, PreemptedError, UserError
from cmrjax.core.interrupt import Stop, interruptible
from cmrjax.core.sections import to_dataclass
from cmrjax.evals.base import read_rows, rebuild_results
from cmrjax.evals.config import EvalConfig
from cmrjax.evals.jobs import Job
from cmrjax.evals.origin import Origin, WorkdirOrigin, existing, open_origin, steps_of
from cmrjax.evals.tables import format_rows

POLL_SECONDS = 1.0
log = logging.getLogger("cmrjax.evaluate")


def main(argv: Sequence[str]) -> int:
    """`cmrjax evaluate --config F (--workdir D [--follow] [--step N] | --model D)`."""
    parser = argparse.ArgumentParser(prog="cmrjax evaluate", description=__doc__)
    parser.add_argument("--config", required=True, help="config file, with optional :arguments")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--workdir", type=Path, help="of cmrjax train")
    which.add_argument("--model", type=Path, help="a model folder, exported or imported")
    parser.add_argument("--step", type=int, help="this checkpoint alone")
    parser.add_argument("--follow", action="store_true", help="until the training run is done")
    overrides, words = split_overrides(argv)
    args = parser.parse_args(words)
    if args.follow and args.step is not None:
        raise UserError("--follow and --step exclude each other", fix="give one of them")
    if args.follow and args.model:
        raise UserError("--follow waits for a run's checkpoints", fix="give --workdir")
    config = to_dataclass(EvalConfig, load_config(args.config, overrides), where="")
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    # Where an imported library has set up logging before, the line above does nothing.
    logging.getLogger("cmrjax").setLevel(logging.INFO)
    with interruptible("finished steps") as stop:
        if args.follow:
            folders = follow(config, existing(args.workdir, "workdir"), stop=stop)
        else:
            origin = open_origin(args.workdir, args.model)
            folders = evaluate(config, origin, step=args.step, stop=stop)
    for folder in folders:
        print(format_rows(read_rows(folder / "results.json"), title=str(folder)))
    return 0


def evaluate(
    config: EvalConfig, origin: Origin, *, step: int | None = None, stop: Stop | None = None
) -> list[Path]:
    """Evaluates what is not evaluated yet.

    Args:
        config: the evaluator job.
        origin: where the model comes from.
        step: one checkpoint; without it, what the schedule says of those there are.
        stop: asked between steps whether to stop.

    Returns:
        The result folders that were written, in the order of their steps.

    Raises:
        UserError: the model, the dataset or the config does not fit.
    """
    use_compilation_cache()
    stop = stop or Stop()
    job = Job(config, origin)
    available = steps_of(origin, step)
    last = config.schedule == "last_checkpoint"
    wanted = [step] if step is not None else available[-1:] if last else available
    folders = [_evaluate_step(job, s, stop) for s in wanted if not _is_current(job, s)]
    rebuild_results(origin.directory)
    return folders


def follow(config: EvalConfig, workdir: Path, *, stop: Stop | None = None) -> list[Path]:
    """Evaluates each checkpoint of a run as it appears; ends when the run is done.

    Args:
        config: the evaluator job.
        workdir: of a train job that may not have begun to write.
        stop: asked between steps whether to stop.

    Returns:
        The result folders that were written, in the order of their steps.

    Raises:
        UserError: the workdir, the dataset or the config does not fit.
        PreemptedError: the trainer shows no life.
    """
    use_compilation_cache()
    return list(_follow(config, workdir, stop or Stop()))


def _is_current(job: Job, step: int) -> bool:
    done = job.is_current(step)
    if done:
        log.info("%s at step %d is evaluated already", job.folder_name, step)
    return done


def _evaluate_step(job: Job, step: int, stop: Stop) -> Path:
    start = time.monotonic()
    stop.check()
    folder = job.evaluate(step)
    stop.check()
    log.info("%s at step %d: %.1f s", job.folder_name, step, time.monotonic() - start)
    return folder


def _evaluate_unless_deleted(job: Job, step: int, stop: Stop) -> Path | None:
    """Evaluates a step of a live run, whose trainer may delete old checkpoints meanwhile."""
    try:
        return None if _is_current(job, step) else _evaluate_step(job, step, stop)
    except (CmrjaxError, OSError):
        if step in job.origin.steps():
            raise
        log.info("checkpoint %d was deleted before it was evaluated", step)
        return None


def _follow(config: EvalConfig, workdir: Path, stop: Stop) -> Iterator[Path]:
    """Evaluates each checkpoint as it appears; ends when the run is done and nothing is left."""
    job: Job | None = None
    handled: set[int] = set()
    seen, since = None, time.monotonic()
    log.info("following %s", workdir)
    while True:
        stop.check()
        # The state is read before the steps: a run that is done writes no checkpoint after it.
        status = _status(workdir)
        finished = status.get("state") in ("done", "failed")
        if job is None and (workdir / "config.json").is_file():
            # As early as it can be: a wrong config ends this at once.
            job = Job(config, WorkdirOrigin(workdir))
        available = checkpoint.steps(workdir)
        last = config.schedule == "last_checkpoint"
        wanted = available if not last else available[-1:] if finished else []
        for step in [s for s in wanted if s not in handled]:
            job = job or Job(config, WorkdirOrigin(workdir))
            handled.add(step)
            if (folder := _evaluate_unless_deleted(job, step, stop)) is not None:
                yield folder
            since = time.monotonic()
        if finished:
            return
        now = (status.get("state"), status.get("updated"), available)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > config.patience_s:
            raise PreemptedError(
                f"no sign of the trainer for {config.patience_s:.0f} s "
                f"(state {status.get('state', 'unknown')}, step {status.get('step', 0)})",
                where=str(workdir),
                fix="start cmrjax train again, then this command; finished steps are kept",
            )
        time.sleep(POLL_SECONDS)


def _status(workdir: Path) -> dict:
    """`status.json`, empty while there is none."""
    try:
        status = json.loads((workdir / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("evaluate", sys.argv[1:]))
