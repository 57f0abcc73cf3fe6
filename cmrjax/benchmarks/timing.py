"""Honest times: everything compiled first, then the rivals in turn, then medians."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax


def in_turn(functions: Sequence[Callable[[], Any]], *, seconds: float, least: int = 3) -> list:
    """Times functions against each other.

    They run one after the other, round after round, so that what else the machine does meets all
    of them alike.

    Args:
        functions: each returns arrays, which are waited for.
        seconds: stop after a round when this much time is used.
        least: rounds at least.

    Returns:
        Median seconds of each.
    """
    for function in functions:
        jax.block_until_ready(function())
    taken: list[list[float]] = [[] for _ in functions]
    start = time.perf_counter()
    while len(taken[0]) < least or time.perf_counter() - start < seconds:
        for function, times in zip(functions, taken, strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(function())
            times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in taken]
