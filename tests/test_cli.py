"""The command line: wrong input is one line on stderr, exit code 2, and nothing is written."""

import dataclasses
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmrjax import __version__, cli
from cmrjax.core.errors import (
    EXIT_CORRUPT,
    EXIT_PREEMPTED,
    EXIT_USER,
    CmrjaxError,
    CorruptDataError,
    PreemptedError,
    UserError,
)
from cmrjax.data.contract import save_contract
from tests.tiny import tiny_config, tiny_contract
from tests.workdirs import write_workdir

ROOT = Path(__file__).resolve().parents[1]


def refused(capsys, *words: object) -> str:
    """Runs a command that must be refused; its one line on stderr."""
    assert cli.main([str(word) for word in words]) == EXIT_USER
    out = capsys.readouterr()
    assert out.out == ""
    (line,) = out.err.splitlines()
    assert line.startswith(f"cmrjax {words[0]}: error: ")
    return line


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def test_help_lists_every_verb(capsys):
    for words in (["--help"], ["-h"]):
        assert cli.main(words) == 0
        text = capsys.readouterr().out
        assert all(f"  {verb} " in text for verb in cli.VERBS)
    assert cli.main([]) == EXIT_USER
    assert cli.main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_is_a_job_with_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: cmrjax {verb}" in capsys.readouterr().out
    module = importlib.import_module(f"cmrjax.{verb}")
    source = Path(str(module.__file__)).read_text()
    assert f'("{verb}", sys.argv[1:])' in source.split('if __name__ == "__main__":')[1]


def test_an_unknown_verb_is_one_line(capsys):
    assert cli.main(["trian"]) == EXIT_USER
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown verb 'trian'" in line
    assert "train" in line


def test_a_module_is_its_verb():
    for verb, missing in (("train", "--config, --workdir"), ("status", "workdir")):
        words = [sys.executable, "-m", f"cmrjax.{verb}"]
        ended = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
        assert ended.returncode == EXIT_USER
        assert ended.stdout == ""
        assert (
            f"cmrjax {verb}: error: the following arguments are required: {missing}"
            in (ended.stderr.splitlines()[-1])
        )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("wrong"), EXIT_USER),
        (CorruptDataError("broken"), EXIT_CORRUPT),
        (PreemptedError("stopped"), EXIT_PREEMPTED),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_a_job_raises_is_an_exit_code_and_one_line(error, code, capsys, monkeypatch):
    def main(argv):
        assert argv == ["x"]
        raise error

    monkeypatch.setattr("cmrjax.status.main", main)
    assert cli.run("status", ["x"]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_message_says_what_where_and_what_to_do_on_one_line():
    error = CmrjaxError("is\nwrong", where="file.py", fix="mend\n  it")
    assert str(error) == "file.py: is wrong; mend it"


def config_file(folder: Path, config: dict) -> Path:
    path = folder / "config.py"
    path.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config(words=''):\n    return ConfigDict({config!r})\n"
    )
    return path


@pytest.fixture
def base(tiny_dataset):
    """A whole config; overrides may name any of its keys."""
    config = tiny_config(tiny_dataset, mesh={"data": 1, "fsdp": 1}, pretrained={"workdir": ""})
    config["data"] |= {"fold": (), "crop_size": 0, "split": "train"}
    return config


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--config.stepz=1"], "unknown key 'stepz'"),
        (["--config.steps=ten"], "steps"),
        (["--config.data.dataset=nowhere"], "is not a dataset"),
        (["--config.data.fold=(7,5)"], "no fold 7 of 5"),
        (["--config.data.crop_size=32"], "a crop of 32 from frames of 16"),
        (["--config.data.clip_frames=8"], "a clip of 8 frames from cines of 4"),
        (["--config.text.vocabulary_size=0", "--config.steps=0"], "steps = 0"),
        (["--config.objective.name=magic"], "name = 'magic'"),
        (["--mesh", "data=3"], "does not cover 8 devices"),
        (["--mesh", "data:3"], "write data=4,fsdp=2"),
        (["--mesh", "data=8", "--config.batch_size=4"], "4 does not divide over 8 devices"),
    ],
)
def test_a_wrong_training_run_is_refused(base, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    mesh = [] if "--mesh" in words else ["--mesh", "data=8"]
    path = config_file(tmp_path, base)
    line = refused(capsys, "train", "--config", path, "--workdir", "w", *mesh, *words)
    assert says in line
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("section", ["augment", "text", "objective", "model", "optim", "data"])
def test_an_unknown_key_of_any_section_is_named(base, tmp_path, capsys, section):
    base[section] = {**base[section], "typo": 1}
    path = config_file(tmp_path, base)
    line = refused(
        capsys, "train", "--config", path, "--workdir", tmp_path / "w", "--mesh", "data=8"
    )
    assert f"config.{section}: unknown keys ['typo']" in line
    assert not (tmp_path / "w").exists()


def test_train_leaves_other_folders_alone(base, tmp_path, capsys):
    path = config_file(tmp_path, base)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    before = files(tmp_path)
    for name, says in (("file", "not a folder"), ("photos", "not a workdir")):
        words = ("--config", path, "--workdir", tmp_path / name)
        assert says in refused(capsys, "train", *words)
    assert "no such config file" in refused(
        capsys, "train", "--config", tmp_path / "nofile.py", "--workdir", tmp_path / "w"
    )
    assert files(tmp_path) == before


@pytest.fixture(scope="module")
def workdir(tiny_dataset, tmp_path_factory):
    return write_workdir(tiny_dataset, tmp_path_factory.mktemp("cli") / "w", steps=(2, 5))


@pytest.mark.parametrize("kind", ["missing", "empty", "dataset"])
@pytest.mark.parametrize("verb", ["evaluate", "report", "status"])
def test_a_wrong_workdir_is_refused_and_untouched(verb, kind, tiny_dataset, tmp_path, capsys):
    folder = tmp_path / "w"
    if kind == "empty":
        folder.mkdir()
    elif kind == "dataset":
        shutil.copytree(tiny_dataset, folder)
    before = files(tmp_path)
    words = {
        "evaluate": ("--config", ROOT / "configs" / "eval_zero_shot.py", "--workdir", folder),
        "report": ("--workdir", folder),
        "status": (folder,),
    }
    assert "workdir" in refused(capsys, verb, *words[verb]) or kind == "dataset"
    assert files(tmp_path) == before


def test_a_dataset_with_another_contract_is_refused_by_field(
    workdir, tiny_dataset, tmp_path, capsys
):
    other = tmp_path / "other"
    shutil.copytree(tiny_dataset, other)
    contract = dataclasses.replace(
        tiny_contract(), spacing_mm=1.25, orientation="canonical", id_namespace="public:else"
    )
    save_contract(other, contract)
    before = files(workdir)
    words = ("--workdir", workdir, f"--config.data={other}")
    line = refused(capsys, "evaluate", "--config", ROOT / "configs/eval_zero_shot.py", *words)
    assert "spacing_mm: dataset 1.25, checkpoint 2.0" in line
    assert "orientation: dataset canonical, checkpoint acquired" in line
    assert "public:else" not in line, "ids are never compared"
    assert "cmrjax prepare --contract" in line
    assert files(workdir) == before


def test_status_says_where_a_run_stands(workdir, tmp_path, capsys):
    copy = tmp_path / "w"
    shutil.copytree(workdir, copy)
    (copy / "metrics.jsonl").write_text('{"step": 4, "loss": 1.25}\n{"step": 5, "lo')
    assert cli.main(["status", str(copy)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("done: step 5 of 5")
    assert lines[1:] == ["checkpoints: 2, 5", "loss 1.2500 at step 4"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '"done"', '{"state": "done"}'])
def test_a_status_file_that_is_none_is_refused(tmp_path, capsys, text):
    (tmp_path / "status.json").write_text(text)
    assert "status.json is missing or unreadable" in refused(capsys, "status", tmp_path)


def test_a_workdir_config_that_is_none_is_refused(workdir, tmp_path, capsys):
    for text in ("", "[]", "3", json.dumps({"steps": 1})):
        copy = tmp_path / str(len(text))
        shutil.copytree(workdir, copy)
        (copy / "config.json").write_text(text)
        refused(capsys, "report", "--workdir", copy)
