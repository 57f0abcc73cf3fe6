"""Runs one pure function over studies in a process pool, or wherever a `BatchRunner` does it.

A study's result is kept as soon as it is there, so a stopped run goes on where it was.
"""

import errno
import json
import math
import multiprocessing
import os
import secrets
import signal
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from cmrjax.core.clock import progress
from cmrjax.core.errors import CmrjaxError, UserError
from cmrjax.core.memory import keep_freed_memory
from cmrjax.data import tfrecord
from cmrjax.data.duplicates import looks
from cmrjax.data.shards import PackedRecord
from cmrjax.data.study import Settings, StudyResult, StudyTask

Process = Callable[[StudyTask, Settings], StudyResult]
_A = TypeVar("_A")
_B = TypeVar("_B")
# What the user can do something about, of all that writing can raise.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_AHEAD = 4  # batches a worker has waiting: enough to keep it busy, few enough to stop at once


class BatchRunner(ABC):
    """Where batches are worked on that no process of this command's own works on."""

    @abstractmethod
    def map_batches(
        self, function: Callable[[Sequence[_A]], _B], items: Sequence[_A], *, size: int
    ) -> Iterator[_B]:
        """What `map_batches` does, elsewhere."""


Workers = Executor | BatchRunner | None


def _worker_start() -> None:
    # Ctrl-C goes to the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A killed parent leaves its workers waiting for ever otherwise."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


@contextmanager
def pool(workers: int) -> Iterator[Executor | None]:
    """A process pool, or nothing for one worker, who works here."""
    if workers <= 1:
        yield None
        return
    # Spawned, not forked: the parent may hold threads of jax.
    context = multiprocessing.get_context("spawn")
    with one_thread_each():
        executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_worker_start)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started meanwhile are one core's worth: their threads would only take turns."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def map_batches(
    executor: Workers,
    function: Callable[[Sequence[_A]], _B],
    items: Sequence[_A],
    *,
    size: int,
    workers: int,
) -> Iterator[_B]:
    """Applies a function to batches of items; results come in whatever order they are ready.

    Args:
        executor: who works, or nothing: then it is done here.
        function: picklable. A `BatchRunner` hands back what it returns as JSON holds it: a tuple
            as a list, a Counter as a dict.
        items: texts or `StudyTask`s.
        size: of a batch.
        workers: of a process pool.
    """
    if isinstance(executor, BatchRunner):
        yield from executor.map_batches(function, items, size=size)
        return
    batches = (items[i : i + size] for i in range(0, len(items), size))
    if executor is None:
        yield from map(function, batches)
        return
    running: set[Future[_B]] = set()
    for batch in batches:
        running.add(executor.submit(function, batch))
        if len(running) >= workers * _AHEAD:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def _store(folder: Path, result: StudyResult) -> None:
    """Keeps a study's result; its JSON file, written last, says that it is complete.

    A cluster may work on a study twice at once: each writes files of its own, and gives them their
    names in one step. The bytes are the same.
    """
    part = folder / f"{result.study_id}.{secrets.token_hex(4)}.part"
    part.write_bytes(b"".join(tfrecord.frame(record.payload) for record in result.records))
    os.replace(part, folder / f"{result.study_id}.tfrecord")
    # Plain dicts: asdict would rebuild a Counter from its pairs, and so count them.
    plain = {"rejected": dict(result.rejected), "scrubbed": dict(result.scrubbed)}
    row = asdict(replace(result, records=(), **plain))
    row["labels"] = {k: None if math.isnan(v) else v for k, v in result.labels.items()}
    row["records"] = [(r.view, r.slice_index) for r in result.records]
    row["looks"] = looks((r.view, r.look) for r in result.records)
    row["bytes"] = sum(len(r.payload) for r in result.records)
    part.write_text(json.dumps(row))
    os.replace(part, folder / f"{result.study_id}.json")


class TooManyRejectedError(UserError):
    """More studies gave nothing than the user allows; what is done is kept."""


class StudyBatch:
    """A picklable function of a batch of studies: prepares each and keeps its result.

    Args:
        process: the source's pure function of one study.
        settings: the dataset's settings.
        folder: where results are kept.
    """

    def __init__(self, process: Process, settings: Settings, folder: Path):
        self.process, self.settings, self.folder = process, settings, folder

    def __call__(self, tasks: Sequence[StudyTask]) -> tuple[int, int]:
        """Returns how many studies it was given, and how many of them gave nothing."""
        empty = 0
        for task in tasks:
            try:
                result = self.process(task, self.settings)
            except CmrjaxError:
                raise
            except Exception as error:  # one odd study must not stop a night's run
                study_id = self.settings.hasher.id("study", task.study_uid)
                result = StudyResult(study_id, rejected={f"study.{type(error).__name__}": 1})
            empty += not result.records
            _store(self.folder, result)
        return len(tasks), empty


def run_studies(
    executor: Workers,
    tasks: Sequence[StudyTask],
    process: Process,
    settings: Settings,
    *,
    folder: Path,
    workers: int,
    max_rejected: float | None = None,
) -> None:
    """Prepares every study that is not done yet, with progress on stderr.

    Args:
        executor: who prepares them, or nothing: then it is done here.
        tasks: the studies.
        process: the source's pure function of one study.
        settings: the dataset's.
        folder: where results are kept.
        workers: of the executor.
        max_rejected: the share of all studies that may give nothing; no limit without it.

    Raises:
        TooManyRejectedError: more do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = {row["study_id"]: not row["records"] for row in summaries(folder)}
    left = [t for t in tasks if settings.hasher.id("study", t.study_uid) not in kept]
    empty = sum(kept.values())
    _check_rejected(empty, len(tasks), max_rejected, folder)
    bar = progress(
        total=len(tasks), initial=len(tasks) - len(left), unit="study", description="prepare"
    )
    with bar:
        work = StudyBatch(process, settings, folder)
        for done, nothing in map_batches(executor, work, left, size=1, workers=workers):
            empty += nothing
            bar.set_postfix(rejected=empty, refresh=False)
            bar.update(done)
            _check_rejected(empty, len(tasks), max_rejected, folder)


def _check_rejected(empty: int, studies: int, most: float | None, folder: Path) -> None:
    """Stops as soon as it is certain that the run ends over its budget."""
    if most is None or empty <= most * studies:
        return
    reasons = total([row for row in summaries(folder) if not row["records"]], "rejected")
    counted = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common(5))
    raise TooManyRejectedError(
        f"{empty} of {studies} studies gave no cine, more than --max-rejected {most:g} allows "
        f"({counted})",
        where="--input",
        fix="the same command with a larger share goes on",
    )


def summaries(folder: Path) -> list[dict[str, Any]]:
    """What is kept of each study beside its records, sorted by study id."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for row in rows:
        row["labels"] = {k: math.nan if v is None else v for k, v in row["labels"].items()}
    return rows


def stored_records(folder: Path, row: dict[str, Any]) -> Iterator[PackedRecord]:
    """A study's kept records, their checksums looked at."""
    study_id = row["study_id"]
    payloads = tfrecord.scan(folder / f"{study_id}.tfrecord")
    for (view, slice_index), (_, payload) in zip(row["records"], payloads, strict=True):
        yield PackedRecord(payload, study_id, row["patient_id"], view, slice_index)


def total(rows: Sequence[dict[str, Any]], key: str) -> Counter[str]:
    """Adds up the counts that every study keeps under a key."""
    out: Counter[str] = Counter()
    for row in rows:
        out.update(row[key])
    return out
