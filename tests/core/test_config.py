"""Config files and their overrides; whatever is wrong with them is one line."""

import dataclasses

import pytest

from cmrjax.core.config import load_config, split_overrides
from cmrjax.core.errors import UserError
from cmrjax.core.sections import to_dataclass

CONFIG = """
from ml_collections import ConfigDict

def get_config(size: str = "small") -> ConfigDict:
    if size == "broken":
        raise ValueError("first line\\nsecond line")
    if size == "typo":
        return {"small": 1}[size]
    if size == "list":
        return [1]
    return ConfigDict(
        {"steps": 10, "rate": 0.5, "flag": True, "fold": (), "size": size,
         "optim": {"rate": 0.1, "betas": (0.9, 0.95)}}
    )
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return str(path)


def test_a_config_is_plain_data(file):
    config = load_config(file)
    assert config == {
        "steps": 10,
        "rate": 0.5,
        "flag": True,
        "fold": (),
        "size": "small",
        "optim": {"rate": 0.1, "betas": (0.9, 0.95)},
    }
    assert type(config["optim"]) is dict


def test_words_after_the_colon_reach_the_function(file):
    assert load_config(f"{file}:large")["size"] == "large"


def test_overrides_of_every_kind(file):
    words = [
        "--config.steps=12",
        "--config.optim.rate=1e-3",
        "--config.flag=false",
        "--config.fold=(1, 5)",
        "--config.optim.betas=(0.8, 0.9)",
        "--config.size=a=b",
    ]
    config = load_config(file, words)
    assert (config["steps"], config["optim"]["rate"], config["flag"]) == (12, 1e-3, False)
    assert (config["fold"], config["optim"]["betas"]) == ((1, 5), (0.8, 0.9))
    assert config["size"] == "a=b"
    assert load_config(file)["steps"] == 10, "an override must not outlive its call"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--config.stepz=1"], "unknown key 'stepz'. Did you mean \"steps\""),
        (["--config.optim.lr=1"], "unknown key 'lr'"),
        (["--config.steps=many"], "steps"),
        (["--config.steps=1.5"], "steps"),
        (["--config.fold=(1,"], "fold"),
        (["--config.optim=3"], "optim"),
        (["--config.flag=maybe"], "flag"),
        (["--config.size.rows=3"], "config.size is a value, no section"),
        (["--config.optim.rate.peak=3"], "config.optim.rate is a value, no section"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(file, words, named):
    with pytest.raises(UserError) as caught:
        load_config(file, words)
    assert "\n" not in str(caught.value)
    assert named in str(caught.value)
    assert file in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (":broken", "first line; correct the config"),
        (":typo", "unknown key 'typo'"),
        (":list", "ConfigDict"),
    ],
)
def test_a_config_file_that_fails_is_one_line(file, suffix, message):
    with pytest.raises(UserError, match=message) as caught:
        load_config(file + suffix)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_config_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py: no such config file"):
        load_config(str(tmp_path / "absent.py:args"))
    for name, text in (("syntax.py", "def get_config(:"), ("empty.py", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=name):
            load_config(str(tmp_path / name))


def test_config_words_are_told_from_flags():
    words = ["--workdir", "w", "--config.a.b=1", "--config", "f.py", "--config.c=(1, 2)"]
    ours, others = split_overrides(words)
    assert ours == ["--config.a.b=1", "--config.c=(1, 2)"]
    assert others == ["--workdir", "w", "--config", "f.py"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    needed: int
    also: str
    sizes: tuple[int, ...] = (1,)
    more: dict = dataclasses.field(default_factory=dict)


def test_a_section_becomes_a_dataclass_and_json_lists_tuples():
    section = to_dataclass(Section, {"needed": 1, "also": "x", "sizes": [2, 3]}, where="s")
    assert section == Section(needed=1, also="x", sizes=(2, 3))


def test_every_wrong_key_of_a_section_is_named_at_once():
    with pytest.raises(UserError) as caught:
        to_dataclass(Section, {"needed": 1, "b": 1, "a": 2}, where="optim")
    line = str(caught.value)
    assert "config.optim: unknown keys ['a', 'b'] and missing ['also']" in line
    assert "known keys: needed, also, sizes, more" in line
