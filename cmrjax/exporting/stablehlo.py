"""StableHLO through `jax.export`: a tower as a program that any version of JAX to come can run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import export

from cmrjax.exporting.towers import Tower

# A program is checked for each platform when it is written, and runs on these alone.
PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(tower: Tower) -> bytes:
    """The serialised program, its batch size left open as `b`."""
    (b,) = export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((b, *tower.shape), tower.dtype)
    with _without_source_paths():
        return bytes(export.export(jax.jit(tower.function), platforms=PLATFORMS)(shape).serialize())


@contextlib.contextmanager
def _without_source_paths() -> Iterator[None]:
    """Programs note the lines that they were traced from, and with them this machine's folders."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def load_stablehlo(content: bytes) -> Callable[[np.ndarray], Any]:
    """The function of a serialised program."""
    return export.deserialize(bytearray(content)).call
