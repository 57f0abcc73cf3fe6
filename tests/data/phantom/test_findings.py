import numpy as np
import pytest

from cmrjax.data.phantom.findings import CUTOFFS, FINDINGS, SEVERITY, is_borderline, severity, truth
from cmrjax.data.phantom.measure import lv_volume_ml

PATIENTS = 400


@pytest.fixture(scope="module")
def population():
    return [truth(11, index) for index in range(PATIENTS)]


def test_prevalence_of_every_finding(population):
    labels = np.array([list(t.labels.values()) for t in population])
    assert list(population[0].labels) == list(FINDINGS)
    prevalence = labels.mean(axis=0)
    assert prevalence.min() >= 0.12, dict(zip(FINDINGS, prevalence, strict=True))
    assert prevalence.max() <= 0.32


def test_findings_come_in_combinations(population):
    counts = np.array([sum(t.labels.values()) - t.labels["normal"] for t in population])
    assert (counts >= 2).mean() > 0.25
    assert (counts >= 4).any()


def test_labels_are_the_volumes_at_the_cutoffs(population):
    for t in population:
        heart = t.patient.heart
        edv, esv = lv_volume_ml(heart, 0.0), lv_volume_ml(heart, 1.0)
        assert t.lvef == pytest.approx(100.0 * (edv - esv) / edv)
        assert t.labels["reduced_lvef"] == (t.lvef < CUTOFFS["lvef"])
        assert t.labels["lv_dilation"] == (edv > CUTOFFS["lvedv_ml"])
        assert t.labels["rv_dilation"] == (t.rvedv_ml > CUTOFFS["rvedv_ml"])
        assert t.labels["normal"] == (sum(t.labels.values()) == t.labels["normal"])
        both = t.labels["asymmetric_septal_hypertrophy"] + t.labels["concentric_hypertrophy"]
        assert both <= 1


def test_ejection_fraction_spreads_wide_and_cases_lie_near_the_cutoffs(population):
    lvef = np.array([t.lvef for t in population])
    assert lvef.min() < 25
    assert lvef.max() > 70
    for finding in SEVERITY:
        near = sum(is_borderline(t, finding) for t in population)
        assert near >= 5, finding


def test_severity_is_positive_on_the_side_of_the_finding(population):
    for t in population:
        for finding in ("lv_dilation", "reduced_lvef", "la_dilation", "rv_dysfunction"):
            assert (severity(t, finding) > 0) == bool(t.labels[finding])


def test_truth_depends_on_seed_and_index_alone():
    assert truth(5, 9) == truth(5, 9)
    assert truth(5, 9) != truth(5, 10)
    assert truth(5, 9) != truth(6, 9)
