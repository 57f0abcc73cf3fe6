"""Which pairs are positives, and which are left out."""

import re

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig, complete, relation


def compare(pairs, **options):
    config = RelationConfig(**options)
    pairs = complete(pairs, config)
    return relation(pairs.rows, pairs.columns, config)


# Two clips of study 10 and one of study 20; a text of each, the same words, and padding.
BATCH = Pairs(
    {
        "study": np.array([10, 10, 20]),
        "statements": np.array([[7, 5], [7, 5], [5, 0]], np.uint32),
        "features": np.array([[1, -1, 0], [1, -1, 0], [1, -1, 1]], np.float32),
    },
    {
        "study": np.array([10, 20, 20]),
        "statement": np.array([7, 5, 0], np.uint32),
        "features": np.array([[1, -1, 0], [1, -1, 1], [0, 0, 0]], np.float32),
    },
)
COUNTED = [[True, True, False]] * 3


def test_both_clips_of_a_study_are_positives_of_its_texts():
    weight, counted = compare(BATCH)
    np.testing.assert_array_equal(weight, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(counted, COUNTED)


def test_a_statement_belongs_to_every_study_whose_report_makes_it():
    weight, counted = compare(BATCH, positives="statement")
    np.testing.assert_array_equal(weight, [[1, 1, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(counted, COUNTED)


def test_or_its_pairs_with_other_studies_are_left_out():
    weight, counted = compare(BATCH, positives="statement", others="mask")
    np.testing.assert_array_equal(weight, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(counted, [[True, False, False]] * 2 + [[True, True, False]])


def test_studies_of_like_findings_share_their_texts():
    # The cosine of (1, -1, 0) and (1, -1, 1) is 2 / sqrt(6) = .8165.
    weight, _ = compare(BATCH, positives="findings", threshold=0.82)
    np.testing.assert_array_equal(weight, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    weight, _ = compare(BATCH, positives="findings", threshold=0.81)
    np.testing.assert_array_equal(weight, [[1, 1, 0], [1, 1, 0], [1, 1, 0]])
    _, counted = compare(BATCH, positives="findings", threshold=0.81, others="mask")
    np.testing.assert_array_equal(counted, np.eye(3, dtype=bool)[[0, 0, 1]])


def test_equal_findings_reach_a_threshold_of_1_and_unknown_ones_none():
    features = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1]], np.float32)
    side = {"study": np.arange(3), "features": features}
    weight, counted = compare(Pairs(side, side), positives="findings", threshold=1.0)
    np.testing.assert_array_equal(weight, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    assert np.asarray(counted).all()


def test_the_weight_of_like_texts_is_their_similarity():
    weight, _ = compare(BATCH, positives="similarity", threshold=0.5)
    like = 2 / 6**0.5
    np.testing.assert_allclose(weight, [[1, like, 0], [1, like, 0], [like, 1, 0]], rtol=1e-6)


def test_a_video_that_is_not_valid_meets_nobody():
    rows = BATCH.rows | {"valid": np.array([True, False, True])}
    for positives in ("study", "statement", "findings", "similarity"):
        weight, counted = compare(Pairs(rows, BATCH.columns), positives=positives, threshold=0.1)
        assert not np.asarray(counted)[1].any()
        assert not np.asarray(weight)[1].any()


def test_the_callers_arrays_stay_as_they_are():
    valid = np.ones(3, bool)
    _, counted = compare(Pairs(BATCH.rows, BATCH.columns | {"valid": valid}))
    np.testing.assert_array_equal(counted, COUNTED)
    assert valid.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positives": "magic"}, "config.objective: positives = 'magic'; use "),
        ({"others": "magic"}, "config.objective: others = 'magic'; use "),
        ({"threshold": 0.0}, "config.objective: threshold = 0.0; a cosine above 0"),
        ({"threshold": 1.1}, "config.objective: threshold = 1.1; a cosine above 0"),
    ],
)
def test_an_unknown_choice_is_named(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        RelationConfig(**options)


def test_a_missing_array_is_named():
    columns = {"study": np.arange(3)}
    with pytest.raises(UserError, match=r"needs \['statement'\], the batch has \['study'\]"):
        compare(Pairs(BATCH.rows, columns), positives="statement")
    with pytest.raises(UserError, match=r"needs \['features'\]"):
        compare(Pairs(BATCH.rows, columns), positives="similarity")
