"""`cmrjax export`: checked files of a trained model, all or nothing."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from jax import export as jax_export

from cmrjax import cli, load_model
from cmrjax import export as job
from cmrjax.core.errors import CmrjaxError, UserError
from cmrjax.evals.base import Row
from cmrjax.evals.model_folder import read_model_folder, read_weights
from cmrjax.evals.workdir_encoder import load_encoder, load_workdir_model
from cmrjax.exporting import stablehlo
from cmrjax.exporting.towers import towers
from cmrjax.models.parameters import flatten
from tests.workdirs import SMALL, write_workdir

CLIPS = np.random.default_rng(0).random((2, 4, 16, 16), np.float32)


@pytest.fixture(scope="module")
def root(tiny_dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    write_workdir(tiny_dataset, root / "run", steps=(2, 5), **SMALL)
    rows = [
        Row(name, "checkpoint", "bright", "auroc", 0.75, 0.5, 0.9, 8, 4, "test", step)
        for name in ("zero_shot", "zero_shot_elsewhere")
        for step in (2, 5)
    ]
    found = json.dumps([dataclasses.asdict(row) for row in rows])
    (root / "run" / "results.json").write_text(found)
    return root


def run(root, output, *words) -> int:
    return cli.main(["export", "--workdir", str(root / "run"), "--output", str(output), *words])


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_the_checkpoint_with_its_card(root, tiny_dataset, tmp_path, capsys):
    output = tmp_path / "made" / "cine-n8"
    assert run(root, output, "--licence", "mit", "--intended-use", "Teaching.") == 0
    assert files(output) == {
        "README.md",
        "config.json",
        "contract.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    }
    out = capsys.readouterr().out
    assert "arrays bit for bit" in out
    np.testing.assert_array_equal(
        load_model(output).encode_cine(CLIPS), load_encoder(root / "run").encode_cine(CLIPS)
    )
    require_nothing_private(output, root, tiny_dataset)
    model = read_model_folder(output)
    assert model.step == 5
    assert (model.training.objective, model.training.seed) == ("contrastive", 3)
    (part,) = model.training.data
    assert (part.split, part.fold, len(part.dataset), len(part.splits)) == ("train", None, 64, 64)
    card = (output / "README.md").read_text()
    for words in ("# cine-n8", "0.750", "0.500 to 0.900", "16 patients", "weights: mit", "Teach"):
        assert words in card
    assert "elsewhere" not in card


def require_nothing_private(folder, root, dataset):
    """No path of this machine, no patient's hashed id, no text of a report."""
    secrets = (str(dataset), str(root), str(folder), ".py", "000000000000001", "s bright.")
    for path in folder.iterdir():
        content = path.read_bytes()
        assert [s for s in secrets if s.encode() in content] == [], path.name


def test_weights_alone_are_one_file_of_the_asked_step(root, tmp_path):
    assert run(root, tmp_path / "w", "--format", "safetensors", "--step", "2") == 0
    assert files(tmp_path / "w") == {"model.safetensors"}
    found = read_weights(tmp_path / "w" / "model.safetensors")
    for path, leaf in flatten(load_workdir_model(root / "run", step=2).params).items():
        assert found[path].tobytes() == leaf.tobytes()
        assert found[path].shape == leaf.shape


def test_programs_run_without_the_package_and_their_differences_are_printed(
    root, tiny_dataset, tmp_path, capsys
):
    pytest.importorskip("jax2onnx", reason="the extra 'onnx' is not installed")
    import onnxruntime

    output = tmp_path / "programs"
    assert run(root, output, "--format", "onnx", "--format", "stablehlo") == 0
    names = {f"{tower}.{kind}" for tower in ("video", "text") for kind in ("stablehlo", "onnx")}
    assert files(output) == names
    out = capsys.readouterr().out
    assert all(name in out for name in names)
    assert out.count("largest difference") == 4
    require_nothing_private(output, root, tiny_dataset)
    z = load_encoder(root / "run").encode_cine(CLIPS)
    program = jax_export.deserialize(bytearray((output / "video.stablehlo").read_bytes()))
    np.testing.assert_allclose(program.call(CLIPS)[0], z, rtol=1e-4, atol=1e-5)
    session = onnxruntime.InferenceSession(output / "video.onnx")
    np.testing.assert_allclose(session.run(["z"], {"clips": CLIPS})[0], z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "torch"], "unknown format 'torch'; use some of folder, safetensors"),
        (["--step", "3"], "no checkpoint of step 3"),
        (["--workdir", "{root}/none"], "not a workdir"),
        (["--output", "{root}/run"], "exists already"),
        (["--output", "{root}/run/config.json/x"], "cannot be made"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(root, tmp_path, capsys, words, says):
    before = files(root / "run")
    assert run(root, tmp_path / "out", *(word.format(root=root) for word in words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cmrjax export: error: ")
    assert says in line
    assert files(tmp_path) == set()
    assert files(root / "run") == before


def test_a_model_folder_is_exported_as_a_checkpoint_is(root, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(root, first, "--licence", "mit") == 0
    words = ["export", "--model", str(first), "--output", str(second)]
    assert cli.main(words) == 0
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes(), path.name
    capsys.readouterr()
    assert cli.main([*words, "--output", str(tmp_path / "third"), "--licence", "mit"]) == 2
    assert "--licence with --model; edit the folder's README.md" in capsys.readouterr().err
    assert files(tmp_path) == {"first", "second"}


def test_a_missing_extra_is_named_before_anything_is_read(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    assert run(root, tmp_path / "out", "--format", "folder,onnx") == 2
    assert "pip install 'cmrjax[onnx]'" in capsys.readouterr().err
    assert files(tmp_path) == set()


def refused(tower):
    if tower.name == "text":
        raise NotImplementedError("no such operation\nand a long story")
    return stablehlo.to_stablehlo(tower)


def test_a_tower_that_cannot_be_exported_says_so_and_the_other_goes_on(root, tmp_path, capsys):
    model = load_workdir_model(root / "run")
    found = job.programs(towers(model), tmp_path, refused, stablehlo.load_stablehlo, "StableHLO")
    assert [line.file for line in found] == ["video.stablehlo"]
    assert files(tmp_path) == {"video.stablehlo"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "cmrjax export: text: cannot be exported to StableHLO: no such operation"


def test_a_program_that_gives_something_else_is_an_error_and_no_file(root, tmp_path):
    model = load_workdir_model(root / "run")

    def wrong(content):
        program = stablehlo.load_stablehlo(content)
        return lambda array: [1.01 * np.asarray(out) for out in program(array)]

    with pytest.raises(CmrjaxError, match="z differs from the source by"):
        list(job.programs(towers(model), tmp_path, stablehlo.to_stablehlo, wrong, "StableHLO"))
    assert files(tmp_path) == set()


def test_nothing_to_show_is_the_users_error(root, tmp_path, monkeypatch):
    text = dataclasses.replace(load_workdir_model(root / "run"))
    monkeypatch.setattr(
        job.stablehlo,
        "to_stablehlo",
        lambda tower: refused(dataclasses.replace(tower, name="text")),
    )
    with pytest.raises(UserError, match="nothing could be exported"):
        job.export(text, tmp_path, formats=["stablehlo"], card="")


def test_a_run_whose_dataset_is_gone_says_so(root, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(root / "run", moved)
    config = json.loads((moved / "config.json").read_text())
    config["data"]["dataset"] = "/nowhere"
    (moved / "config.json").write_text(json.dumps(config))
    words = ["export", "--workdir", str(moved), "--output", str(tmp_path / "model")]
    assert cli.main(words) == 0
    (part,) = read_model_folder(tmp_path / "model").training.data
    assert (part.dataset, part.splits) == ("", "")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "records not given, of the splits not given" in card
    assert "nowhere" not in card


def test_a_dataset_that_was_prepared_anew_is_not_called_the_training_data(root, tmp_path, capsys):
    moved = tmp_path / "run"
    shutil.copytree(root / "run", moved)
    parts = json.loads((moved / "contract.json").read_text())
    parts["dataset"] |= {"spacing_mm": 1.5, "crop": "centre"}
    (moved / "contract.json").write_text(json.dumps(parts))
    words = ["export", "--workdir", str(moved), "--output", str(tmp_path / "model")]
    assert cli.main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "spacing_mm: dataset 2.0, checkpoint 1.5; crop: dataset motion" in line
    assert not (tmp_path / "model").exists()


def test_the_page_of_documentation_runs(root, tmp_path, monkeypatch):
    pytest.importorskip("jax2onnx", reason="the extra 'onnx' is not installed")
    page = (Path(__file__).resolve().parents[1] / "docs" / "export.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    assert run(root, tmp_path / "cine-n", "--format", "folder,stablehlo,onnx") == 0
    monkeypatch.chdir(tmp_path)
    found = []
    for block in blocks:
        scope = {"clips": CLIPS}
        exec(block, scope)
        found.append(scope)
    ours, video, text, program = found
    for z in (video["z"], program["z"]):
        np.testing.assert_allclose(z, ours["z"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(text["w"], ours["w"], rtol=1e-4, atol=1e-5)
