"""Checkpoints: whole or not counted, checked before they are read, restored to the bit."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from cmrjax.core import checkpoint
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.partitioning import make_mesh, replicated


def make_state(seed: int = 0):
    rng = np.random.default_rng(seed)
    kernel = jnp.asarray(rng.standard_normal((8, 4)), jnp.float32)
    params = {"tower": {"kernel": kernel, "bias": jnp.full(4, jnp.float32(1e-30))}}
    opt_state = optax.adamw(1e-3).init(params)
    opt_state = jax.tree.map(lambda x: x + jnp.asarray(3, x.dtype), opt_state)
    return {
        "params": params,
        "extra": {},
        "opt_state": opt_state,
        "step": jnp.int32(7),
        "examples": jnp.uint32(2**32 - 5),
    }


def targets(state, sharding):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("checkpoints")
    checkpoint.save(workdir, 7, make_state())
    return workdir


@pytest.fixture
def workdir(saved, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(saved, tmp_path / "w")
    return tmp_path / "w"


def test_a_state_comes_back_to_the_bit_with_the_optimizer(saved):
    state, mesh = make_state(), make_mesh()
    same_bits(checkpoint.restore(saved, 7, targets(state, replicated(mesh))), state)


def test_a_state_is_restored_onto_another_mesh(saved):
    mesh = make_mesh({"data": 4, "fsdp": 2})
    target = targets(make_state(), replicated(mesh))
    split = jax.NamedSharding(mesh, P("fsdp"))
    kernel = target["params"]["tower"]["kernel"]
    target["params"]["tower"]["kernel"] = jax.ShapeDtypeStruct(
        kernel.shape, kernel.dtype, sharding=split
    )
    restored = checkpoint.restore(saved, 7, target)
    assert restored["params"]["tower"]["kernel"].sharding == split
    same_bits(restored, make_state())


def test_parameters_alone_come_back_as_numpy(saved):
    step, params = checkpoint.restore_params(saved)
    assert step == 7
    assert isinstance(params["tower"]["kernel"], np.ndarray)
    same_bits(params, make_state()["params"])


def test_a_step_without_its_manifest_does_not_count(workdir):
    half = checkpoint.folder(workdir, 9)
    shutil.copytree(checkpoint.folder(workdir, 7), half)
    (half / checkpoint.MANIFEST).unlink()
    (workdir / "checkpoints" / "tmp-12").mkdir()
    assert checkpoint.steps(workdir) == [7]
    assert checkpoint.restore_params(workdir)[0] == 7
    with pytest.raises(UserError, match=r"no checkpoint of step 9.*available steps: \[7\]"):
        checkpoint.restore_params(workdir, 9)


def test_an_unfinished_step_is_written_over(workdir):
    half = checkpoint.folder(workdir, 9)
    half.mkdir()
    (half / "left-over").write_text("of a killed run")
    checkpoint.save(workdir, 9, make_state(1))
    assert checkpoint.steps(workdir) == [7, 9]
    assert not (half / "left-over").exists()
    same_bits(checkpoint.restore_params(workdir, 9)[1], make_state(1)["params"])


def test_no_checkpoint_is_the_users_error(tmp_path):
    assert checkpoint.steps(tmp_path / "absent") == []
    with pytest.raises(UserError, match="no complete checkpoint"):
        checkpoint.restore_params(tmp_path)


def test_steps_are_sorted_as_numbers(tmp_path):
    for step in (100, 9, 20):
        checkpoint.folder(tmp_path, step).mkdir(parents=True)
        (checkpoint.folder(tmp_path, step) / checkpoint.MANIFEST).write_text("{}")
    assert checkpoint.steps(tmp_path) == [9, 20, 100]


def files(workdir):
    found = [p for p in checkpoint.folder(workdir, 7).rglob("*") if p.is_file()]
    return sorted(p for p in found if p.name != checkpoint.MANIFEST)


def test_every_file_counts(workdir):
    assert checkpoint.verify(workdir, 7) == len(files(workdir)) > 2


def test_every_single_flipped_bit_is_named(workdir):
    for path in files(workdir):
        whole = path.read_bytes()
        if not whole:
            continue
        damaged = bytearray(whole)
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CorruptDataError) as caught:
            checkpoint.verify(workdir, 7)
        assert str(path.relative_to(workdir)) in str(caught.value)
        path.write_bytes(whole)
    checkpoint.verify(workdir, 7)


def test_a_missing_file_is_named(workdir):
    gone = files(workdir)[0]
    gone.unlink()
    with pytest.raises(CorruptDataError, match=str(gone.relative_to(workdir))):
        checkpoint.restore(workdir, 7, targets(make_state(), replicated(make_mesh())))


def test_an_extra_file_is_named(workdir):
    (checkpoint.folder(workdir, 7) / "state" / "stray").write_text("x")
    with pytest.raises(CorruptDataError, match="checkpoints/7/state/stray"):
        checkpoint.verify(workdir, 7)


@pytest.mark.parametrize("text", ["", "[]", '{"step": 7}', '{"sha256": 1}', '{"sha'])
def test_an_unreadable_manifest_is_named(workdir, text):
    (checkpoint.folder(workdir, 7) / checkpoint.MANIFEST).write_text(text)
    with pytest.raises(CorruptDataError, match=r"checkpoints/7/manifest\.json"):
        checkpoint.restore_params(workdir, 7)


def test_parameters_are_not_read_from_a_damaged_checkpoint(workdir):
    largest = max(files(workdir), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-1] ^= 128
    largest.write_bytes(content)
    with pytest.raises(CorruptDataError):
        checkpoint.restore_params(workdir)


def test_the_newest_are_kept(tmp_path):
    state = {"params": {"x": jnp.arange(3.0)}}
    for step in (2, 10, 30):
        checkpoint.save(tmp_path, step, state, keep=2)
    assert checkpoint.steps(tmp_path) == [10, 30]
    assert not checkpoint.folder(tmp_path, 2).exists()
    checkpoint.save(tmp_path, 40, state)
    assert checkpoint.steps(tmp_path) == [10, 30, 40]
    manifest = json.loads((checkpoint.folder(tmp_path, 40) / checkpoint.MANIFEST).read_text())
    assert manifest["step"] == 40
