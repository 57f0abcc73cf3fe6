"""The encoders of a workdir are its checkpoints: parameters of the step, network of the run."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from cmrjax.assembly import make_objective
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.evals.encoder import make_encoder
from cmrjax.evals.workdir_encoder import load_encoder, load_workdir_model, random_encoder
from cmrjax.experiment import load_run_config
from tests.workdirs import SMALL, write_workdir


@pytest.fixture(scope="module")
def root(tiny_dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    write_workdir(tiny_dataset, root / "run", steps=(2, 5), **SMALL)
    return root


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).random((4, 4, 16, 16), np.float32)


def test_an_earlier_step_is_another(root, clips):
    trained = load_encoder(root / "run").encode_cine(clips)
    np.testing.assert_allclose(np.linalg.norm(trained, axis=1), 1, rtol=1e-5)
    earlier = load_encoder(root / "run", step=2, name="early")
    assert (earlier.name, earlier.step) == ("early", 2)
    assert np.abs(earlier.encode_cine(clips) - trained).max() > 0.01


def test_an_untrained_network_has_the_runs_seed_unless_given_another(root, clips):
    model = load_workdir_model(root / "run")
    run = load_run_config(root / "run")
    vocabulary = model.config.text.vocabulary
    objective = make_objective(run, model.input, vocabulary=vocabulary, source=None)
    start = jax.jit(objective.init)(jax.random.key(3))[0]  # the config's seed
    expected = make_encoder(dataclasses.replace(model, params=start), name="start")
    untrained = random_encoder(root / "run")
    assert (untrained.name, untrained.step) == ("random", 0)
    assert untrained.input == model.input
    assert untrained.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)
    own = untrained.encode_cine(clips)
    np.testing.assert_array_equal(own, expected.encode_cine(clips))
    other = random_encoder(root / "run", seed=4).encode_cine(clips)
    assert np.abs(own - other).max() > 0.01


def test_a_folder_that_is_no_workdir_is_the_users_error(root, tmp_path):
    for load in (load_encoder, random_encoder):
        with pytest.raises(UserError, match="not a workdir"):
            load(tmp_path)
    with pytest.raises(UserError, match=r"no checkpoint of step 3.*\[2, 5\]"):
        load_encoder(root / "run", step=3)


def test_a_workdir_that_lacks_a_part_or_is_damaged_is_named(root, tmp_path):
    for part, error in (
        ("tokenizer.json", UserError),
        ("contract.json", UserError),
        ("checkpoints/5/state", CorruptDataError),
    ):
        workdir = tmp_path / part.replace("/", "-")
        shutil.copytree(root / "run", workdir)
        path = workdir / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        with pytest.raises(error, match=part.split("/")[0]):
            load_encoder(workdir)
    contract = json.loads((root / "run" / "contract.json").read_text())
    del contract["input"]["clip_frames"]
    workdir = tmp_path / "contract"
    shutil.copytree(root / "run", workdir)
    (workdir / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(UserError, match="clip_frames"):
        load_encoder(workdir)
