"""Quantiles of an image's intensities, without sorting all of them.

Floyd and Rivest's idea: a sorted sample tells between which two values the wanted one lies, and
only what lies there is sorted. Of a stored cine that takes a tenth of the time of a whole sort on
one processor (Zen 4), where NumPy's vector instructions sort slowly.

Reference:
    Floyd and Rivest, Expected time bounds for selection, Communications of the ACM 18, 1975.
"""

from collections.abc import Sequence

import numpy as np

_STEP = 31  # between sampled values: no divisor of a usual image's width
_MARGIN = 64  # sampled values on either side, three standard deviations of a sample of 8,000
_SMALL = 1 << 12  # below this a sort is as fast


def quantiles(values: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Quantiles by linear interpolation, the very numbers of `np.quantile`.

    Args:
        values: finite numbers, of any shape.
        shares: of the values that lie below, 0..1.

    Example:
        >>> quantiles(np.arange(101.0), [0.25, 0.999])
        [25.0, 99.9]
    """
    flat = np.ravel(values)
    sample = np.sort(flat[::_STEP]) if flat.size > _SMALL else flat[:0]
    return [_quantile(flat, sample, share) for share in shares]


def _quantile(flat: np.ndarray, sample: np.ndarray, share: float) -> float:
    place = share * (flat.size - 1)
    below = min(int(place), flat.size - 2) if flat.size > 1 else 0
    low, high = _pair(flat, sample, below)
    part, rise = place - below, float(high - low)
    # As NumPy has it: from the nearer end, so that an end is met exactly.
    return float(high) - rise * (1 - part) if part >= 0.5 else float(low) + rise * part


def _pair(flat: np.ndarray, sample: np.ndarray, rank: int) -> tuple[np.floating, np.floating]:
    """The value that `rank` others precede in rising order, and the next one."""
    inside, before = flat, 0
    if sample.size:
        middle = rank // _STEP
        low = sample[max(middle - _MARGIN, 0)] if middle > _MARGIN else flat.min()
        high = sample[middle + _MARGIN] if middle + _MARGIN < sample.size else flat.max()
        before = int(np.count_nonzero(flat < low))
        inside = flat[(flat >= low) & (flat <= high)]
        if not before <= rank < before + inside.size - 1:  # an uneven sample
            inside, before = flat, 0
    found = np.sort(inside)
    return found[rank - before], found[min(rank - before + 1, found.size - 1)]
