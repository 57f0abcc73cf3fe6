"""What the guard's process does: answers questions about files until its line is closed.

Started by `guard`, under limits that it sets itself before it opens any file.
"""

import json
import logging
import math
import os
import resource
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from cmrjax.data import archives
from cmrjax.data.dicom import general
from cmrjax.data.reasons import Reason, Rejected

_LENGTH = struct.Struct("<I")
_Answer = tuple[dict[str, Any], list[np.ndarray]]


def _limit_memory(most: int) -> None:
    """Lets the process take some memory more than it has; Linux alone keeps to it."""
    with suppress(OSError, ValueError):
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + most, now + most))


def _limit_time(seconds: float) -> None:
    """Gives the next question its processor time; past it the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime + seconds)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def _header(question: dict[str, Any]) -> _Answer:
    return general.header(question["path"], question["wanted"], question["entered"]), []


def _frames(question: dict[str, Any]) -> _Answer:
    return general.frames(question["path"], question["frames"], question["shape"])


def _members(question: dict[str, Any]) -> _Answer:
    found = archives.members(question["path"], question["scratch"])
    return {"members": found.members, "rejected": found.rejected}, []


_TASKS: dict[str, Callable[[dict[str, Any]], _Answer]] = {
    "header": _header,
    "frames": _frames,
    "members": _members,
}


def answer(question: dict[str, Any]) -> _Answer:
    """The answer to one question, and the bytes that follow it."""
    try:
        return _TASKS[question["task"]](question)
    except Rejected as rejected:
        return {"reason": rejected.reason}, []
    except MemoryError:
        return {"reason": Reason.TOO_LARGE}, []
    except BaseException:  # parsers raise whatever they like; a decoder's panic is no Exception
        decoding = question["task"] == "frames"
        return {"reason": Reason.UNDECODABLE if decoding else Reason.UNREADABLE}, []


def serve(line: socket.socket) -> None:
    """Answers questions until the other side closes the line."""
    _send(line, {"ready": True})
    source = line.makefile("rb")
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        question = json.loads(source.read(*_LENGTH.unpack(head)))
        _limit_time(question["seconds"])
        text, data = answer(question)
        _send(line, text)
        for part in data:
            line.sendall(part.data.cast("B"))


def _send(line: socket.socket, text: dict[str, Any]) -> None:
    packed = json.dumps(text).encode()
    line.sendall(_LENGTH.pack(len(packed)) + packed)


def main(line: int, memory: int) -> None:
    """Sets the limits and serves.

    Args:
        line: number of the socket's descriptor.
        memory: bytes that it may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold a patient's pixels
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    general.warm_up()
    _limit_memory(memory)
    with socket.socket(fileno=line) as connection, suppress(BrokenPipeError, ConnectionError):
        serve(connection)
    os._exit(0)  # a damaged heap must not matter any more


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
