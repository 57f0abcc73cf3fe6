"""Files that are either whole or absent, and the metrics of a run."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json_atomic(path: Path, value: Any) -> None:
    """Writes `value` as JSON with `write_bytes_atomic`; NaN becomes null, as JSON has none."""
    text = json.dumps(_without_nan(value), indent=1, sort_keys=False, allow_nan=False)
    write_bytes_atomic(path, (text + "\n").encode())


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` if the block ends well and is removed if it fails.

    Raises:
        UserError: there is something at `target` already, or no folder can be made there.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError("exists already", where=str(target), fix="give another --output")
    whole = target.resolve()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot be made: {error.strerror}", where=str(target)) from None
    try:
        yield temporary
        temporary.rename(whole)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class MetricWriter:
    """Appends metrics to `metrics.jsonl` and to TensorBoard event files.

    Args:
        workdir: where `metrics.jsonl` and `tensorboard/` go.
        resume_step: lines after this step are dropped, since the resumed run writes them again.
    """

    def __init__(self, workdir: Path, *, resume_step: int):
        from tensorboardX import SummaryWriter  # only what trains needs it

        workdir.mkdir(parents=True, exist_ok=True)
        self._path = workdir / "metrics.jsonl"
        kept = [row for row in read_metrics(workdir) if row["step"] <= resume_step]
        write_bytes_atomic(self._path, "".join(json.dumps(r) + "\n" for r in kept).encode())
        self._file = self._path.open("a", buffering=1)
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=resume_step + 1)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one line; the values are Python floats."""
        self._file.write(json.dumps(_without_nan({"step": step, **metrics})) + "\n")
        for name, value in metrics.items():
            if math.isfinite(value):  # tensorboardX warns of the others, without a name
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes both outputs."""
        self._file.close()
        self._board.close()


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`; a last line that was cut off by a kill is left out."""
    path = workdir / "metrics.jsonl"
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
