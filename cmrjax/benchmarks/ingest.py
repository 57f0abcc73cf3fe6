"""Reading DICOM and preparing it, beside pydicom and SciPy; two workers beside one; memory.

What is compared runs in turn, in processes that have imported everything: starts are in no time.
Each row says how busy the machine was when it began.
"""

import contextlib
import io
import itertools
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from cmrjax import prepare
from cmrjax.benchmarks import plain_ingest, studies
from cmrjax.benchmarks.row import Row
from cmrjax.benchmarks.timing import in_turn
from cmrjax.core.errors import UserError
from cmrjax.core.memory import keep_freed_memory
from cmrjax.data import engine
from cmrjax.data.deid.ids import public_hasher
from cmrjax.data.dicom import read_stored
from cmrjax.data.series import cines_of
from cmrjax.data.sources import dicom_export
from cmrjax.data.sources.dicom_cines import read_headers
from cmrjax.data.study import Settings, StudyTask
from cmrjax.preparing.fit import contract_of
from cmrjax.preparing.flags import build_parser

SECONDS = 2.0  # of timing a row
STUDIES, MATRIX = 40, 160
LONG_STUDY, LONG_MATRIX = 3000, 208
_ROUNDS, _COUNTS = 7, 5_000_000
# Both make the same of a cine, whatever the defaults of `prepare` become.
_FLAGS = ("--source=dicom", "--public", "--spacing=2", "--size=64", "--frames=16")


def run(only: tuple[str, ...] = (), *, data: Path | None = None) -> Iterator[Row]:
    """Every row, or those whose names hold one of some words.

    Args:
        only: words; all rows without any.
        data: folder of Sunnybrook's images, or of archives of them; without it, phantoms.
    """
    keep_freed_memory()  # as `prepare` does; both rivals have it
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        one = studies.write_one(base / "one", matrix=MATRIX)
        real = _unpacked(data, base / "data") if data else None
        rows: list[tuple[str, Callable[[], Row]]] = [
            ("reading, phantom", partial(reading_row, studies=[one])),
            ("prepare", partial(prepare_row, folder=real or base / "one", scratch=base / "made")),
            ("2 workers", partial(workers_row, files=one, scratch=base / "many")),
            ("memory", partial(memory_row, scratch=base / "long")),
        ]
        if real:
            rows.insert(1, ("reading, Sunnybrook", partial(reading_row, studies=_studies(real))))
            rows[2] = ("prepare, Sunnybrook", rows[2][1])
        for name, row in rows:
            if not only or any(word in name for word in only):
                yield _measured(name, row)


def _measured(name: str, row: Callable[[], Row]) -> Row:
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"bench: {name} ({load})", file=sys.stderr, flush=True)
    found = row()
    return Row(**{**vars(found), "name": name, "note": f"{found.note}; {load}"})


def _unpacked(data: Path, folder: Path) -> Path:
    """The images themselves: archives below a folder unpacked, so that both read plain files."""
    archives = sorted(data.rglob("*.tar.xz"))
    if not archives:
        return data
    for path in archives:
        with tarfile.open(path) as archive:
            archive.extractall(folder / path.name.split(".")[0], filter="data")
    return folder


def _timed(ours: Callable[[], object], plain: Callable[[], object], **how: Any) -> dict[str, Any]:
    """Fields of a row: medians of both, by the clock and of the busiest process' own work.

    Where others share the machine, the clock also counts the waiting for them; the work does not.
    """
    worked: dict[Callable, list[float]] = {ours: [], plain: []}

    def counted(function: Callable[[], object]) -> None:
        before = _work()
        function()
        now = _work()
        worked[function].append(max(now[pid] - before.get(pid, 0.0) for pid in now))

    times = in_turn([partial(counted, f) for f in worked], seconds=SECONDS, **how)
    # The first call of each warms up.
    cpu = [statistics.median(values[1:]) for values in worked.values()]
    extra = {"ours_cpu_s": cpu[0], "reference_cpu_s": cpu[1], "cpu_speedup": cpu[1] / cpu[0]}
    return {"ours_s": times[0], "reference_s": times[1], "extra": extra}


def _work() -> dict[int, float]:
    """Seconds of CPU that this process and its workers have used, by process."""
    ticks = os.sysconf("SC_CLK_TCK")
    out = {0: time.process_time()}
    for worker in active_children():
        # The name of the program, in brackets, may hold spaces.
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        out[worker.pid or 0] = (int(fields[11]) + int(fields[12])) / ticks
    return out


def _studies(folder: Path) -> list[list[Path]]:
    """The files of each study below a folder."""
    found, _ = dicom_export.find_studies(folder, None, scratch=folder / "unpacked", workers=1)
    return [[*map(Path, paths)] for _, paths in found.values()]


def reading_row(studies: Sequence[Sequence[Path]]) -> Row:
    """Headers, groups and pixels of single-frame files, a study at a time.

    Args:
        studies: the files of each.
    """

    def ours() -> list:
        found = []
        for paths in studies:
            images, _ = read_headers(map(str, paths))
            found += [read_stored(cine.images) for cine in cines_of(images)[0]]
        return found

    def plain() -> list:
        return [pixels for paths in studies for pixels, _ in plain_ingest.read_cines(paths)]

    cines = [c.tobytes() for c in ours()]
    if not {*cines} <= {c.tobytes() for c in plain()}:
        raise RuntimeError("the two readers disagree about the pixels")
    return Row(
        name="",
        reference="pydicom's dcmread and pixel_array, grouped",
        note=f"{sum(map(len, studies))} files, {len(cines)} cines, the same pixels",
        **_timed(ours, plain),
    )


def prepare_row(folder: Path, scratch: Path) -> Row:
    """`cmrjax prepare` with one worker, from files to a dataset."""
    names = (scratch / str(i) for i in itertools.count())
    scratch.mkdir()
    cines = []

    def ours() -> None:
        words = [*_FLAGS, "--input", str(folder), "--output", str(next(names)), "--workers", "1"]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            prepare.main(words)

    def plain() -> None:
        cines.append(plain_ingest.prepare(folder, next(names), spacing_mm=2.0, size=64, frames=16))

    times = _timed(ours, plain)
    return Row(
        name="",
        reference="pydicom and SciPy, one process",
        note=f"{sum(p.is_file() for p in folder.rglob('*'))} files, {cines[0]} cines; one worker",
        **times,
    )


def _settings() -> Settings:
    words = [*_FLAGS, "--input", "-", "--output", "-"]
    hasher = public_hasher("dicom")
    contract = contract_of(build_parser().parse_args(words), id_namespace=hasher.namespace)
    return Settings(contract, (), hasher)


def workers_row(files: list[Path], scratch: Path, *, count: int = STUDIES) -> Row:
    """The same studies found and prepared by a pool of two, and in this process.

    What two processes of this machine can do at best is measured beside it: two cores of a virtual
    machine are often less than two.
    """
    studies.write_many(scratch / "scans", files, count)
    names = (scratch / str(i) for i in itertools.count())
    settings = _settings()

    def work(executor: Executor | None, workers: int) -> None:
        made = next(names)
        with contextlib.redirect_stderr(io.StringIO()):
            found, _ = dicom_export.find_studies(
                scratch / "scans", executor, scratch=made / "unpacked", workers=workers
            )
            tasks = [StudyTask(uid, paths, "", {}) for uid, (_, paths) in found.items()]
            engine.run_studies(
                executor,
                tasks,
                dicom_export.process,
                settings,
                folder=made / "studies",
                workers=workers,
            )

    with engine.pool(2) as executor:
        assert executor is not None
        times = _timed(lambda: work(executor, 2), lambda: work(None, 1), least=_ROUNDS)
        both, one = in_turn(
            [lambda: list(executor.map(_count, [_COUNTS] * 2)), lambda: _count(_COUNTS)],
            seconds=SECONDS,
            least=_ROUNDS,
        )
    times["extra"]["two_loops_at_best"] = 2 * one / both
    return Row(
        name="",
        reference="1 worker",
        note=f"{count} studies of {len(files)} files",
        **times,
    )


def _count(n: int) -> int:
    """A loop that needs a core and no memory."""
    return sum(i & 1 for i in range(n))


def memory_row(scratch: Path, *, count: int = LONG_STUDY, matrix: int = LONG_MATRIX) -> Row:
    """The most that a process of its own held while it prepared one long study."""
    one = studies.write_one(scratch / "one", matrix=matrix)
    paths = studies.write_long(scratch / "long", one, count)
    peaks = [
        _alone(_peak_of_worker, [str(path) for path in paths]),
        _alone(_peak_of_plain, str(scratch)),
    ]
    return Row(
        name="",
        reference="pydicom and SciPy",
        ours_mb=peaks[0],
        reference_mb=peaks[1],
        note=f"one study of {count} files, images of {matrix} x {matrix}; imports included",
    )


def _alone(function: Callable, argument: object) -> float:
    start = {"mp_context": get_context("spawn"), "initializer": keep_freed_memory}
    with ProcessPoolExecutor(1, **start) as process:
        return process.submit(function, argument).result()


def _peak_of_worker(paths: Sequence[str]) -> float:
    task = StudyTask("1.2.3", tuple(paths), "", {})
    result = dicom_export.process(task, _settings())
    if not result.records:
        raise RuntimeError(f"nothing was prepared: {json.dumps(dict(result.rejected))}")
    return _peak_mb()


def _peak_of_plain(scratch: str) -> float:
    folder = Path(scratch)
    plain_ingest.prepare(folder / "long", folder / "plain", spacing_mm=2.0, size=64, frames=16)
    return _peak_mb()


def _peak_mb() -> float:
    """Peak memory of this process; what getrusage says also counts its parent's before exec."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        raise UserError("peak memory is read from /proc", fix="run this row on Linux") from None
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6
