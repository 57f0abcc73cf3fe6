import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.evals import stats


def slow_auroc(target, score):
    """Every pair, one at a time."""
    pairs = [
        (p > q) + 0.5 * (p == q)
        for p, q in itertools.product(score[target == 1], score[target == 0])
    ]
    return np.mean(pairs) if pairs else np.nan


def slow_auprc(target, score):
    total, area, recall = target.sum(), 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        called = score >= threshold
        hits = (called & (target == 1)).sum()
        area += (hits / total - recall) * hits / called.sum()
        recall = hits / total
    return area


def value(statistic, n):
    return stats.estimate(statistic, n)


binary_cases = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=30
).map(lambda rows: (np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])))


def test_auroc_by_hand():
    # Positives .8 and .4 against negatives .4 and .1: wins 1, 1, 1/2, 1.
    target, score = np.array([1, 1, 0, 0]), np.array([0.8, 0.4, 0.4, 0.1])
    assert value(stats.auroc_statistic(target, score), 4) == 3.5 / 4


def test_auroc_of_a_constant_is_exactly_half():
    target = np.array([1, 0, 0, 1, 0])
    assert value(stats.auroc_statistic(target, np.full(5, 0.3)), 5) == 0.5


def test_auroc_below_half_is_not_flipped():
    target, score = np.array([1, 1, 0, 0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert value(stats.auroc_statistic(target, score), 4) == 0.0


@given(binary_cases)
def test_auroc_and_auprc_equal_the_slow_definition(cases):
    target, score = cases
    expected = slow_auroc(target, score)
    found = value(stats.auroc_statistic(target, score), len(target))
    assert (np.isnan(expected) and np.isnan(found)) or found == pytest.approx(expected)
    if target.any():
        found = value(stats.auprc_statistic(target, score), len(target))
        assert found == pytest.approx(slow_auprc(target, score))


def test_strata_compare_their_own_pairs_alone():
    target = np.array([1, 0, 1, 0, 1, 0, 0])
    score = np.array([0.2, 0.1, 0.9, 0.8, 0.5, 0.6, 0.5])
    stratum = np.array([0, 0, 1, 1, 2, 2, 2])
    found = value(stats.auroc_statistic(target, score, stratum=stratum), 7)
    assert found == pytest.approx((1 + 1 + 0.5) / 4)
    one = value(stats.auroc_statistic(target, score, stratum=np.zeros(7)), 7)
    assert one == pytest.approx(slow_auroc(target, score))


@given(binary_cases)
def test_auroc_ignores_monotone_transforms_and_mirrors_flipped_labels(cases):
    target, score = cases
    n = len(target)
    base = value(stats.auroc_statistic(target, score), n)
    if np.isnan(base):
        return
    assert value(stats.auroc_statistic(target, np.exp(score) + 5), n) == pytest.approx(base)
    assert value(stats.auroc_statistic(1 - target, score), n) == pytest.approx(1 - base)


@given(binary_cases, st.integers(0, 10_000))
@settings(max_examples=50)
def test_weights_equal_repeated_cases(cases, seed):
    target, score = cases
    w = np.random.default_rng(seed).integers(0, 4, size=len(target))
    again = np.repeat(np.arange(len(target)), w)
    if len(set(target[again])) < 2:
        return
    for build in (
        stats.auroc_statistic,
        stats.auprc_statistic,
        lambda t, s: stats.balanced_accuracy_statistic(t, (s > 0).astype(int)),
        lambda t, s: stats.mean_statistic(np.abs(t - s)),
        lambda t, s: stats.rmse_statistic(t - s),
        lambda t, s: stats.median_statistic(s),
    ):
        weighted = build(target, score)(w[None].astype(float))[0]
        assert weighted == pytest.approx(value(build(target[again], score[again]), len(again)))


def test_r_equals_scipy_and_is_nan_for_a_constant():
    rng = np.random.default_rng(0)
    x = 50 + rng.normal(size=40)
    y = x + rng.normal(size=40)
    assert value(stats.r_statistic(x, y), 40) == pytest.approx(scipy.stats.pearsonr(x, y)[0])
    assert np.isnan(value(stats.r_statistic(x, np.full(40, 55.3)), 40))


def test_errors_by_hand():
    error = np.array([3.0, -4.0])
    assert value(stats.rmse_statistic(error), 2) == pytest.approx(np.sqrt(12.5))
    assert value(stats.mean_statistic(np.abs(error)), 2) == 3.5
    target, called = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert value(stats.balanced_accuracy_statistic(target, called), 4) == pytest.approx(5 / 6)
    assert value(stats.median_statistic(np.array([5, 1, 3])), 3) == 3


def test_bootstrap_equals_scipy_bca_for_a_mean():
    values = np.random.default_rng(3).exponential(size=80)
    ours = stats.bootstrap(stats.mean_statistic(values), n_patients=80, n_bootstrap=6000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=6000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_repeating_every_study_of_a_patient_leaves_the_patient_interval_unchanged():
    rng = np.random.default_rng(4)
    target = rng.integers(0, 2, 60)
    score = rng.normal(size=60) + target
    once = stats.bootstrap(stats.auroc_statistic(target, score), n_patients=60, n_bootstrap=500)
    patients = np.repeat(np.arange(60), 3)
    tripled = stats.by_patient(
        stats.auroc_statistic(np.repeat(target, 3), np.repeat(score, 3)), patients
    )
    again = stats.bootstrap(tripled, n_patients=60, n_bootstrap=500)
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high))


def test_paired_interval_is_narrower_than_the_unpaired_and_excludes_a_true_zero_difference():
    rng = np.random.default_rng(5)
    target = rng.integers(0, 2, 150)
    signal = rng.normal(size=150) + 1.2 * target
    good, worse = signal, signal + rng.normal(scale=1.5, size=150)
    a, b = stats.auroc_statistic(target, good), stats.auroc_statistic(target, worse)
    paired = stats.bootstrap(stats.difference(a, b), n_patients=150, n_bootstrap=1000)
    assert paired.value == pytest.approx(value(a, 150) - value(b, 150))
    assert paired.low > 0


@pytest.mark.parametrize("hits", [np.ones(6), np.zeros(6), np.full(6, 0.1)])
def test_resamples_that_do_not_vary_give_no_interval(hits):
    statistic = stats.mean_statistic(hits)
    for found in (
        stats.bootstrap(statistic, n_patients=6, n_bootstrap=200),
        stats.bootstrap(stats.difference(statistic, statistic), n_patients=6, n_bootstrap=200),
    ):
        assert np.isfinite(found.value)
        assert np.isnan(found.low)
        assert np.isnan(found.high)


def test_one_patient_gives_no_interval():
    statistic = stats.by_patient(stats.mean_statistic(np.arange(4.0)), np.zeros(4, int))
    found = stats.bootstrap(statistic, n_patients=1, n_bootstrap=200)
    assert found.value == 1.5
    assert np.isnan(found.low)


def test_macro_drops_resamples_without_a_positive_and_refuses_when_most_are():
    rng = np.random.default_rng(6)
    score = rng.normal(size=40)
    common, rare = np.arange(40) % 2, (np.arange(40) == 0).astype(int)
    macro = stats.mean_of(
        [stats.auroc_statistic(common, score), stats.auroc_statistic(rare, score)]
    )
    found = stats.bootstrap(macro, n_patients=40, n_bootstrap=400)  # 36 % lack the one positive
    assert found.low <= found.value <= found.high
    none = stats.mean_of([stats.auroc_statistic(np.roll(rare, i), score) for i in range(5)])
    assert np.isnan(stats.bootstrap(none, n_patients=40, n_bootstrap=400).low)


def test_ratio_of_statistics():
    a, b = stats.mean_statistic(np.array([1.0, 3.0])), stats.mean_statistic(np.array([4.0, 4.0]))
    assert value(stats.ratio(a, b), 2) == 0.5


def test_equal_seeds_give_equal_intervals():
    statistic = stats.mean_statistic(np.arange(30.0))
    first = stats.bootstrap(statistic, n_patients=30, n_bootstrap=100, seed=1)
    assert stats.bootstrap(statistic, n_patients=30, n_bootstrap=100, seed=1) == first
    assert stats.bootstrap(statistic, n_patients=30, n_bootstrap=100, seed=2) != first
