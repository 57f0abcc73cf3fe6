"""A manifest names the file that was damaged, and no other."""

import pytest

from cmrjax.core.errors import CorruptDataError
from cmrjax.core.manifest import MANIFEST, read_manifest, verify_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "notes").write_bytes(b"free")
    write_manifest(tmp_path, ["b", "a"])
    return tmp_path


def test_whole_files_pass_and_others_may_change(folder):
    (folder / "notes").write_bytes(b"changed")
    assert verify_manifest(folder) == 2
    assert [*read_manifest(folder)] == ["a", "b"]


def test_a_changed_or_missing_file_is_named(folder):
    (folder / "b").write_bytes(b"twO")
    with pytest.raises(CorruptDataError, match="/b: "):
        verify_manifest(folder)
    (folder / "b").unlink()
    with pytest.raises(CorruptDataError, match="/b: "):
        verify_manifest(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 3}'])
def test_a_manifest_that_is_none_is_damage(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(CorruptDataError, match="manifest"):
        verify_manifest(folder)
