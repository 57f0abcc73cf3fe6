"""StableHLO through `jax.export`: a tower as a program that any version of JAX to come can run."""

from collections.abc import Callable
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
    return bytes(export.export(jax.jit(tower.function), platforms=PLATFORMS)(shape).serialize())


def load_stablehlo(content: bytes) -> Callable[[np.ndarray], Any]:
    """The function of a serialised program."""
    return export.deserialize(bytearray(content)).call
