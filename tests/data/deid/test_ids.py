import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.deid.ids import keyed_hasher, public_hasher


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
