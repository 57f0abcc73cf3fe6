"""Batches under Apache Beam (the extra `beam`): on this machine, or on a cluster that Beam knows.

Beam's job holds numbers alone: which bytes of a file are a batch. What the batches are (paths,
reports as they were written), what the workers answer and the studies' results lie in
`<output>.partial/`, which every worker must reach; the key of the ids stays in its file. So nothing
of a patient is in a job's graph, its options or its log, and a study is kept by the same code as
by the process pool.
"""

import contextlib
import io
import json
import os
import secrets
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from apache_beam.options.pipeline_options import (  # pyright: ignore[reportMissingImports]
    PipelineOptions,
)

from cmrjax.core.errors import (
    CmrjaxError,
    CorruptDataError,
    PreemptedError,
    UserError,
    without_text,
)
from cmrjax.core.memory import keep_freed_memory
from cmrjax.data import engine
from cmrjax.data.deid.ids import Hasher, keyed_hasher
from cmrjax.data.study import StudyTask

_NO_KEY = b""
_ERRORS = {e.__name__: e for e in (CmrjaxError, UserError, CorruptDataError, PreemptedError)}
_POLL_SECONDS = 0.2
_SETTLE_SECONDS = 30.0  # a network's file system may show a worker's last file that much later


def parse_options(text: str) -> PipelineOptions:
    """The options of a pipeline.

    Args:
        text: as on a command line; without `--runner` this process does the work.

    Raises:
        UserError: Beam refuses them.
    """
    # DirectRunner comes to the same, but asks the network for another runner's program first.
    default = ["--runner=FnApiRunner"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions([*default, *shlex.split(text)])
            options.get_all_options()  # parses what is parsed at its first use otherwise
            beam.Pipeline(options=options)
    except SystemExit:
        last = said.getvalue().strip().rpartition("error: ")[2]
        raise UserError(last, where="--beam-options") from None
    except (ValueError, ImportError) as error:
        raise UserError(str(error), where="--beam-options") from None
    return options


@contextlib.contextmanager
def open_runner(
    options: PipelineOptions, folder: Path, key_file: Path | None
) -> Iterator["BeamRunner"]:
    """A `BeamRunner` that has ended, and left nothing, when the block is left in any way."""
    runner = BeamRunner(options, folder, key_file)
    with engine.one_thread_each():
        try:
            yield runner
        finally:
            runner.close()


class BeamRunner(engine.BatchRunner):
    """Works on batches in pipelines, one at a time.

    Args:
        options: of every pipeline.
        folder: where batches and answers are exchanged; all workers reach it under this path.
        key_file: the file of the ids' key, which all workers reach, where there is one.
    """

    def __init__(self, options: PipelineOptions, folder: Path, key_file: Path | None):
        self._options, self._folder, self._key_file = options, folder, key_file
        self._job: _Job | None = None

    def map_batches(
        self, function: Callable[[Sequence[Any]], Any], items: Sequence[Any], *, size: int
    ) -> Iterator[Any]:
        """Applies a function to batches of items; results come as their files are seen.

        Raises:
            CmrjaxError: what the function raised on a worker.
            PreemptedError: the pipeline ended without all results.
        """
        if isinstance(function, engine.StudyBatch) and self._key_file is not None:
            function = _KeylessBatch(function, self._key_file)
        self.close()
        # A job's own: what is left of a killed run's job looks for its folder, and stops.
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir(mode=0o700, parents=True)
        places = _write_batches(folder / "batches", items, size)
        self._job = _Job(self._options, _Work(function, folder), places)
        yield from _results(folder, len(places), self._job)
        self.close()

    def close(self) -> None:
        """Ends what is under way, and removes what was exchanged."""
        if self._job is not None:
            self._job.stop()
            self._job = None
        shutil.rmtree(self._folder, ignore_errors=True)


class _KeylessBatch:
    """A batch of studies without the secret: each worker reads the key where it lies."""

    def __init__(self, batch: engine.StudyBatch, key_file: Path):
        self._namespace, self._key_file = batch.settings.hasher.namespace, key_file
        keyless = replace(batch.settings, hasher=Hasher(_NO_KEY, self._namespace))
        self._batch = engine.StudyBatch(batch.process, keyless, batch.folder)

    def __call__(self, tasks: Sequence[StudyTask]) -> tuple[int, int]:
        hasher = keyed_hasher(self._key_file)
        if hasher.namespace != self._namespace:
            raise UserError("another key lies there on a worker", where=str(self._key_file))
        settings = replace(self._batch.settings, hasher=hasher)
        return engine.StudyBatch(self._batch.process, settings, self._batch.folder)(tasks)


class _Work(beam.DoFn):
    """Reads a batch, works on it, and writes what came of it, be it an error.

    What the work raised would be in the cluster's log with its text otherwise, and be tried again.
    """

    def __init__(self, function: Callable[[Sequence[Any]], Any], folder: Path):
        self._function, self.folder = function, folder

    def setup(self) -> None:
        """Beam's name for what a worker does once, before its first element."""
        keep_freed_memory()

    def process(self, place: tuple[int, int, int]) -> None:
        """Beam's name for what is done with an element.

        Args:
            place: the number of a batch, where it begins in the file, and its bytes.
        """
        number, start, length = place
        if not self.folder.is_dir() or (self.folder / "stop").exists():
            return
        try:
            with open(self.folder / "batches", "rb") as file:
                file.seek(start)
                rows = json.loads(file.read(length))
            answer = {"result": self._function([_from_row(row) for row in rows])}
        except Exception as error:
            answer = {"error": _told(error)}
        part = self.folder / f"{number}.{secrets.token_hex(4)}.part"
        part.write_text(json.dumps(answer))
        os.replace(part, self.folder / f"{number}.json")


class _Job:
    """A pipeline under way, in a thread: some runners come back when it has ended, some at once."""

    def __init__(self, options: PipelineOptions, work: _Work, places: Sequence[tuple]):
        self.error: Exception | None = None
        self._stop = work.folder / "stop"
        self._result: Any = None
        self._thread = threading.Thread(target=self._run, args=(options, work, places), daemon=True)
        self._thread.start()

    def _run(self, options: PipelineOptions, work: _Work, places: Sequence[tuple]) -> None:
        try:
            pipeline = beam.Pipeline(options=options)
            # Reshuffled, or one worker gets all that was made in one place.
            _ = pipeline | beam.Create(places) | beam.Reshuffle() | "work" >> beam.ParDo(work)
            self._result = pipeline.run()
            self._result.wait_until_finish()
        except Exception as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Takes what is left from the workers, waits for the end, and cancels if none comes."""
        self._stop.touch()
        self._thread.join(_SETTLE_SECONDS)
        if not self.ended and self._result is not None:
            with contextlib.suppress(Exception):  # not every runner can
                self._result.cancel()


def _write_batches(path: Path, items: Sequence[Any], size: int) -> list[tuple[int, int, int]]:
    """Writes a line a batch; returns number, beginning and bytes of each."""
    places, start = [], 0
    with open(path, "wb") as file:
        for number, i in enumerate(range(0, len(items), size)):
            rows = [_as_row(item) for item in items[i : i + size]]
            length = file.write(json.dumps(rows, default=float).encode() + b"\n")
            places.append((number, start, length))
            start += length
    return places


def _as_row(item: str | StudyTask) -> str | dict[str, Any]:
    return item if isinstance(item, str) else asdict(item)


def _from_row(row: Any) -> str | StudyTask:
    if isinstance(row, str):
        return row
    return StudyTask(**{**row, **{name: tuple(row[name]) for name in ("paths", "shared")}})


def _results(folder: Path, count: int, job: _Job) -> Iterator[Any]:
    """Every batch's result, once, as soon as its file is seen."""
    seen: set[str] = set()
    settled = None
    while len(seen) < count:
        ended = job.ended  # asked first: what it wrote before its end is seen then
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
        for name in names:
            answer = json.loads((folder / name).read_text())
            (folder / name).unlink()
            if name not in seen:  # a worker may be given a batch again
                seen.add(name)
                yield _result_of(answer)
        if names:
            continue
        if ended:
            settled = settled or time.monotonic() + _SETTLE_SECONDS
            if job.error or time.monotonic() > settled:
                raise _failed(job.error, count - len(seen))
        time.sleep(_POLL_SECONDS)


def _failed(error: Exception | None, missing: int) -> PreemptedError:
    """Beam's own error: what the work raises does not get here, so its text quotes no input."""
    if error is None:
        return PreemptedError(
            f"the Beam job ended, and {missing} batches have no result",
            fix="see that every worker reaches the folder of --output; the same command goes on",
        )
    last = str(error).strip().rpartition("\n")[2][:300]
    return PreemptedError(
        f"the Beam job failed ({type(error).__name__}: {last})", fix="the same command goes on"
    )


def _told(error: Exception) -> dict[str, Any]:
    """An error as JSON; of one that nobody foresaw only what names no patient."""
    if isinstance(error, OSError) and error.errno in engine.NO_ROOM:
        return {"errno": error.errno}
    known = error if isinstance(error, CmrjaxError) else without_text(error)
    kind = next(name for cls in type(known).__mro__ if (name := cls.__name__) in _ERRORS)
    return {"kind": kind, "what": known.what, "where": known.where, "fix": known.fix}


def _result_of(answer: dict[str, Any]) -> Any:
    """What the function returned on a worker; raises what it raised."""
    if "result" in answer:
        return answer["result"]
    told = answer["error"]
    if "errno" in told:
        raise OSError(told["errno"], os.strerror(told["errno"]))
    raise _ERRORS[told["kind"]](told["what"], where=told["where"], fix=told["fix"])
