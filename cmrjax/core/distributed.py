"""Processes of one job: start-up, signals, and where compiled programs are kept."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np


def use_compilation_cache() -> None:
    """Keeps compiled programs between jobs, in a folder that only this user can write."""
    cache = Path.home() / ".cache" / "cmrjax" / "xla"
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        cache.chmod(0o700)
    except OSError:
        return  # a read-only home: compile again, nothing else changes
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def barrier(name: str) -> None:
    """Waits until every process is here; all have to come by, in one order."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def any_process(answer: bool) -> bool:
    """Whether one process at least says yes; all have to ask, and wait for each other."""
    if jax.process_count() == 1:
        return answer
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.int32(answer)).any())


class StopRequest:
    """Whether somebody asked this job to stop at the next safe point."""

    def __init__(self):
        self.asked = False

    def __call__(self, number, frame):
        """The signal handler; a second signal ends the job at once."""
        del frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        del number


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turns SIGTERM and SIGINT into a request that the loop looks at between steps."""
    request = StopRequest()
    previous = {s: signal.signal(s, request) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
