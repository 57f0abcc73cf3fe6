import numpy as np
import pytest
import scipy.stats

from cmrjax.evals import closed_forms, stats


def each(n):
    """One case a patient."""
    return np.arange(n)


def test_delong_variance_by_hand():
    # V10 = (1, 3/4), V01 = (3/4, 1): variances 1/32 each, over 2 and 2.
    target, score = np.array([1, 1, 0, 0]), np.array([0.8, 0.4, 0.4, 0.1])
    assert closed_forms.auroc_variance(target, score, each(4)) == pytest.approx(1 / 32)


def slow_obuchowski(target, score, patients):
    """The paper's formula, S10, S01 and S11 written out."""
    p, q = score[target == 1], score[target == 0]
    wins = (p[:, None] > q) + 0.5 * (p[:, None] == q)
    auc, (m, n) = wins.mean(), wins.shape
    names = np.unique(patients)
    v10, v01 = wins.mean(1), wins.mean(0)
    x = [np.sum(v10[patients[target == 1] == i] - auc) for i in names]
    y = [np.sum(v01[patients[target == 0] == i] - auc) for i in names]
    i10, i01 = len(set(patients[target == 1])), len(set(patients[target == 0]))
    s10 = i10 / ((i10 - 1) * m) * np.sum(np.square(x))
    s01 = i01 / ((i01 - 1) * n) * np.sum(np.square(y))
    s11 = len(names) / (len(names) - 1) * np.dot(x, y)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@pytest.mark.parametrize("clustered", [True, False])
def test_variance_equals_the_slow_structural_components(clustered):
    rng = np.random.default_rng(1)
    target = rng.integers(0, 2, 60)
    score = np.round(rng.normal(size=60) + target, 1)
    patients = rng.permutation(np.arange(60) // 3) if clustered else each(60)
    found = closed_forms.auroc_variance(target, score, patients)
    assert found == pytest.approx(slow_obuchowski(target, score, patients))
    if not clustered:
        p, q = score[target == 1], score[target == 0]
        wins = (p[:, None] > q) + 0.5 * (p[:, None] == q)
        expected = wins.mean(1).var(ddof=1) / len(p) + wins.mean(0).var(ddof=1) / len(q)
        assert found == pytest.approx(expected)


def test_interval_of_separated_classes_is_wide_and_inside_0_1():
    target = np.repeat([0, 1], [30, 10])
    top = closed_forms.auroc_interval(target, target.astype(float), each(40))
    assert top.value == top.high == 1.0
    assert top.low == pytest.approx(0.025 ** (1 / 10))
    assert closed_forms.auroc_interval(target, -target, each(40)).high == 1 - top.low


def test_the_bound_of_separated_classes_counts_patients():
    target = np.repeat([0, 1], [30, 10])
    pairs = np.arange(40) // 2
    found = closed_forms.auroc_interval(target, target, pairs)
    assert found.low == pytest.approx(0.025 ** (1 / 5))
    most = np.r_[np.arange(30), np.full(9, 30), 31]  # nine positives of one patient, one of another
    found = closed_forms.auroc_interval(target, target, most)
    assert found.low == pytest.approx(0.025 ** (82 / 100))


def test_a_constant_has_no_interval():
    flat = closed_forms.auroc_interval(np.repeat([0, 1], [30, 10]), np.zeros(40), each(40))
    assert flat.value == 0.5
    assert np.isnan(flat.low)
    assert np.isnan(flat.high)


@pytest.mark.parametrize("target", [np.ones(5), np.zeros(5), np.empty(0)])
def test_one_class_gives_nan_without_a_crash(target):
    score = np.linspace(0, 1, len(target))
    assert np.isnan(closed_forms.auroc_interval(target, score, each(len(target))).value)


@pytest.mark.parametrize("score", [[0.1, 0.5, 0.3, 0.3], [0.1, 0.2, 0.3, 0.3]])
def test_positives_of_one_patient_give_a_value_without_an_interval(score):
    target, patients = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])
    found = closed_forms.auroc_interval(target, np.array(score), patients)
    assert found.value in (0.5, 1.0)
    assert np.isnan(found.low)


@pytest.mark.parametrize(("auroc", "own_label"), [(0.80, True), (0.80, False), (0.95, False)])
def test_auroc_of_clusters_covers_at_thirty_patients(auroc, own_label):
    """Two normals, one to three studies a patient, half of the variance between patients.

    `own_label`: the finding is a patient's or a study's own. The nominal 95 % within sampling error
    (of 400: 1.1 points).
    """
    rng = np.random.default_rng(2)
    shift = np.sqrt(2) * scipy.stats.norm.ppf(auroc)
    covered, defined = 0, 0
    for _ in range(400):
        patients = np.repeat(np.arange(30), rng.integers(1, 4, 30))
        n = len(patients)
        target = rng.random(n) < 0.3 if own_label else (rng.random(30) < 0.3)[patients]
        noise = (rng.normal(size=30)[patients] + rng.normal(size=n)) / np.sqrt(2)
        found = closed_forms.auroc_interval(target.astype(int), noise + shift * target, patients)
        defined += np.isfinite(found.low)
        covered += found.low <= auroc <= found.high
    assert defined > 390
    assert covered / defined > 0.91


def test_auroc_of_single_cases_covers_at_fifty():
    """True AUROC .80 of two normals; 20 % positives: the nominal 95 % within sampling error."""
    rng = np.random.default_rng(2)
    shift = np.sqrt(2) * scipy.stats.norm.ppf(0.80)
    target = np.repeat([0, 1], [40, 10])
    covered = 0
    for _ in range(400):
        found = closed_forms.auroc_interval(target, rng.normal(size=50) + shift * target, each(50))
        covered += found.low <= 0.80 <= found.high
    assert covered / 400 > 0.90


def test_wilson_by_hand():
    # 8 of 10, z = 1.96: the textbook (0.490, 0.943).
    found = closed_forms.wilson_interval(0.8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert closed_forms.wilson_interval(0.0, 10).low == 0.0
    assert np.isnan(closed_forms.wilson_interval(0, 0).value)


def test_a_proportion_of_clusters_by_hand():
    single = closed_forms.proportion_interval(np.r_[np.ones(8), np.zeros(2)], each(10))
    assert (single.low, single.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    # Two alike of each patient: one patient less than there are, for the variance is estimated.
    twice = closed_forms.proportion_interval(
        np.repeat(np.r_[np.ones(8), np.zeros(2)], 2), np.repeat(each(10), 2)
    )
    nine = closed_forms.wilson_interval(0.8, 9)
    assert (twice.low, twice.high) == pytest.approx((nine.low, nine.high))
    # All right: as many as patients, whatever the studies.
    right = closed_forms.proportion_interval(np.ones(20), np.repeat(each(10), 2))
    assert right.low == closed_forms.wilson_interval(1.0, 10).low
    # Patients alike: as many as studies, and no more.
    halves = closed_forms.proportion_interval(np.tile([0, 1], 10), np.repeat(each(10), 2))
    assert halves.low == closed_forms.wilson_interval(0.5, 20).low
    one = closed_forms.proportion_interval(np.array([1, 1, 0]), np.zeros(3, int))
    assert one.value == pytest.approx(2 / 3)
    assert np.isnan(one.low)
    assert np.isnan(closed_forms.proportion_interval(np.empty(0), np.empty(0)).value)


@pytest.mark.parametrize("share", [0.7, 0.95])
def test_a_proportion_of_clusters_covers_at_thirty_patients(share):
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        patients = np.repeat(np.arange(30), rng.integers(1, 5, 30))
        own = rng.beta(share, 1 - share, 30)  # of the variance half is between patients
        found = closed_forms.proportion_interval(
            rng.random(len(patients)) < own[patients], patients
        )
        covered += found.low <= share <= found.high
    assert covered / 400 > 0.91


def test_balanced_accuracy_by_hand():
    target, hits = np.repeat([0, 1], [20, 10]), np.ones(30)
    found = closed_forms.class_mean_interval(target, hits, each(30))
    parts = [closed_forms.wilson_interval(1.0, n).low for n in (20, 10)]
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(1 - np.hypot(1 - parts[0], 1 - parts[1]) / 2)


def test_balanced_accuracy_covers_where_patients_have_both_classes():
    rng = np.random.default_rng(4)
    cut = scipy.stats.norm.ppf([0.95, 0.80])
    covered = 0
    for _ in range(400):
        patients = np.repeat(np.arange(30), rng.integers(1, 4, 30))
        n = len(patients)
        target = (rng.random(n) < 0.3).astype(int)
        ease = (rng.normal(size=30)[patients] + rng.normal(size=n)) / np.sqrt(2)
        found = closed_forms.class_mean_interval(target, ease < cut[target], patients)
        covered += found.low <= 0.875 <= found.high
    assert covered / 400 > 0.91


def test_value_is_that_of_the_statistic():
    rng = np.random.default_rng(5)
    target, called, patients = rng.integers(0, 3, (3, 40))
    found = closed_forms.class_mean_interval(target, target == called, patients)
    statistic = stats.balanced_accuracy_statistic(target, called)
    assert found.value == pytest.approx(stats.estimate(statistic, 40))
    assert found.low < found.value < found.high
