"""Signals that ask a job to stop, as an exception that unwinds it, so that temporary folders go."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cmrjax.core.errors import PreemptedError


class Stop:
    """The handler of a signal: unwinds at once.

    Libraries may swallow the exception or turn it into another one, so it is remembered too.
    """

    def __init__(self):
        self.asked = False

    def __call__(self, number, frame):
        """Handles a signal."""
        del number, frame
        self.asked = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Stops here if a signal was swallowed on the way."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def interruptible(
    kept: str, signals: Sequence[int] = (signal.SIGTERM, signal.SIGINT)
) -> Iterator[Stop]:
    """Ends the block on a signal with exit code 75; outside the main thread none arrives.

    Args:
        kept: what is not lost, to be said.
        signals: those that end it.

    Raises:
        PreemptedError: one of them came.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, stop) for number in signals}
    try:
        yield stop
    except BaseException:
        if not stop.asked:
            raise
        raise PreemptedError(
            "stopped by a signal", fix=f"the same command goes on; {kept} are kept"
        ) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
