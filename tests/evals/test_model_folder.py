"""A model folder is the model to the bit; what is wrong with one is said in a line."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from cmrjax import load_model
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.data.contract import InputContract
from cmrjax.evals.encoder import NoTextTowerError
from cmrjax.evals.model import Model, TrainedOn, Training
from cmrjax.evals.model_folder import (
    is_model_folder,
    read_model_folder,
    read_training,
    seal,
    write_model_folder,
)
from cmrjax.evals.workdir_encoder import load_encoder, load_workdir_model
from cmrjax.models.build import make_model
from cmrjax.models.parameters import flatten
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import filled
from tests.workdirs import SMALL, write_workdir

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = ["The blood pool is bright.", "No bright blood is seen."]
TRAINING = Training(
    objective="contrastive",
    seed=3,
    data=(
        TrainedOn(dataset="ab", splits="cd", split="train", fold=(1, 5)),
        TrainedOn(dataset="", splits="", split="train", fold=None),
    ),
)


@pytest.fixture(scope="module")
def root(tiny_dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    write_workdir(tiny_dataset, root / "run", steps=(5,), **SMALL)
    model = dataclasses.replace(load_workdir_model(root / "run"), training=TRAINING)
    write_model_folder(root / "model", model, card="A card.")
    return root


@pytest.fixture
def folder(root, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(root / "model", tmp_path / "model"))


def rewrite(folder: Path, **changes) -> None:
    """Other values in config.json, under a manifest that knows them."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)


def test_a_model_comes_back_to_the_bit(root):
    ours, theirs = load_workdir_model(root / "run"), read_model_folder(root / "model")
    expected, found = flatten(ours.params), flatten(theirs.params)
    assert expected.keys() == found.keys()
    for path, leaf in expected.items():
        assert found[path].dtype == leaf.dtype
        assert found[path].shape == leaf.shape
        assert found[path].tobytes() == leaf.tobytes()
    for name in ("config", "input", "dataset_contract", "step"):
        assert getattr(theirs, name) == getattr(ours, name)
    assert theirs.tokenizer.get_vocab() == ours.tokenizer.get_vocab()
    assert theirs.training == TRAINING == read_training(root / "model")
    assert (root / "model" / "README.md").read_text() == "A card."


def test_a_loaded_folder_encodes_as_its_checkpoint(root):
    ours, theirs = load_encoder(root / "run"), load_model(str(root / "model"))
    clips = np.random.default_rng(0).random((2, 4, 16, 16), np.float32)
    np.testing.assert_array_equal(theirs.encode_cine(clips), ours.encode_cine(clips))
    np.testing.assert_array_equal(theirs.encode_text(SENTENCES), ours.encode_text(SENTENCES))
    assert theirs.logit_scale == ours.logit_scale


def test_a_video_tower_alone_has_no_dataset_contract_and_no_tokenizer(tmp_path):
    config = VideoViTConfig(size=(16, 1, 2), clip=(2, 8, 8), tubelet=(2, 8, 8))
    network = filled(lambda: make_model(config, rngs=nnx.Rngs(0)))
    model = Model(
        config=config,
        params=nnx.to_pure_dict(nnx.state(network, nnx.Param)),
        input=InputContract(2, "uniform", 8, "unit", (), "none", 0),
    )
    write_model_folder(tmp_path / "video", model, card="")
    encoder = load_model(tmp_path / "video", name="rival")
    assert (encoder.name, encoder.dataset_contract) == ("rival", None)
    assert encoder.encode_cine(np.zeros((1, 2, 8, 8), np.float32)).shape == (1, 16)
    with pytest.raises(NoTextTowerError):
        encoder.encode_text(SENTENCES)
    assert read_training(tmp_path / "video") is None


def test_no_file_names_a_path_or_a_patient(root, tiny_dataset):
    for path in (root / "model").iterdir():
        content = path.read_bytes()
        assert str(tiny_dataset.parent).encode() not in content
        assert str(root).encode() not in content
        assert b"0000000000000001" not in content  # a patient's hashed id
        assert b"pool is bright" not in content


def test_a_folder_is_written_once_and_whole(root):
    model = load_workdir_model(root / "run")
    with pytest.raises(UserError, match="exists already"):
        write_model_folder(root / "model", model, card="")
    with pytest.raises(AttributeError):
        write_model_folder(root / "half", model, card=None)  # type: ignore[arg-type]
    assert not (root / "half").exists()
    assert {p.name for p in root.iterdir()} == {"run", "model"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "other"}, "is not a model folder"),
        ({"version": 2}, r"version 2 of the format; this cmrjax reads 1"),
        ({"kind": "tower"}, "unknown kind 'tower'"),
        ({"model": {}}, "without its towers"),
        ({"model": 3}, "not a model's config"),
        ({"step": "last"}, "not a model's config"),
        ({"training": {"seed": 1}}, "not a model's config"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(folder, changes, says):
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=says) as error:
        read_model_folder(folder)
    assert str(folder) in str(error.value)


def test_weights_of_another_network_are_named_with_both_shapes(folder):
    config = json.loads((folder / "config.json").read_text())
    config["model"]["joint"] = 8
    rewrite(folder, model=config["model"])
    with pytest.raises(UserError, match=r"project_text/bias \(16,\) for \(8,\)"):
        read_model_folder(folder)


def test_a_folder_that_is_none_is_the_users_error(root, tmp_path):
    for path in (tmp_path, root / "run", root / "none"):
        assert not is_model_folder(path)
        with pytest.raises(UserError, match="is not a model folder"):
            load_model(path)
    assert is_model_folder(root / "model")


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "contract.json"]
)
def test_a_damaged_or_missing_file_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptDataError, match=name):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(CorruptDataError, match=name):
        load_model(folder)


def test_the_card_may_be_edited_and_results_may_lie_beside(folder):
    (folder / "README.md").write_text("My own words.")
    (folder / "results.json").write_text("[]")
    assert load_model(folder).step == 5


FIVE_LINES = """
from cmrjax import load_model
model = load_model({folder!r})
z = model.encode_cine(np.zeros((2, 4, 16, 16), np.float32))
w = model.encode_text(["The blood pool is bright."])
print((z @ w.T).shape)
"""
# Neither training, nor DICOM, nor datasets, nor pages. optax stays: flax itself imports it.
ABSENT = (
    "orbax",
    "grain",
    "tensorflow_datasets",
    "tensorflow",
    "pydicom",
    "nibabel",
    "ml_collections",
    "matplotlib",
    "tensorboardX",
    "array_record",
    "google_crc32c",
    "jinja2",
    "PIL",
    "tqdm",
    "jax2onnx",
    "onnx",
    "onnxruntime",
)
BLOCK = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))
import numpy as np
"""


def test_it_loads_in_five_lines_without_the_training_extras(root):
    script = BLOCK.format(absent=ABSENT) + FIVE_LINES.format(folder=str(root / "model"))
    words = [sys.executable, "-c", script]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.stdout == "(2, 1)\n", ended.stderr
