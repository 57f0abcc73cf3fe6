from dataclasses import replace

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.contract import (
    InputContract,
    differences,
    load_checkpoint_contract,
    load_contract,
    load_model_contract,
    require_same,
    save_checkpoint_contract,
    save_contract,
)
from tests.data.builders import contract

INPUT = InputContract(8, "uniform", 64, "unit", ("findings", "impression"), "wordpiece", 64)


def test_contracts_come_back_from_their_files(tmp_path):
    save_contract(tmp_path, contract())
    assert load_contract(tmp_path) == contract()
    save_checkpoint_contract(tmp_path, contract(), INPUT)
    assert load_checkpoint_contract(tmp_path) == (contract(), INPUT)


def test_an_imported_model_has_no_dataset_part(tmp_path):
    save_checkpoint_contract(tmp_path, None, INPUT)
    assert load_model_contract(tmp_path) == (None, INPUT)
    with pytest.raises(UserError, match="the model was imported"):
        load_checkpoint_contract(tmp_path)
    save_checkpoint_contract(tmp_path, contract(), INPUT)
    assert load_model_contract(tmp_path) == (contract(), INPUT)


def test_each_differing_field_is_named():
    ours, other = contract(), contract(spacing_mm=1.5, frames=30)
    lines = ["spacing_mm: dataset 2.0, checkpoint 1.5", "frames: dataset 4, checkpoint 30"]
    assert differences(ours, other) == lines
    with pytest.raises(UserError, match=r"D: .*spacing_mm.*frames.*--contract"):
        require_same(ours, other, where="D")


def test_ids_and_masks_do_not_make_a_model_unfit():
    require_same(contract(), replace(contract(), id_namespace="keyed:1", masks=True))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"size": 3}'])
def test_a_file_that_is_no_contract_is_one_line(tmp_path, content):
    (tmp_path / "contract.json").write_text(content)
    for load in (load_contract, load_checkpoint_contract):
        with pytest.raises(UserError, match=r"contract\.json"):
            load(tmp_path)
    with pytest.raises(UserError, match="cmrjax prepare"):
        load_contract(tmp_path / "nowhere")
