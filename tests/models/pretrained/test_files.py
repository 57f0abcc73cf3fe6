"""Files that others wrote: read if they are whole and safe, refused in one line if not."""

import json
import pickle
import shutil
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from cmrjax.core.errors import CmrjaxError, CorruptDataError, UserError
from cmrjax.models.pretrained.files import read_weights
from tests.models.pretrained.sources import GOLDEN

SOURCE = GOLDEN / "vit"
CONTENT = (GOLDEN / "videomae_classifier" / "model.safetensors").read_bytes()


def test_a_folder_and_its_file_hold_the_same(tmp_path):
    folder, file = read_weights(SOURCE), read_weights(SOURCE / "model.safetensors")
    theirs = load_file(SOURCE / "model.safetensors")
    assert folder.tensors.keys() == file.tensors.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(folder.tensors[key], value)
    assert folder.config == file.config == json.loads((SOURCE / "config.json").read_text())
    shutil.copy(SOURCE / "model.safetensors", tmp_path / "alone.safetensors")
    alone = read_weights(tmp_path / "alone.safetensors")
    assert (alone.config, alone.preprocessor) == (None, None)


def test_half_precision_is_read_as_it_is(tmp_path):
    values = np.array([1.5, -2.25, 3e-3])
    kinds = {"a": np.float16, "b": ml_dtypes.bfloat16, "c": np.float64}
    save_file(
        {name: values.astype(kind) for name, kind in kinds.items()}, tmp_path / "x.safetensors"
    )
    tensors = read_weights(tmp_path / "x.safetensors").tensors
    for name, kind in kinds.items():
        np.testing.assert_array_equal(tensors[name], values.astype(kind))


def shards(folder):
    """The source in two shards with an index."""
    folder.mkdir()
    held = load_file(SOURCE / "model.safetensors")
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    places = {key: names[i % 2] for i, key in enumerate(sorted(held))}
    for name in names:
        save_file({k: v for k, v in held.items() if places[k] == name}, folder / name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return index, places


def test_shards_are_one_network(tmp_path):
    index, _ = shards(tmp_path / "m")
    whole = read_weights(SOURCE).tensors
    found = read_weights(index.parent).tensors
    assert found.keys() == whole.keys()
    assert all((found[key] == whole[key]).all() for key in whole)


def test_shards_that_are_missing_elsewhere_or_incomplete_are_refused(tmp_path):
    index, places = shards(tmp_path / "m")
    first = min(places)
    for name, kind, message in (
        ("../vit/model.safetensors", UserError, "names '../vit/model.safetensors'"),
        ("/etc/passwd", UserError, "names '/etc/passwd'"),
        ("model-00003-of-00002.safetensors", UserError, "is missing"),
        (next(n for n in places.values() if n != places[first]), CorruptDataError, "no " + first),
    ):
        index.write_text(json.dumps({"weight_map": places | {first: name}}))
        with pytest.raises(kind, match=message):
            read_weights(index.parent)
    index.write_text('{"weight_map": 3}')
    with pytest.raises(CorruptDataError, match="no weight_map"):
        read_weights(index.parent)


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".pyth", ".pt", ".ckpt", ".pkl"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps({"a": 1}))
    for given_path in (path, tmp_path):  # the file, and the folder that has nothing else
        with pytest.raises(UserError, match=r"python -c .*weights_only=True.*") as found:
            read_weights(given_path)
        assert str(found.value).endswith(f"{path.name} model.safetensors")
        assert "\n" not in str(found.value)


def test_a_folder_with_safe_weights_may_hold_a_pickle_too(tmp_path):
    shutil.copytree(SOURCE, tmp_path / "m")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"\x80\x02}.")
    assert read_weights(tmp_path / "m").tensors


@pytest.mark.parametrize(
    "content",
    [
        b"",
        CONTENT[:6],
        CONTENT[:-1],
        CONTENT[: len(CONTENT) // 2],
        CONTENT + b"x",
        struct.pack("<Q", 2**40) + CONTENT[8:],
        struct.pack("<Q", 2**63) + CONTENT[8:],
        CONTENT[:8] + b"\xff" * 64 + CONTENT[72:],
        b"PK\x03\x04" + CONTENT,
        pickle.dumps({"a": 1}) * 9,
    ],
)
def test_a_file_that_is_not_whole_is_corrupt_and_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"model\.safetensors: not a whole safetensors file"):
        read_weights(path)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 600), byte=st.integers(0, 255))
def test_any_byte_of_a_header_may_change_without_a_traceback(tmp_path_factory, at, byte):
    path = tmp_path_factory.mktemp("flip") / "model.safetensors"
    content = bytearray(CONTENT)
    content[at] = byte
    path.write_bytes(content)
    try:
        lines = len(read_weights(path).tensors) > 0
    except CmrjaxError as error:
        lines = len(str(error).splitlines())
    assert lines == 1


def test_what_is_no_weights_is_the_users_error(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"x")
    (tmp_path / "list").mkdir()
    shutil.copy(SOURCE / "model.safetensors", tmp_path / "list" / "model.safetensors")
    (tmp_path / "list" / "config.json").write_text("[1]")
    (tmp_path / "other").mkdir()
    shutil.copy(SOURCE / "model.safetensors", tmp_path / "other" / "weights.safetensors")
    for path, message in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path / "model.h5", "not a .safetensors file"),
        (tmp_path / "list", r"config\.json: not a JSON object"),
        (tmp_path / "other", r"no model\.safetensors; give the file itself"),
    ):
        with pytest.raises(UserError, match=message):
            read_weights(path)
