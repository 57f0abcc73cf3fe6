import pytest

from cmrjax.core.claim import claim
from cmrjax.core.errors import UserError


def test_a_folder_is_taken_once_and_found_again(tmp_path):
    folder = tmp_path / "new"
    claim(folder, "demo.json", {"seed": 0, "steps": None})
    (folder / "results.json").write_text("[]")
    claim(folder, "demo.json", {"seed": 0, "steps": None})
    with pytest.raises(UserError, match=r"other settings: \{'seed': 0, 'steps': None\}"):
        claim(folder, "demo.json", {"seed": 1, "steps": None})


def test_what_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UserError, match=r"without demo\.json"):
            claim(folder, "demo.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_an_unreadable_mark_is_other_settings(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(UserError, match="other settings: None"):
        claim(tmp_path, "demo.json", {})
