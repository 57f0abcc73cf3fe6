from datetime import date

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.deid.ids import Hasher, days_since_first, keyed_hasher, public_hasher


def test_ids_are_stable_and_hang_on_key_and_kind(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name * 32 + "\n")
    a, again, b = (keyed_hasher(tmp_path / n) for n in ("a", "a", "b"))
    assert a.id("patient", "P1") == again.id("patient", "P1")
    assert len({a.id("patient", "P1"), b.id("patient", "P1"), a.id("study", "P1")}) == 3
    assert a.namespace != b.namespace
    assert public_hasher("acdc").id("patient", "x") == public_hasher("acdc").id("patient", "x")
    assert len(a.id("patient", "P1")) == 16


def test_short_or_missing_keys_are_refused(tmp_path):
    (tmp_path / "short").write_text("secret")
    with pytest.raises(UserError, match="shorter"):
        keyed_hasher(tmp_path / "short")
    with pytest.raises(UserError, match="cannot be read"):
        keyed_hasher(tmp_path / "none")


def test_a_patients_days_move_together_and_nobody_elses():
    ours, theirs = Hasher(b"k" * 16, ""), Hasher(b"x" * 16, "")
    day, later = date(2015, 2, 28), date(2016, 2, 29)
    assert ours.shifted_day("p", later) - ours.shifted_day("p", day) == 366
    assert ours.shifted_day("p", day) == ours.shifted_day("p", day)
    assert len({ours.shifted_day(p, day) for p in "pqrs"} | {theirs.shifted_day("p", day)}) == 5


def test_days_are_counted_from_a_patients_first_study():
    rows = [("p", "b", 400), ("p", "a", 35), ("q", "c", 7), ("q", "d", None), ("r", "e", None)]
    assert days_since_first(rows) == {"a": 0, "b": 365, "c": 0, "d": None, "e": None}


def test_the_key_is_not_printed():
    assert "kkkk" not in repr(Hasher(b"k" * 16, "keyed:1"))
