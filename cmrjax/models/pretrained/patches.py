"""From a network's patch embedding of colour images to ours of grey clips, exactly."""

from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.entries import Entry
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.options import ImportOptions

_COLOURS = {"red": 0, "green": 1, "blue": 2}


def patch_entries(
    weights: Weights,
    options: ImportOptions,
    *,
    key: str,
    tubelet: tuple[int, int, int],
    width: int,
    channels: int,
    frames: int = 0,
) -> list[Entry]:
    """Entries of `embed`, the source's normalisation and our map of 0..1 to -1..1 folded in.

    Args:
        weights: the source.
        options: `inflate`, `channels`, `mean` and `std`.
        key: of the source's convolution.
        tubelet: frames, rows and columns of our token.
        width: of the tokens.
        channels: of the source.
        frames: of the source's kernel; 0 for one of images.
    """
    if not frames and tubelet[0] > 1 and not options.inflate:
        raise UserError(
            f"an image network's patches cannot tell {tubelet[0]} frames apart",
            where=weights.where,
            fix="choose inflate: central or average",
        )
    if channels > 1 and not options.channels:
        raise UserError(
            f"the source sees {channels} channels, a cine has one",
            where=weights.where,
            fix="choose channels: sum (what the source says of a grey image), mean, red, green, "
            "blue",
        )
    mean, std, origin = normalisation(weights, options, channels)
    share = channel_shares(options.channels, channels)

    def convert(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kernel = np.moveaxis(kernel, 0, -1)  # [c, (t,) h, w, d]
        if not frames:
            kernel = inflate_kernel(kernel, tubelet[0], options.inflate)
        return fold(kernel, bias, mean=mean, std=std, shares=share)

    shape = (width, channels, *((frames,) if frames else ()), *tubelet[1:])
    inflated = f"{options.inflate} inflation, " if not frames and tubelet[0] > 1 else ""
    mixed = f"channels: {options.channels}, " if channels > 1 else ""
    note = f"{inflated}{mixed}mean {_numbers(mean)} and std {_numbers(std)} of {origin} folded in"
    keys, shapes = (f"{key}.weight", f"{key}.bias"), (shape, (width,))
    return [
        Entry(
            path=("embed", "kernel"),
            keys=keys,
            shapes=shapes,
            convert=lambda k, b: convert(k, b)[0].reshape(-1, width),
            note=note,
        ),
        Entry(
            path=("embed", "bias"),
            keys=keys,
            shapes=shapes,
            convert=lambda k, b: convert(k, b)[1],
            note=note,
        ),
    ]


def inflate_kernel(kernel: np.ndarray, frames: int, how: str) -> np.ndarray:
    """Gives a kernel of images frames.

    Args:
        kernel: `[c, h, w, d]`.
        frames: how many.
        how: 'central' (the middle frame alone; the later of two) or 'average'.

    Returns:
        `[c, frames, h, w, d]`; what it says of a clip that does not move is what the image's kernel
        says of its frame.
    """
    if how == "central":
        weights = np.zeros(frames, kernel.dtype)
        weights[frames // 2] = 1
    else:
        weights = np.full(frames, 1 / frames, kernel.dtype)
    return kernel[:, None] * weights[None, :, None, None, None]


def channel_shares(how: str, channels: int) -> np.ndarray:
    """What each channel's kernel counts, `[c]`."""
    if how == "mean":
        return np.full(channels, 1 / channels)
    if how in _COLOURS:
        if channels <= _COLOURS[how]:
            raise UserError(f"no {how} among {channels} channels", where="channels")
        return np.eye(channels)[_COLOURS[how]]
    return np.ones(channels)


def fold(
    kernel: np.ndarray, bias: np.ndarray, *, mean: np.ndarray, std: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One grey channel in -1..1 for channels in 0..1 that the source normalised.

    With u = 2 x - 1, a channel's input (x - mean) / std is u / (2 std) + (1/2 - mean) / std.

    Args:
        kernel: `[c, t, h, w, d]`.
        bias: `[d]`.
        mean: `[c]`, of values 0..1.
        std: `[c]`.
        shares: `[c]`, see `channel_shares`.

    Returns:
        The kernel `[t, h, w, d]` and the bias `[d]`.
    """
    scale = shares / (2 * std)
    shift = shares * (0.5 - mean) / std
    kernel = kernel.astype(np.float64)
    folded = np.tensordot(scale, kernel, axes=(0, 0))
    moved = bias + np.tensordot(shift, kernel.sum(axis=(1, 2, 3)), axes=(0, 0))
    return folded.astype(np.float32), moved.astype(np.float32)


def normalisation(
    weights: Weights, options: ImportOptions, channels: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """The source's mean and std over values 0..1, `[c]` each, and who says so.

    Raises:
        UserError: nobody says it, or not for this many channels.
    """
    if options.mean:
        mean, std, origin = options.mean, options.std, "the options"
    else:
        mean, std, origin = _own_normalisation(weights)
    if len(mean) == 1:
        mean, std = tuple(mean) * channels, tuple(std) * channels
    if len(mean) != channels or len(std) != channels:
        raise UserError(
            f"mean {mean} and std {std} for {channels} channels", where=f"{weights.where}: {origin}"
        )
    return np.array(mean, np.float64), np.array(std, np.float64), origin


def _own_normalisation(weights: Weights) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    fix = "give mean and std, over values 0..1, as the source was trained"
    own = weights.preprocessor
    if own is not None and "image_mean" in own:
        if own.get("do_normalize", True) is False:
            return (0.0,), (1.0,), "preprocessor_config.json (none)"
        factor = _floats([own.get("rescale_factor", 1 / 255)])
        scaled = own.get("do_rescale", True) is True and factor
        if not scaled or abs(factor[0] * 255 - 1) > 1e-6:
            raise UserError("its values are not scaled to 0..1", where=weights.where, fix=fix)
        mean, std, origin = own["image_mean"], own.get("image_std"), "preprocessor_config.json"
    else:
        timm = (weights.config or {}).get("pretrained_cfg")
        timm = timm if isinstance(timm, dict) else {}
        mean, std, origin = timm.get("mean"), timm.get("std"), "config.json"
    if mean is None or std is None:
        raise UserError("nothing says how its input was normalised", where=weights.where, fix=fix)
    means, stds = _floats(mean), _floats(std)
    if not means or not stds or min(stds) <= 0:
        raise UserError(f"mean {mean}, std {std}", where=f"{weights.where}: {origin}", fix=fix)
    return means, stds, origin


def _floats(values: Any) -> tuple[float, ...]:
    """The numbers of a list; none if it is no such list."""
    numbers = values if isinstance(values, list | tuple) else []
    plain = [v for v in numbers if isinstance(v, int | float) and np.isfinite(v)]
    return tuple(map(float, plain)) if len(plain) == len(numbers) else ()


def _numbers(values: np.ndarray) -> str:
    return "/".join(f"{value:.3g}" for value in values)
