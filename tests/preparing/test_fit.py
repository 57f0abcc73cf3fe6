"""`--contract`: a dataset that fits a given model, or one line that says why there can be none."""

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.contract import InputContract, save_checkpoint_contract, save_contract
from cmrjax.data.standardise import INTENSITY
from cmrjax.preparing.fit import contract_of
from cmrjax.preparing.flags import build_parser
from tests.data.builders import contract

INPUT = InputContract(4, "uniform", 12, "unit", ("findings",), "wordpiece", 32)


def asked(*words: str, source: str = "dicom"):
    line = ["--source", source, "--input", "in", "--output", "out", *words]
    return contract_of(build_parser().parse_args(line), id_namespace="public:x")


def test_without_a_model_the_flags_and_defaults_decide():
    plain = asked()
    assert (plain.size, plain.spacing_mm, plain.frames, plain.masks) == (64, 2.5, 16, False)
    assert (plain.intensity, plain.id_namespace) == (INTENSITY, "public:x")
    assert (plain.dtype, asked("--dtype", "uint16").dtype) == ("uint8", "uint16")
    given = asked("--size", "32", "--spacing", "1.4", "--frames", "5", source="acdc")
    assert (given.size, given.spacing_mm, given.frames, given.masks) == (32, 1.4, 5, True)
    assert asked(source="acdc").frames == 2


@pytest.mark.parametrize("kind", ["workdir", "dataset"])
def test_all_that_a_flag_can_choose_comes_from_the_model(tmp_path, kind):
    views = ("sax", "4ch", "unknown")
    theirs = contract(spacing_mm=1.5, size=12, frames=5, dtype="uint16", views=views)
    if kind == "dataset":
        save_contract(tmp_path, theirs)
    else:
        save_checkpoint_contract(tmp_path, theirs, INPUT)
    got = asked("--contract", str(tmp_path))
    assert (got.spacing_mm, got.size, got.frames, got.views) == (1.5, 12, 5, views)
    assert got.dtype == "uint16"
    assert got.id_namespace == "public:x"
    # Flags that say the same are no contradiction.
    same = ("--size", "12", "--spacing", "1.5", "--frames", "5")
    assert asked("--contract", str(tmp_path), *same) == got


def test_flags_that_contradict_are_named_with_both_values(tmp_path):
    save_contract(tmp_path, contract(size=12, frames=5))
    with pytest.raises(UserError) as caught:
        asked("--contract", str(tmp_path), "--size", "20", "--spacing", "2", "--frames", "7")
    line = str(caught.value)
    assert "--size 20, but the model's data has 12; --frames 7, but the model's data has 5" in line
    assert "--spacing" not in line
    assert str(tmp_path) in line


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": "LPS"},
        {"intensity": "minmax"},
        {"dtype": "float32"},
        {"crop": "centre"},
        {"views": ("sax", "flow")},
        {"version": 9},
        {"dtype": "float32", "crop": "centre"},
    ],
)
def test_what_no_flag_can_choose_is_refused_field_by_field(tmp_path, change):
    save_checkpoint_contract(tmp_path, contract(**change), INPUT)
    with pytest.raises(UserError, match="this version cannot prepare") as caught:
        asked("--contract", str(tmp_path))
    for name, value in change.items():
        assert f"{name}: dataset {getattr(asked(), name)}, checkpoint {value}" in str(caught.value)


def test_an_imported_model_and_a_folder_of_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no contract\.json; give a workdir"):
        asked("--contract", str(tmp_path))
    save_checkpoint_contract(tmp_path, None, INPUT)
    with pytest.raises(UserError, match="was imported: its contract names no dataset"):
        asked("--contract", str(tmp_path))


def test_single_images_are_no_cycle(tmp_path):
    save_contract(tmp_path, contract(frames=16))
    with pytest.raises(UserError, match="single images"):
        asked("--contract", str(tmp_path), source="emidec")
    with pytest.raises(UserError, match="single images"):
        asked("--frames", "16", source="emidec")
