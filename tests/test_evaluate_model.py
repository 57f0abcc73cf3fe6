"""`cmrjax evaluate --model`: the numbers of the checkpoint, and the same refusals."""

import dataclasses
import json

import pytest

from cmrjax import cli
from cmrjax import evaluate as job
from cmrjax.core.errors import UserError
from cmrjax.data.contract import save_contract
from cmrjax.evals.base import read_rows
from cmrjax.evals.config import EvalConfig
from cmrjax.evals.jobs import Job
from cmrjax.evals.model import Model
from cmrjax.evals.model_folder import read_model_folder, write_model_folder
from cmrjax.evals.origin import FolderOrigin, WorkdirOrigin, load_trained_model
from tests.tiny import tiny_contract, write_tiny_dataset
from tests.workdirs import SMALL, write_workdir

PROMPTS = {
    "bright": {
        "positive": ["Bright blood is seen throughout."],
        "negative": ["No bright blood is seen."],
    }
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A dataset, a run with two checkpoints, and the last one as a model folder."""
    root = tmp_path_factory.mktemp("models")
    dataset = write_tiny_dataset(root / "ds", patients=36)
    write_workdir(dataset, root / "run", steps=(3, 8), **SMALL)
    write_model_folder(root / "model", load_trained_model(root / "run"), card="")
    (root / "prompts.json").write_text(json.dumps(PROMPTS))
    return root


def config(root, evaluator="zero_shot", **changes):
    fields = {
        "prompts": str(root / "prompts.json"),
        "n_bootstrap": 20,
        "data": str(root / "ds"),
        "schedule": "last_checkpoint",
    }
    return EvalConfig(evaluator=evaluator, **(fields | changes))


@pytest.mark.parametrize("evaluator", ["zero_shot", "linear_probe", "retrieval"])
def test_a_folder_gives_the_rows_of_its_checkpoint(root, evaluator):
    chosen = config(root, evaluator)
    (ours,) = job.evaluate(chosen, WorkdirOrigin(root / "run"))
    (theirs,) = job.evaluate(chosen, FolderOrigin(root / "model"))
    assert theirs == root / "model" / "evals" / evaluator / "8"
    rows = read_rows(theirs / "results.json")
    assert rows == read_rows(ours / "results.json")
    assert {"checkpoint", "random"} <= {row.encoder for row in rows}
    assert set(rows) <= set(read_rows(root / "model" / "results.json"))
    assert job.evaluate(chosen, FolderOrigin(root / "model")) == []
    read_model_folder(root / "model")  # results beside it do no harm


def test_the_command_takes_a_folder_instead_of_a_workdir(root, capsys):
    words = ["--config", f"configs/eval_zero_shot.py:{root / 'prompts.json'}"]
    words += [f"--config.data={root / 'ds'}", "--config.n_bootstrap=20", "--config.suffix=named"]
    assert cli.main(["evaluate", *words, "--model", str(root / "model")]) == 0
    assert "auroc" in capsys.readouterr().out
    assert (root / "model" / "evals" / "zero_shot_named" / "8" / "results.json").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "{root}/none"], "no such model folder"),
        (["--model", "{root}/run"], "is not a model folder"),
        (["--model", "{root}/model", "--config.data="], "names no dataset; give --config.data"),
        (["--model", "{root}/model", "--step", "3"], "no checkpoint of step 3"),
        (["--model", "{root}/model", "--follow"], "give --workdir"),
        (["--model", "{root}/model", "--config.fold=(0,5)"], "were trained on"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(root, capsys, words, says):
    spec = [f"--config=configs/eval_zero_shot.py:{root / 'prompts.json'}"]
    spec += [f"--config.data={root / 'ds'}", *(word.format(root=root) for word in words)]
    assert cli.main(["evaluate", *spec]) == 2
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if "error:" in line]
    assert says in line
    assert captured.out == ""


def test_another_contract_is_refused(root, tmp_path):
    other = write_tiny_dataset(tmp_path / "ds")
    save_contract(other, dataclasses.replace(tiny_contract(), spacing_mm=1.5))
    with pytest.raises(UserError, match=r"spacing_mm: dataset 1\.5, checkpoint 2\.0"):
        Job(config(root, data=str(other)), FolderOrigin(root / "model"))


def test_an_imported_model_is_tried_on_any_dataset_and_the_settings_say_so(root, tmp_path, caplog):
    trained = load_trained_model(root / "run")
    imported = Model(config=trained.config, params=trained.params, input=trained.input)
    imported = dataclasses.replace(imported, tokenizer=trained.tokenizer)
    write_model_folder(tmp_path / "rival", imported, card="")
    (folder,) = job.evaluate(config(root), FolderOrigin(tmp_path / "rival"))
    assert folder.name == "0"
    settings = json.loads((folder / "settings.json").read_text())
    assert "has none" in settings["contract"]
    assert "no dataset contract" in caplog.text
    rows = read_rows(folder / "results.json")
    assert {"checkpoint", "random"} <= {row.encoder for row in rows}
