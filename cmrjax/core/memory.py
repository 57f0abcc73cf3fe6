"""What a process does with memory that it no longer needs."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
KEPT_BYTES = 256 << 20  # as much as the pixels of one study may take
_LARGEST_BYTES = 32 << 20  # the largest threshold that every glibc takes


def keep_freed_memory() -> None:
    """Makes this process keep some of what it frees, to use it again.

    By default glibc hands every larger array back to the system as it is freed, and the next one is
    taken page by page, each zeroed first: for the arrays of a cine that costs more than to fill
    them, and processes that do it at once wait for each other. Where there is another C library,
    nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
