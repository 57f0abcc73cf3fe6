"""`cmrjax import`: a model folder that gives what the source gives, or one line and nothing."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from cmrjax import cli, load_model
from cmrjax.core.errors import EXIT_CORRUPT, EXIT_USER
from cmrjax.data import tokenizer as wordpiece
from cmrjax.evals.model_folder import read_model_folder
from tests.models.pretrained.sources import GOLDEN, expected
from tests.workdirs import write_workdir

ROOT = Path(__file__).resolve().parents[1]
VIT = ["--channels", "sum", "--allow-unexpected", "pooler.*"]


def run(source, target, *words):
    return cli.main(["import", "--input", str(source), "--output", str(target), *words])


@pytest.fixture
def bert(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "bert")
    tokens = [*wordpiece.SPECIAL, "the", "heart", *(f"[unused{i}]" for i in range(33))]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    return folder


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_an_imported_vit_is_a_model_folder_that_encodes_as_the_source(tmp_path, capsys):
    assert run(GOLDEN / "vit", tmp_path / "m", *VIT) == 0
    text = capsys.readouterr().out
    assert "31 taken, 0 resampled, 0 missing, 2 unexpected" in text
    assert "unexpected  pooler.dense.bias (32,)" in text
    model = load_model(tmp_path / "m")
    assert (model.input.clip_frames, model.input.crop_size) == (1, 16)
    assert model.input.tokenizer == "none"
    reference = expected("vit")
    z = model.encode_cine(reference["grey"][:, None])
    np.testing.assert_allclose(z, unit(reference["tokens"][:, 0]), atol=1e-4)
    card = (tmp_path / "m" / "README.md").read_text()
    assert "vit as vit: 31 taken" in card
    assert str(GOLDEN) not in card


def test_an_imported_bert_encodes_sentences(tmp_path, bert):
    assert run(bert, tmp_path / "m", "--max-tokens", "8") == 0
    model = load_model(tmp_path / "m")
    assert (model.input.tokenizer, model.input.max_tokens) == ("wordpiece", 8)
    z = model.encode_text(["The heart", "the unknown heart"])
    assert z.shape == (2, 32)
    assert np.abs(z[0] - z[1]).max() > 0.01
    tokenizer = read_model_folder(tmp_path / "m").tokenizer
    ids = wordpiece.encode(tokenizer, ["The heart"], max_tokens=8)[0]
    assert ids.tolist() == [2, 5, 6, 3, 0, 0, 0, 0]


def test_a_text_tower_needs_its_own_vocabulary(tmp_path, bert, capsys):
    with (bert / "vocab.txt").open("a") as file:
        file.write("one\ntoo many\n")
    assert run(bert, tmp_path / "m") == EXIT_USER
    assert "42 tokens, but embeddings of 40" in capsys.readouterr().err
    (bert / "vocab.txt").unlink()
    assert run(bert, tmp_path / "m") == EXIT_USER
    assert "no vocab.txt or tokenizer.json" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_the_words_of_the_message_are_the_words_that_help(tmp_path, capsys):
    assert run(GOLDEN / "dinov2", tmp_path / "m", "--channels", "sum") == EXIT_USER
    *table, line = capsys.readouterr().err.splitlines()
    assert "unexpected  embeddings.mask_token (1, 32)" in "\n".join(table)
    assert line.startswith("cmrjax import: error: ")
    assert not (tmp_path / "m").exists()
    words = shlex.split(line.split("if that is meant: ")[1])
    assert run(GOLDEN / "dinov2", tmp_path / "m", "--channels", "sum", *words) == 0


def test_every_choice_has_a_flag(tmp_path):
    words = ["--frames", "8", "--tubelet-frames", "2", "--size", "24", "--inflate", "central"]
    words += ["--positions", "resample", "--pool", "mean", "--std", "0.5", "0.5", "0.5", "--mean"]
    assert run(GOLDEN / "vit", tmp_path / "m", *VIT, *words, "0.1") == EXIT_USER  # three stds
    words += ["0.1", "0.2", "0.3"]
    assert run(GOLDEN / "vit", tmp_path / "m", *VIT, *words) == 0
    model = read_model_folder(tmp_path / "m")
    assert (model.config.clip, model.config.tubelet) == ((8, 24, 24), (2, 4, 4))
    assert model.config.pool == "mean"


def test_the_commands_of_the_documentation_work(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "import.md").read_text()
    lines = [line.strip() for line in page.splitlines() if "--input tests/golden" in line]
    assert lines
    monkeypatch.chdir(ROOT)
    for line in lines:
        words = shlex.split(line)[1:]
        words[words.index("--output") + 1] = str(tmp_path / "m")
        assert cli.main(words) == 0


def test_nothing_is_written_over_and_nothing_is_left_half(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    assert run(GOLDEN / "vit", tmp_path / "m", *VIT) == EXIT_USER
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_pickles_and_broken_files_end_with_their_exit_codes(tmp_path, capsys):
    pickled, broken = tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors"
    pickled.write_bytes(b"\x80\x02}.")
    broken.write_bytes((GOLDEN / "vit" / "model.safetensors").read_bytes()[:-9])
    assert run(pickled, tmp_path / "m") == EXIT_USER
    assert "weights_only=True" in capsys.readouterr().err
    assert run(broken, tmp_path / "m") == EXIT_CORRUPT
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_model_of_ours_changes_frames_and_size_and_keeps_its_history(tiny_dataset, tmp_path):
    workdir = write_workdir(tiny_dataset, tmp_path / "w", steps=(3,))
    words = ["--frames", "8", "--size", "24"]
    assert run(workdir, tmp_path / "m", *words) == EXIT_USER
    assert run(workdir, tmp_path / "m", *words, "--positions", "resample") == 0
    model = read_model_folder(tmp_path / "m")
    assert (model.kind, model.step) == ("two_tower", 3)
    assert model.config.video.clip == (8, 24, 24)
    assert (model.input.clip_frames, model.input.crop_size) == (8, 24)
    assert model.dataset_contract is not None
    assert model.tokenizer is not None
