"""ONNX through jax2onnx (the extra `onnx`): a tower for ONNX Runtime and what else reads ONNX."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.exporting.towers import Tower

OPSET = 23


def require_onnx() -> None:
    """Stops unless the extra is installed.

    Raises:
        UserError: names the command that installs it.
    """
    try:
        with _quiet():
            import jax2onnx  # noqa: F401
            import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs {error.name}, which is not installed",
            where="--format onnx",
            fix="run pip install 'cmrjax[onnx]'",
        ) from None


def to_onnx(tower: Tower) -> bytes:
    """The serialised graph, its batch size left open as `b`.

    Raises:
        Exception: whatever the library says of an operation that it cannot convert.
    """
    import jax2onnx

    with _quiet():
        graph = jax2onnx.to_onnx(
            tower.function,
            inputs=[jax.ShapeDtypeStruct(("b", *tower.shape), tower.dtype)],
            model_name=f"cmrjax_{tower.name}",
            opset=OPSET,
            input_names=[tower.input],
            output_names=list(tower.outputs),
        )
    # What the converter notes of shapes inside the graph may be of another batch size (MViT's
    # windows), and ONNX Runtime believes it; without, it finds them itself.
    del graph.graph.value_info[:]
    return graph.SerializeToString()


def load_onnx(content: bytes) -> Callable[[np.ndarray], Sequence[Any]]:
    """The function of a graph, in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it raises what it has to say
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda array: session.run(None, {given.name: array})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's warnings of parts that we do not use; the check decides."""
    loggers = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
