"""Time by part, and a progress line with rate and time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class Stopwatch:
    """Adds up wall-clock seconds by named part.

    Example:
        >>> watch = Stopwatch()
        >>> with watch.part("read"):
        ...     pass
        >>> list(watch.seconds)
        ['read']
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time spent inside the `with` block towards `name`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


def progress(*, total: int, initial: int = 0, unit: str, description: str) -> tqdm:
    """A progress bar on stderr; on a file or a log it prints one line every 15 seconds."""
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=description,
        file=sys.stderr,
        mininterval=0.5 if interactive else 15.0,
        dynamic_ncols=interactive,
        ascii=not interactive,
    )
