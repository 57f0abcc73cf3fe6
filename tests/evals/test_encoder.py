"""An encoder is its checkpoint: the parameters of the step, the network and contract of the run."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core import checkpoint
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.records import RecordSource
from cmrjax.data.transforms import prepare_clip
from cmrjax.evals import encoder as encoder_module
from cmrjax.evals.embeddings import embed, read_cohort
from cmrjax.evals.encoder import NoTextTowerError, load_encoder, random_encoder
from cmrjax.experiment import load_run_config, make_objective
from cmrjax.objectives.contrastive import Contrastive
from tests.workdirs import SUPERVISED, write_workdir

SENTENCES = ["The blood pool is bright.", "No bright blood is seen."]


@pytest.fixture(scope="module")
def root(tiny_dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    write_workdir(tiny_dataset, root / "run", steps=(2, 5))
    write_workdir(tiny_dataset, root / "supervised", steps=(4,), objective=SUPERVISED)
    return root


@pytest.fixture(scope="module")
def source(tiny_dataset):
    return RecordSource(tiny_dataset)


@pytest.fixture(scope="module")
def encoder(root):
    return load_encoder(root / "run")


@pytest.fixture(scope="module")
def clips(source, encoder):
    return np.stack([prepare_clip(source[i]["cine"], encoder.input) for i in range(4)])


def test_an_encoder_says_what_it_is(encoder, source):
    assert (encoder.name, encoder.step) == ("checkpoint", 5)
    assert encoder.dataset_contract == source.contract
    assert (encoder.input.clip_frames, encoder.input.crop_size) == (4, 16)
    assert encoder.input.tokenizer == "wordpiece"


def test_vectors_are_those_of_the_models_own_functions(root, encoder, clips, source):
    run = load_run_config(root / "run")
    tokenizer = wordpiece.load_tokenizer(root / "run")
    objective = make_objective(
        run, encoder.input, vocabulary=tokenizer.get_vocab_size(), source=None
    )
    step, params = checkpoint.restore_params(root / "run", 5)
    ids = wordpiece.encode(tokenizer, SENTENCES, max_tokens=10)

    @jax.jit
    def expected(params, clips, ids):
        model = nnx.merge(nnx.split(objective.abstract())[0], params)
        studies = clips.reshape(2, 2, *clips.shape[1:])
        mask = np.array([[True, True], [True, False]])
        tokens = model.video.tokens(clips)
        pooled = jnp.concatenate([tokens.mean(1), tokens.std(1)], axis=1)
        return model.encode_study(studies, mask), pooled, model.encode_text(ids)

    z_study, pooled, z_text = expected(params, clips, ids)
    z = encoder.encode_cine(clips)
    np.testing.assert_allclose(encoder.encode_pooled(clips), pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_text(SENTENCES), z_text, rtol=1e-4, atol=1e-5)
    # What training compares with a sentence is what averaging an encoder's cines gives.
    mean = z[:2].mean(0) / np.linalg.norm(z[:2].mean(0))
    np.testing.assert_allclose(z_study[0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z_study[1], z[2], rtol=1e-4, atol=1e-5)
    scale = np.exp(params["logit_scale"])
    assert encoder.logit_scale == pytest.approx(float(scale))
    assert step == 5


def test_a_study_of_an_evaluator_is_the_mean_of_its_cines(encoder, source):
    cohort = read_cohort(source, split="val")
    found = embed(encoder, cohort, batch_size=4)
    rows = cohort.members[0].rows
    own = np.stack([prepare_clip(source[r]["cine"], encoder.input) for r in (*rows, *rows)])
    z = encoder.encode_cine(own)[:2].mean(0)
    np.testing.assert_allclose(found.z[0], z / np.linalg.norm(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.z, axis=1), 1, rtol=1e-5)


def test_an_earlier_step_and_an_untrained_network_are_others(root, encoder, clips):
    trained = encoder.encode_cine(clips)
    np.testing.assert_allclose(np.linalg.norm(trained, axis=1), 1, rtol=1e-5)
    earlier = load_encoder(root / "run", step=2, name="early")
    assert (earlier.name, earlier.step) == ("early", 2)
    assert np.abs(earlier.encode_cine(clips) - trained).max() > 0.01
    untrained = random_encoder(root / "run")
    assert (untrained.name, untrained.step) == ("random", 0)
    assert np.abs(untrained.encode_cine(clips) - trained).max() > 0.01
    assert untrained.input == encoder.input
    assert untrained.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


def test_an_untrained_network_has_the_runs_seed_unless_given_another(root, monkeypatch):
    # Initial values that tell the key, and nothing compiled from them.
    monkeypatch.setattr(Contrastive, "init", lambda _self, key: (jax.random.uniform(key), {}))
    monkeypatch.setattr(encoder_module, "_encoder", lambda _w, _run, params, **_kw: float(params))
    own = random_encoder(root / "run")
    assert own == float(jax.random.uniform(jax.random.key(3)))  # the config's seed
    assert random_encoder(root / "run", seed=4) == float(jax.random.uniform(jax.random.key(4)))


def test_a_supervised_network_has_no_text_and_says_so(root, clips):
    encoder = load_encoder(root / "supervised", name="supervised")
    assert encoder.encode_pooled(clips).shape == (4, 256)
    z = encoder.encode_cine(clips)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    assert encoder.input.tokenizer == "none"
    with pytest.raises(NoTextTowerError, match="encoder supervised: the model has no text tower"):
        encoder.encode_text(SENTENCES)
    assert issubclass(NoTextTowerError, UserError)


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
