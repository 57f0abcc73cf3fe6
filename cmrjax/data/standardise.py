"""One cine onto the contract: resampled, cropped around the heart, windowed, to its frame count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from cmrjax.data.contract import DTYPES
from cmrjax.data.geometry import Plane
from cmrjax.data.masks import Drawn
from cmrjax.data.quantiles import quantiles

INTENSITY = "percentile:1-99.5"
_LOW, _HIGH = 1.0, 99.5


@dataclass(frozen=True)
class Standard:
    """A cine in the contract's form, and what undoes it.

    Args:
        cine: of the contract's dtype, `[t, s, s]`.
        mask: uint8 `[t, s, s]`, 0 in frames without one, or nothing.
        mask_classes: bits of the classes drawn in each frame `[t]`, 0 in frames without a mask.
        window: the intensities that became 0 and the dtype's largest number.
    """

    cine: np.ndarray
    mask: np.ndarray | None
    mask_classes: np.ndarray | None
    window: tuple[float, float]


@lru_cache(maxsize=64)
def resampler(n: int, size: int, step: float, start: float) -> tuple[slice, sparse.csr_array]:
    """The matrix that samples `n` pixels at `start + step * i`, with a tent as wide as the step.

    The tent is linear interpolation when `step <= 1` and averages over the step when it is more,
    so that shrinking does not alias. Points outside repeat the edge pixel.

    Returns:
        The `m` pixels that it looks at, and a sparse matrix `[size, m]`. Sparse products run in one
        thread, in one order: the bytes of a dataset must not depend on how many threads multiply.
    """
    width = max(step, 1.0)
    centre = start + step * np.arange(size)
    first = np.floor(centre - width).astype(int) + 1
    columns = first[:, None] + np.arange(int(np.ceil(2 * width)))[None, :]
    weight = np.maximum(0.0, 1.0 - np.abs(columns - centre[:, None]) / width)
    weight /= weight.sum(1, keepdims=True)
    rows = np.broadcast_to(np.arange(size)[:, None], columns.shape)
    clipped = np.clip(columns, 0, n - 1)
    seen = slice(int(clipped.min()), int(clipped.max()) + 1)
    entries = (weight.ravel().astype(np.float32), (rows.ravel(), clipped.ravel() - seen.start))
    return seen, sparse.csr_array(sparse.coo_array(entries, shape=(size, seen.stop - seen.start)))


def resample_plane(
    frames: np.ndarray, *, size: tuple[int, int], step: tuple[float, float], start: tuple
) -> np.ndarray:
    """Samples every frame at `start + step * i` rows and columns.

    Args:
        frames: float32 `[t, h, w]`.
        size: rows and columns of the result.
        step: original pixels between samples.
        start: original pixel of the first sample.

    Returns:
        float32 `[t, *size]`.
    """
    rows, down = resampler(frames.shape[1], size[0], step[0], round(float(start[0]), 4))
    columns, across = resampler(frames.shape[2], size[1], step[1], round(float(start[1]), 4))
    seen = frames[:, rows, columns]
    t, h, w = seen.shape
    # One product for all frames each way: rows first, then columns.
    tall = down @ seen.transpose(1, 0, 2).reshape(h, t * w)
    wide = across @ tall.reshape(size[0] * t, w).T
    return np.ascontiguousarray(wide.reshape(size[1], size[0], t).transpose(2, 1, 0))


def resample_cycle(frames: np.ndarray, count: int) -> np.ndarray:
    """Resamples frames over the cycle, which closes on itself: frame t follows into frame 0.

    Args:
        frames: `[t, ...]`.
        count: frames wanted.

    Returns:
        `[count, ...]`, the same array when it has that many already.
    """
    t = len(frames)
    if t == count:
        return frames
    at = np.arange(count) * t / count
    low = np.floor(at).astype(int)
    part = (at - low).astype(np.float32).reshape(-1, *(1,) * (frames.ndim - 1))
    return frames[low] * (1 - part) + frames[(low + 1) % t] * part


def standardise(
    frames: np.ndarray,
    *,
    spacing: np.ndarray,
    centre: np.ndarray,
    spacing_mm: float,
    size: int,
    count: int,
    dtype: str = DTYPES[0],
    drawn: Drawn | None = None,
) -> Standard:
    """Resamples, crops, windows.

    Args:
        frames: float32 `[t, h, w]`, as scanned.
        spacing: mm between rows and between columns.
        centre: (row, column) in original pixels that the crop is centred on.
        spacing_mm: the contract's spacing.
        size: the contract's rows and columns.
        count: the contract's frames.
        dtype: the contract's dtype.
        drawn: masks of some of the frames.
    """
    step = (spacing_mm / float(spacing[0]), spacing_mm / float(spacing[1]))
    half = (size - 1) / 2
    start = (float(centre[0]) - half * step[0], float(centre[1]) - half * step[1])
    crop = resample_plane(frames, size=(size, size), step=step, start=start)
    low, high = quantiles(crop, [_LOW / 100, _HIGH / 100])
    if not high > low:
        high = low + 1.0
    crop = resample_cycle(crop, count)
    top = int(np.iinfo(dtype).max)
    scaled = np.clip((crop - low) * (top / (high - low)), 0, top)
    small = classes = None
    if drawn is not None:
        places = mask_places(drawn.frames, len(frames), count)
        small, classes = np.zeros((count, size, size), np.uint8), np.zeros(count, np.uint8)
        small[places] = _resample_mask(drawn.masks, size, step, start)
        classes[places] = drawn.classes
    stored = np.rint(scaled).astype(dtype)
    return Standard(stored, small, classes, (low, high))


def to_patient(record: Mapping[str, Any], pixels: np.ndarray) -> np.ndarray:
    """Where pixels of a stored frame lie in the patient: what undoes resampling and crop.

    Args:
        record: a record.
        pixels: (row, column) of stored pixels, whole or not, `[..., 2]`.

    Returns:
        mm to the left, to the back and to the head, `[..., 3]`, as in the original images.
    """
    plane = Plane(record["origin_mm"], record["orientation"], record["original_spacing_mm"])
    offset = np.asarray(pixels) - (record["cine"].shape[-1] - 1) / 2
    step = record["spacing_mm"] / record["original_spacing_mm"]
    return plane.to_patient(record["crop_centre"] + offset * step)


def _resample_mask(
    mask: np.ndarray, size: int, step: tuple[float, float], start: tuple
) -> np.ndarray:
    """Each class resampled as an image, the largest share wins: none appears between two others."""
    shape = {"size": (size, size), "step": step, "start": start}
    classes = [
        resample_plane((mask == c).astype(np.float32), **shape) for c in range(int(mask.max()) + 1)
    ]
    return np.argmax(classes, axis=0).astype(np.uint8)


def mask_places(masked: Sequence[int], frames: int, count: int) -> np.ndarray:
    """Where the masks of some of `frames` original frames belong among `count` resampled ones.

    A mask is never interpolated over time: it moves to the stored frame nearest to its own time.

    Args:
        masked: which original frames have a mask.
        frames: original frames of the cycle.
        count: stored frames.
    """
    return np.rint(np.asarray(masked, int) * count / frames).astype(int) % count
