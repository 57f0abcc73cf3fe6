"""Intervals of AUROC and of proportions in closed form, with the patient as the unit.

A bootstrap cannot see what its resamples do not hold: where every case is right they all agree, and
their interval has no width. These have one there: what so many patients without a single failure
leave open.
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from cmrjax.evals import stats
from cmrjax.evals.stats import LEVEL, Interval

_Z = float(ndtri((1 + LEVEL) / 2))


def effective_patients(patients: np.ndarray) -> float:
    """How many patients of equally many cases would say as much, if a patient's cases were alike.

    Args:
        patients: `[n]` code of the patient of each case.

    Returns:
        `n^2 / sum of squares of each patient's cases`: the number of patients where all have
        equally many, fewer where some have most.

    Example:
        >>> effective_patients(np.array([0, 0, 1, 1])), effective_patients(np.array([0, 1, 1, 1]))
        (2.0, 1.6)

    Reference:
        Kish, Survey Sampling, 1965.
    """
    counts = np.unique(patients, return_counts=True)[1].astype(float)
    return float(counts.sum() ** 2 / np.sum(counts**2)) if len(counts) else 0.0


# --- AUROC ---------------------------------------------------------------------------------------


def auroc_variance(target: np.ndarray, score: np.ndarray, patients: np.ndarray) -> float:
    """Variance of the AUROC of clustered cases; DeLong's where each patient has one.

    Args:
        target: `[n]` of 0 and 1.
        score: `[n]`.
        patients: `[n]` code of the patient of each case, who may have cases of both classes.

    Returns:
        The variance; NaN with fewer than two patients of either class.

    Reference:
        Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 1997; without
        clusters DeLong, DeLong, Clarke-Pearson, Biometrics 1988. Ranks after Sun and Xu, IEEE SPL
        2014.
    """
    is_positive = np.asarray(target) == 1
    positive, negative = score[is_positive], score[~is_positive]
    m, n = len(positive), len(negative)
    codes = np.unique(patients, return_inverse=True)[1]
    of_class = codes[is_positive], codes[~is_positive]
    with_positive, with_negative = (len(np.unique(c)) for c in of_class)
    if min(with_positive, with_negative) < 2:
        return float("nan")
    ranks = rankdata(np.r_[positive, negative])
    of_positive = (ranks[:m] - rankdata(positive)) / n
    of_negative = 1 - (ranks[m:] - rankdata(negative)) / m
    value, every = np.mean(of_positive), len(np.unique(codes))
    a = np.bincount(of_class[0], of_positive - value, every) / m
    b = np.bincount(of_class[1], of_negative - value, every) / n
    # Small samples: each sum has one patient less to vary than it has patients.
    within = with_positive / (with_positive - 1) * a @ a
    within += with_negative / (with_negative - 1) * b @ b
    return float(within + 2 * every / (every - 1) * a @ b)


def auroc_interval(target: np.ndarray, score: np.ndarray, patients: np.ndarray) -> Interval:
    """AUROC with Obuchowski's interval (DeLong's without clusters) on the logit scale.

    It covers better than percentiles of a bootstrap below some hundred patients. An AUROC of 0 or 1
    has the bounds of `separated_interval`; a constant score has no interval.

    Args:
        target: `[n]` of 0 and 1.
        score: `[n]`.
        patients: `[n]` code of the patient of each case.
    """
    value = stats.estimate(stats.auroc_statistic(target, score), len(target))
    if value in (0.0, 1.0):
        return separated_interval(value, target, patients)
    variance = auroc_variance(target, score, patients)
    if not variance > 1e-12:  # NaN, too
        return Interval(value, np.nan, np.nan)
    centre = np.log(value / (1 - value))
    half = _Z * np.sqrt(variance) / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.array([centre - half, centre + half])))
    return Interval(value, float(low), float(high))


def separated_interval(value: float, target: np.ndarray, patients: np.ndarray) -> Interval:
    """The interval of an AUROC of 0 or 1, whose variance is zero: wide on purpose.

    The bound is the exact one of a proportion without a single failure among the (effective)
    patients of the rarer class: some 3.7 over their number away, for many of them.

    Args:
        value: 0 or 1.
        target: `[n]` of 0 and 1.
        patients: `[n]` code of the patient of each case.

    Returns:
        The interval; none with fewer than two patients of either class.

    Reference:
        Clopper and Pearson, Biometrika 1934; as the rule of three, Hanley and Lippman-Hand, JAMA
        1983.
    """
    of_class = [patients[np.asarray(target) == k] for k in (0, 1)]
    if min(len(np.unique(p)) for p in of_class) < 2:
        return Interval(value, np.nan, np.nan)
    bound = ((1 - LEVEL) / 2) ** (1 / min(map(effective_patients, of_class)))
    return Interval(value, bound, 1.0) if value == 1.0 else Interval(value, 0.0, 1 - bound)


# --- proportions ---------------------------------------------------------------------------------


def wilson_interval(p: float, n: float) -> Interval:
    """A proportion `p` of `n` independent cases with Wilson's score interval; n may be a fraction.

    Reference:
        Wilson, JASA 1927.
    """
    if n == 0:
        return stats.UNDEFINED
    z2 = _Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(p, float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def proportion_interval(hits: np.ndarray, patients: np.ndarray) -> Interval:
    """A share of clustered cases: Wilson's interval of the effective number of cases.

    That is the number of independent cases with the variance that is seen between patients, at most
    n. Where all cases are hits, or none, nothing varies, and it is `effective_patients`.

    Args:
        hits: `[n]` of 0 and 1.
        patients: `[n]` code of the patient of each case.

    Returns:
        The interval; none where one patient alone has both hits and misses.

    Reference:
        Rao and Scott, A simple method for the analysis of clustered binary data, Biometrics 1992;
        with Wilson's interval, Dean and Pagano, JSSAM 2015.
    """
    return class_mean_interval(np.zeros(len(hits), int), hits, patients)


def class_mean_interval(target: np.ndarray, hits: np.ndarray, patients: np.ndarray) -> Interval:
    """The mean over classes of the share of hits (balanced accuracy), with its interval.

    The classes' own intervals (of `proportion_interval`) are joined: how far each reaches from its
    share, with the correlation of the shares that patients with several classes make.

    Args:
        target: `[n]` class of each case.
        hits: `[n]` of 0 and 1.
        patients: `[n]` code of the patient of each case.

    Returns:
        The interval; none where that of a class has none.

    Reference:
        Zou and Donner, Construction of confidence limits about effect measures: a general approach,
        Statistics in Medicine 2008; correlated, Zou, Psychological Methods 2007.
    """
    if len(hits) == 0:
        return stats.UNDEFINED
    hits, classes = np.asarray(hits, float), np.unique(target)
    codes = np.unique(patients, return_inverse=True)[1]
    parts, moved = [], np.zeros((len(classes), codes.max() + 1))
    for k, which in enumerate(classes):
        own = target == which
        parts.append(_one_class(hits[own], codes[own]))
        moved[k] = np.bincount(codes[own], hits[own] - parts[k].value, codes.max() + 1)
    value, low, high = np.array([[p.value, p.low, p.high] for p in parts]).T
    size = np.linalg.norm(moved, axis=1)
    together = moved @ moved.T
    correlation = np.divide(
        together, np.outer(size, size), out=np.zeros_like(together), where=together != 0
    )
    np.fill_diagonal(correlation, 1.0)
    mean, reach = float(np.mean(value)), np.stack([value - low, high - value])
    down, up = np.sqrt(np.einsum("ik,kl,il->i", reach, correlation, reach)) / len(classes)
    ends = np.clip([mean - down, mean + up], 0.0, 1.0)  # NaN stays
    return Interval(mean, float(ends[0]), float(ends[1]))


def _one_class(hits: np.ndarray, patients: np.ndarray) -> Interval:
    n, p = len(hits), float(np.mean(hits))
    every = np.unique(patients)
    if p in (0.0, 1.0):
        return wilson_interval(p, effective_patients(patients))
    if len(every) == n:
        return wilson_interval(p, n)
    if len(every) == 1:
        return Interval(p, np.nan, np.nan)
    moved = np.bincount(patients, hits - p)
    variance = len(every) / (len(every) - 1) * float(moved @ moved) / n**2
    return wilson_interval(p, min(n, p * (1 - p) / variance) if variance > 0 else n)
