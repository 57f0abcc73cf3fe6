"""How one parameter of ours is made from the tensors of a file.

A layout (`bert.py`, `vit.py`, ...) is a module with

    FREE                                    # fields of the config that the source leaves open
    matches(weights) -> bool                # is this file of this layout?
    config_from(weights, options) -> our config, as the source says it is
    entries(weights, config, options) -> list[Entry]

and knows nothing else: `load` checks keys and shapes, fills the arrays and writes the load report.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One parameter of ours, or one layer of a stacked one.

    Args:
        path: where it is in the nested dict of parameters.
        keys: the source's tensors that make it; none where the source computes it or has none.
        convert: from those tensors, float32 and in the order of `keys`, to our array (without the
            layer axis where `layer` is given).
        shapes: the shape that each of `keys` must have; without them only what `convert` returns is
            checked against our shape.
        layer: the row of a stacked parameter that this fills; None fills the whole.
        note: what is done beyond reordering, for the load report.
        resampled: the values are interpolated to another grid.
    """

    path: Path
    keys: tuple[str, ...]
    convert: Callable[..., np.ndarray]
    shapes: tuple[tuple[int, ...], ...] = ()
    layer: int | None = None
    note: str = ""
    resampled: bool = False


def same(path: Path, key: str, shape: tuple[int, ...], *, layer: int | None = None) -> Entry:
    """A tensor as it is."""
    return Entry(path=path, keys=(key,), convert=_identity, shapes=(shape,), layer=layer)


def linear(
    path: Path, key: str, features_in: int, features_out: int, *, layer: int | None = None
) -> list[Entry]:
    """A torch linear layer, `key.weight [out, in]` and `key.bias`, to our kernel and bias."""
    kernel = Entry(
        path=(*path, "kernel"),
        keys=(f"{key}.weight",),
        convert=np.transpose,
        shapes=((features_out, features_in),),
        layer=layer,
    )
    return [kernel, same((*path, "bias"), f"{key}.bias", (features_out,), layer=layer)]


def norm(
    path: Path,
    key: str,
    width: int,
    *,
    layer: int | None = None,
    names: tuple[str, str] = ("weight", "bias"),
) -> list[Entry]:
    """A torch layer norm: `key.weight` and `key.bias`, or other `names`, to our scale and bias."""
    return [
        same((*path, ours), f"{key}.{theirs}", (width,), layer=layer)
        for ours, theirs in zip(("scale", "bias"), names, strict=True)
    ]


def qkv(
    path: Path,
    keys: tuple[str, str, str],
    width: int,
    *,
    layer: int | None = None,
    bias: bool | None = True,
) -> list[Entry]:
    """Three torch linear layers, the query's, key's and value's, to our one.

    Args:
        path: of our layer.
        keys: of the three layers.
        width: of the tokens.
        layer: row of the stacked parameter.
        bias: whether the source has biases; zeros stand for them otherwise, which is the same.
            None leaves the bias to the caller.
    """
    kernel = Entry(
        path=(*path, "kernel"),
        keys=tuple(f"{key}.weight" for key in keys),
        convert=lambda q, k, v: np.concatenate([q, k, v]).T,
        shapes=((width, width),) * 3,
        layer=layer,
    )
    if bias is None:
        return [kernel]
    if not bias:
        return [kernel, zeros((*path, "bias"), (3 * width,), "no bias in the source", layer=layer)]
    one = Entry(
        path=(*path, "bias"),
        keys=tuple(f"{key}.bias" for key in keys),
        convert=lambda q, k, v: np.concatenate([q, k, v]),
        shapes=((width,),) * 3,
        layer=layer,
    )
    return [kernel, one]


def zeros(path: Path, shape: tuple[int, ...], why: str, *, layer: int | None = None) -> Entry:
    """A parameter that the source has not and that changes nothing at zero."""
    return Entry(
        path=path,
        keys=(),
        convert=lambda: np.zeros(shape, np.float32),
        layer=layer,
        note=f"zeros: {why}",
    )


def _identity(x: np.ndarray) -> np.ndarray:
    return x
