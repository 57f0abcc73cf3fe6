"""Statistics of predictions, with intervals in which the patient is the unit.

Every statistic is a function of case weights `w [b, n]` that returns `[b]`: a row of ones gives
the estimate, counts of how often each patient was drawn give bootstrap replicates, a row with one
patient at zero gives the jackknife. One function a statistic therefore serves estimates, intervals,
paired differences and means over tasks, and 2,000 resamples are a few matrix operations.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

Statistic = Callable[[np.ndarray], np.ndarray]  # weights [b, n] -> values [b]

LEVEL = 0.95
_CHUNK_ELEMENTS = 4_000_000  # weights held at once: 32 MB
_MAX_JACKKNIFE = 2_000  # with more patients the acceleration is negligible


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Numerator over denominator, NaN where the denominator is zero."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def estimate(statistic: Statistic, n: int) -> float:
    """The statistic with every one of `n` cases counted once; NaN when there are none."""
    return float(statistic(np.ones((1, n)))[0]) if n else float("nan")


# --- statistics of weighted cases ----------------------------------------------------------------


def auroc_statistic(
    target: np.ndarray, score: np.ndarray, *, stratum: np.ndarray | None = None
) -> Statistic:
    """P(score of a positive > score of a negative) + half the ties; the sign is never flipped.

    Args:
        target: `[n]` of 0 and 1.
        score: `[n]`, higher for more likely positive.
        stratum: `[n]`; only pairs of one stratum are compared. Folds of a cross-validation are
            strata, since each fold's model has its own offset.

    Returns:
        A statistic; NaN for weights that leave no pair.
    """
    stratum = np.zeros(len(score), int) if stratum is None else np.asarray(stratum)
    order = np.lexsort((score, stratum))
    positive = np.asarray(target, bool)[order]
    score, stratum = score[order], stratum[order]
    first = np.r_[True, stratum[1:] != stratum[:-1]]
    starts = np.flatnonzero(first | np.r_[True, score[1:] != score[:-1]])
    blocks = np.searchsorted(starts, np.flatnonzero(first))  # the first tie of each stratum

    def statistic(w: np.ndarray) -> np.ndarray:
        w = w[:, order]
        wp = np.add.reduceat(w * positive, starts, axis=1)
        wn = np.add.reduceat(w * ~positive, starts, axis=1)
        positives = np.add.reduceat(wp, blocks, axis=1)
        negatives = np.add.reduceat(wn, blocks, axis=1)
        earlier = np.cumsum(negatives, axis=1) - negatives
        lengths = np.diff(np.r_[blocks, len(starts)])
        below = np.cumsum(wn, axis=1) - wn - np.repeat(earlier, lengths, axis=1)
        pairs = np.sum(wp * (below + 0.5 * wn), axis=1)
        return _ratio(pairs, np.sum(positives * negatives, axis=1))

    return statistic


def auprc_statistic(target: np.ndarray, score: np.ndarray) -> Statistic:
    """Average precision: precision at each distinct threshold, weighted by the recall gained there.

    Args:
        target: `[n]` of 0 and 1.
        score: `[n]`, higher for more likely positive.
    """
    order = np.argsort(-score, kind="stable")
    positive = np.asarray(target, bool)[order]
    starts = _tie_starts(score[order])

    def statistic(w: np.ndarray) -> np.ndarray:
        w = w[:, order]
        gained = np.add.reduceat(w * positive, starts, axis=1)
        called = np.cumsum(np.add.reduceat(w, starts, axis=1), axis=1)
        hits = np.cumsum(gained, axis=1)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return _ratio(np.sum(gained * precision, axis=1), hits[:, -1])

    return statistic


def _tie_starts(ordered: np.ndarray) -> np.ndarray:
    """Index of the first case of each run of equal scores."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def mean_statistic(values: np.ndarray) -> Statistic:
    """Weighted mean of `values [n]` (accuracy from hits, MAE from absolute errors)."""
    values = np.asarray(values, np.float64)
    return lambda w: _ratio(w @ values, w.sum(axis=1))


def rmse_statistic(error: np.ndarray) -> Statistic:
    """Root mean square of `error [n]`."""
    mean_square = mean_statistic(np.square(error))
    return lambda w: np.sqrt(mean_square(w))


def balanced_accuracy_statistic(target: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Mean over the classes present in `target [n]` of the share of their cases called right."""
    hit = np.asarray(target) == np.asarray(predicted)
    members = [np.asarray(target) == k for k in np.unique(target)]

    def statistic(w: np.ndarray) -> np.ndarray:
        return np.mean([_ratio(w @ (hit & m), w @ m.astype(float)) for m in members], axis=0)

    return statistic


def r_statistic(target: np.ndarray, prediction: np.ndarray) -> Statistic:
    """Pearson's r; NaN where either side does not vary."""
    x = np.asarray(target, np.float64) - np.mean(target)
    y = np.asarray(prediction, np.float64) - np.mean(prediction)
    # A constant prediction must give NaN, not the correlation of its rounding error.
    x[np.abs(x) < 1e-12 * (1 + np.abs(np.mean(target)))] = 0.0
    y[np.abs(y) < 1e-12 * (1 + np.abs(np.mean(prediction)))] = 0.0

    def statistic(w: np.ndarray) -> np.ndarray:
        total = w.sum(axis=1)
        mx, my = _ratio(w @ x, total), _ratio(w @ y, total)
        cov = _ratio(w @ (x * y), total) - mx * my
        vx = _ratio(w @ (x * x), total) - mx * mx
        vy = _ratio(w @ (y * y), total) - my * my
        return np.clip(_ratio(cov, np.sqrt(np.clip(vx, 0, None) * np.clip(vy, 0, None))), -1, 1)

    return statistic


def median_statistic(values: np.ndarray) -> Statistic:
    """Weighted lower median of `values [n]`."""
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, np.float64)[order]

    def statistic(w: np.ndarray) -> np.ndarray:
        cumulative = np.cumsum(w[:, order], axis=1)
        half = cumulative[:, -1:] / 2
        return np.where(half[:, 0] > 0, ordered[np.argmax(cumulative >= half, axis=1)], np.nan)

    return statistic


# --- statistics of weighted patients -------------------------------------------------------------


def by_patient(statistic: Statistic, patients: np.ndarray) -> Statistic:
    """The same statistic as a function of patient weights `[b, p]`.

    Args:
        statistic: a function of case weights.
        patients: `[n]` index of the patient of each case; a patient's weight goes to all its cases.
    """
    return lambda w: statistic(w[:, patients])


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    """Mean over statistics (a macro average); NaN for weights where any of them is NaN."""
    return lambda w: np.mean([s(w) for s in statistics], axis=0)


def difference(a: Statistic, b: Statistic) -> Statistic:
    """`a - b` on the same weights: the paired difference."""
    return lambda w: a(w) - b(w)


def ratio(a: Statistic, b: Statistic) -> Statistic:
    """`a / b` on the same weights."""
    return lambda w: _ratio(a(w), b(w))


def bootstrap(
    statistic: Statistic, *, n_patients: int, n_bootstrap: int = 2000, seed: int = 0
) -> Interval:
    """Bias-corrected and accelerated (BCa) interval from resampled patients.

    Resamples in which the statistic is undefined (a task left without a positive or a negative) are
    dropped, so a macro average always averages the same tasks: the interval is conditional on every
    task being defined. When more than half are dropped no interval is given, and none where the
    resamples do not vary: that says nothing about patients who were not seen.

    Args:
        statistic: a function of patient weights `[b, p]`.
        n_patients: p.
        n_bootstrap: number of resamples; 0 gives the value alone.
        seed: of the resampling; equal seeds draw equal patients, so that intervals are paired.

    Returns:
        The estimate and its 95 % interval, NaN where there is none.

    Reference:
        Efron, Better bootstrap confidence intervals, JASA 1987.
    """
    value = estimate(statistic, n_patients)
    if np.isnan(value) or n_bootstrap == 0:
        return Interval(value, np.nan, np.nan)
    replicates = np.concatenate(
        [statistic(w.astype(float)) for w in _draws(n_patients, n_bootstrap, seed)]
    )
    replicates = replicates[np.isfinite(replicates)]
    if 2 * len(replicates) < n_bootstrap:
        return Interval(value, np.nan, np.nan)
    low, high = _bca_bounds(value, replicates, _jackknife(statistic, n_patients))
    if high - low <= 1e-9 * (1 + abs(value)):
        return Interval(value, np.nan, np.nan)
    return Interval(value, low, high)


@lru_cache(maxsize=4)
def _small_draws(n_patients: int, n_bootstrap: int, seed: int) -> list[np.ndarray]:
    return list(_generate(n_patients, n_bootstrap, seed))


def _draws(n_patients: int, n_bootstrap: int, seed: int) -> Iterable[np.ndarray]:
    """How often each patient is drawn, in blocks `[b, p]`; kept when small, as tasks share them."""
    small = n_patients * n_bootstrap <= _CHUNK_ELEMENTS
    return (_small_draws if small else _generate)(n_patients, n_bootstrap, seed)


def _generate(n_patients: int, n_bootstrap: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ELEMENTS // n_patients)
    share = np.full(n_patients, 1 / n_patients)
    for start in range(0, n_bootstrap, rows):
        counts = rng.multinomial(n_patients, share, size=min(rows, n_bootstrap - start))
        yield counts.astype(np.int32)


def _jackknife(statistic: Statistic, n_patients: int) -> np.ndarray:
    """The statistic without each patient in turn; empty when there are too many to matter."""
    if n_patients > _MAX_JACKKNIFE:
        return np.empty(0)
    return statistic(1.0 - np.eye(n_patients))


def _bca_bounds(value: float, replicates: np.ndarray, jackknife: np.ndarray) -> tuple[float, float]:
    """Percentiles of the replicates, moved for bias and skewness."""
    tail = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    spread = 1e-12 * (1 + abs(value))
    below = np.mean(replicates < value - spread) + np.mean(abs(replicates - value) <= spread) / 2
    deviation = np.mean(jackknife) - jackknife if np.isfinite(jackknife).all() else np.zeros(0)
    scale = np.sum(deviation**2) ** 1.5
    acceleration = np.sum(deviation**3) / (6 * scale) if scale > 0 else 0.0
    if 0 < below < 1:
        bias = ndtri(below)
        z = bias + ndtri(tail)
        tail = ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(replicates, tail)
    return float(low), float(high)
