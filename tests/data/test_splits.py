import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.data.splits import (
    Splits,
    load_splits,
    make_splits,
    save_splits,
    splits_fingerprint,
)


def labels(n: int, seed: int = 0, share: float = 0.2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"{i:04d}": rng.random(5) < share for i in range(n)}


def test_findings_spread_as_the_fractions_ask():
    known = labels(700)
    splits = make_splits(known)
    totals = sum(known.values())
    for name, share in (("train", 0.64), ("val", 0.09), ("test", 0.27)):
        members = splits.patients(name)
        assert len(members) == pytest.approx(700 * share, abs=3)
        positives = sum(known[p] for p in members)
        np.testing.assert_allclose(positives, totals * share, atol=4)


def test_groups_of_sixteen_fall_evenly_into_five_folds():
    known = {f"{i}": np.eye(5, dtype=bool)[i % 5] for i in range(80)}
    splits = make_splits(known)
    for fold in range(5):
        members = splits.patients("test", (fold, 5))
        assert len(members) == 16
        assert set(sum(known[p].astype(int) for p in members)) <= {3, 4}


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 60), st.integers(0, 5))
def test_splits_part_the_patients_whatever_their_order(n, seed):
    known = labels(n, seed)
    splits = make_splits(known)
    turned = make_splits(dict(reversed(list(known.items()))))
    assert splits == turned
    for fold in (None, (0, 5), (4, 5)):
        parts = [splits.patients(name, fold) for name in ("train", "val", "test")]
        assert frozenset().union(*parts) == known.keys()
        assert sum(map(len, parts)) == n


def test_every_fold_tests_once():
    splits = make_splits(labels(23))
    tested = [p for i in range(5) for p in splits.patients("test", (i, 5))]
    assert sorted(tested) == sorted(labels(23))
    assert splits.patients("val", (4, 5)) == splits.patients("test", (0, 5))


def test_file_and_bad_questions(tmp_path):
    splits = make_splits(labels(9))
    save_splits(tmp_path, splits)
    assert load_splits(tmp_path) == splits
    assert make_splits(labels(9), seed=1) != splits
    for wrong in (("dev", None), ("train", (5, 5)), ("train", (0, 10))):
        with pytest.raises(UserError):
            splits.patients(*wrong)
    with pytest.raises(UserError, match="no splits"):
        load_splits(tmp_path / "none")


def test_patients_of_a_former_dataset_keep_their_place():
    before = make_splits(labels(40), seed=1).assignment
    grown = labels(100)
    after = make_splits(grown, kept=before).assignment
    assert after.keys() == grown.keys()
    assert {patient: after[patient] for patient in before} == before
    new = [after[patient][0] for patient in grown.keys() - before.keys()]
    assert [new.count(name) for name in ("train", "val", "test")] == pytest.approx(
        [38, 5, 16], abs=2
    )
    assert make_splits(labels(40), kept=before).assignment == before
    fewer = make_splits(labels(10), kept=before).assignment
    assert fewer == {patient: before[patient] for patient in labels(10)}


def test_patients_without_labels_are_dealt_too():
    splits = make_splits({f"{i}": np.zeros(0, bool) for i in range(100)})
    assert [len(splits.patients(s)) for s in ("train", "val", "test")] == [64, 9, 27]


def test_a_fingerprint_is_of_who_is_where_and_not_of_their_order():
    splits = Splits(5, {"a": ("train", 0), "b": ("test", 1)})
    same = Splits(5, {"b": ("test", 1), "a": ("train", 0)})
    assert splits_fingerprint(splits) == splits_fingerprint(same)
    others = [
        Splits(4, splits.assignment),
        Splits(5, {"a": ("train", 0), "b": ("test", 2)}),
        Splits(5, {"a": ("train", 0), "b": ("val", 1)}),
        Splits(5, {"a": ("train", 0), "c": ("test", 1)}),
    ]
    assert len({splits_fingerprint(s) for s in (splits, *others)}) == 5


def labelled(n=60):
    return {f"p{i:02d}": np.array([i % 3 == 0, i % 2 == 0]) for i in range(n)}


def test_official_parts_are_kept():
    names = ("train", "val", "test")
    official = {patient: names[i % 3] for i, patient in enumerate(sorted(labelled()))}
    splits = make_splits(labelled(), official=official)
    assert {p: split for p, (split, _) in splits.assignment.items()} == official


def test_a_part_that_is_not_official_is_dealt_out_of_the_training_part():
    official = {p: "test" if i < 20 else "train" for i, p in enumerate(sorted(labelled()))}
    splits = make_splits(labelled(), fractions=(0.6, 0.2, 0.2), official=official)
    assert splits.patients("test") == {p for p, name in official.items() if name == "test"}
    assert len(splits.patients("val")) == 10  # a quarter of those left
    assert len(splits.patients("train")) == 30


def test_one_official_part_alone_is_dealt_as_a_dataset_of_its_own():
    alone = make_splits(labelled(), official=dict.fromkeys(labelled(), "train"))
    assert alone == make_splits(labelled())
    assert make_splits(labelled(), official=dict.fromkeys(labelled(), "")) == alone
    tests_only = make_splits(labelled(), official=dict.fromkeys(labelled(), "test"))
    assert len(tests_only.patients("test")) == 60
