"""A process that reads what may be hostile, under limits, so that this one cannot be hurt.

General parsers and decoders of compressed pixels run there, see `guarded`. Its memory and its
processor time are limited; when it dies or does not answer, the file is left out and another
process takes its place. JSON and bytes pass between the two: nothing that it says is ever run.
"""

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.dicom.header import Header
from cmrjax.data.dicom.layout import Layout
from cmrjax.data.dicom.walk import Values
from cmrjax.data.reasons import Reason, Rejected

MEMORY_BYTES = 1 << 30  # on top of what the process takes to start
CPU_SECONDS, CPU_SECONDS_A_FRAME = 20, 1
_ARCHIVE_BYTES_A_SECOND = 1 << 20
_PATIENCE = 5  # on a busy machine it gets at least this share of a processor
_START_SECONDS = 120.0
_MOST_JSON = 256 << 20
_LENGTH = struct.Struct("<I")
_KINDS = frozenset(("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"))


class _Gone(Exception):  # noqa: N818
    """The process died, or does not answer, or answers nonsense."""


class _Process:
    """The guard's process and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "cmrjax.data.dicom.guarded",
                    str(number),
                    str(MEMORY_BYTES),
                ],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what parsers warn of quotes the file
                env=os.environ | dict.fromkeys(threads, "1"),
            )
        self._line = ours
        try:
            self._receive(time.monotonic() + _START_SECONDS)
        except _Gone:
            self.end()
            raise UserError(
                "the process that decodes does not start",
                fix=f"see why: {sys.executable} -m cmrjax.data.dicom.guarded",
            ) from None

    def ask(self, question: dict[str, Any], *, most: int) -> tuple[dict[str, Any], bytearray]:
        """Sends a question; returns the answer and the bytes that come with it, `most` at most."""
        deadline = time.monotonic() + question["seconds"] * _PATIENCE
        text = json.dumps(question).encode()
        try:
            self._line.settimeout(_START_SECONDS)
            self._line.sendall(_LENGTH.pack(len(text)) + text)
        except OSError:
            raise _Gone from None
        answer = self._receive(deadline)
        size = answer.get("bytes", 0)
        if not isinstance(size, int) or not 0 <= size <= most:
            raise _Gone
        return answer, self._bytes(size, deadline)

    def _receive(self, deadline: float) -> dict[str, Any]:
        (size,) = _LENGTH.unpack(self._bytes(_LENGTH.size, deadline))
        if size > _MOST_JSON:
            raise _Gone
        try:
            answer = json.loads(self._bytes(size, deadline))
        except ValueError:
            raise _Gone from None
        if not isinstance(answer, dict):
            raise _Gone
        return answer

    def _bytes(self, size: int, deadline: float) -> bytearray:
        out = bytearray(size)
        view, at = memoryview(out), 0
        try:
            while at < size:
                self._line.settimeout(max(0.01, deadline - time.monotonic()))
                got = self._line.recv_into(view[at:])
                if not got:
                    raise _Gone
                at += got
        except OSError:
            raise _Gone from None
        return out

    def end(self) -> Reason:
        """Stops the process; returns what it died of, if it had."""
        self._line.close()
        try:  # one that crashed is being cleared away; one that hangs will not end by itself
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return Reason.TOO_SLOW
        out_of_time = getattr(signal, "SIGXCPU", None)
        return (
            Reason.TOO_SLOW if self._process.returncode == -(out_of_time or 0) else Reason.CRASHED
        )


class _Guard:
    """Keeps one process, started when first needed and again after it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._owner = 0

    def ask(self, question: dict[str, Any], *, most: int = 0) -> tuple[dict[str, Any], bytearray]:
        """The answer of the process.

        Raises:
            Rejected: it left the file out, or died of it.
        """
        with self._lock:
            if self._owner != os.getpid():  # a fork has its parent's line, and must not use it
                self._process, self._owner = None, os.getpid()
            if self._process is None:
                self._process = _Process()
            try:
                answer, data = self._process.ask(question, most=most)
            except _Gone:
                reason = self._process.end()
                self._process = None
                raise Rejected(reason) from None
        if "reason" in answer:
            known = answer["reason"] in set(Reason)
            raise Rejected(Reason(answer["reason"]) if known else Reason.CRASHED)
        return answer, data

    def close(self) -> None:
        """Stops the process."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid():
                self._process.end()
            self._process = None


_GUARD = _Guard()
close = _GUARD.close
atexit.register(close)


def header(path: str, *, wanted: Collection[int], entered: Collection[int]) -> Header:
    """The wanted elements of a file that is out of the ordinary.

    Args:
        path: reference of the file, see `files`.
        wanted: tags to keep.
        entered: sequences to look into.

    Raises:
        Rejected: it cannot be read.
    """
    question: dict[str, Any] = {
        "task": "header",
        "path": path,
        "wanted": sorted(wanted),
        "entered": sorted(entered),
        "seconds": CPU_SECONDS,
    }
    answer, _ = _GUARD.ask(question)
    try:
        return Header(
            _values(answer["values"]),
            str(answer["syntax"]),
            int(answer["pixels"]),
            -1,
            int(answer["length"]),
            int(answer["size"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Rejected(Reason.CRASHED) from None


def _values(found: dict[str, Any]) -> Values:
    out: Values = {}
    for tag, value in found.items():
        many = isinstance(value, list)
        out[int(tag)] = [_values(item) for item in value] if many else value.encode("latin-1")
    return out


def frames(layout: Layout, wanted: Sequence[int]) -> np.ndarray:
    """Decodes some frames of a file.

    Returns:
        Integers, `[t, h, w]`, or `[t, h, w, c]` of a colour image.

    Raises:
        Rejected: they cannot be decoded, here or at all, or are not what the header says.
    """
    shape = layout.shape
    question = {
        "task": "frames",
        "path": layout.path,
        "frames": list(wanted),
        "shape": [shape.rows, shape.columns, shape.samples],
        "seconds": CPU_SECONDS + CPU_SECONDS_A_FRAME * len(wanted),
    }
    # A bit takes a byte when it is unpacked.
    size = len(wanted) * shape.rows * shape.columns * shape.samples
    answer, data = _GUARD.ask(question, most=size * max(1, shape.bits // 8))
    kind = answer.get("dtype")
    if kind not in _KINDS or len(data) != size * np.dtype(kind).itemsize:
        raise Rejected(Reason.BAD_PIXELS)
    pixels = np.frombuffer(data, kind).reshape(len(wanted), shape.rows, shape.columns, -1)
    return pixels[..., 0] if shape.samples == 1 else pixels


def members(path: str, *, scratch: str) -> tuple[list[str], dict[str, int]]:
    """The files in an archive.

    Args:
        path: the archive.
        scratch: folder where a compressed tar is unpacked; not there before.

    Returns:
        References of its files, sorted, and how many members were left out, by reason.

    Raises:
        Rejected: it is damaged, or too large.
    """
    seconds = CPU_SECONDS + os.path.getsize(path) // _ARCHIVE_BYTES_A_SECOND
    question = {"task": "members", "path": path, "scratch": scratch, "seconds": seconds}
    answer, _ = _GUARD.ask(question)
    try:
        rejected = {str(reason): int(n) for reason, n in answer["rejected"].items()}
        return [str(member) for member in answer["members"]], rejected
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Rejected(Reason.CRASHED) from None
