"""An encoder gives what the model's own functions give, whichever towers the model has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import InputContract
from cmrjax.data.records import RecordSource
from cmrjax.data.transforms import prepare_clip
from cmrjax.evals.embeddings import embed, read_cohort
from cmrjax.evals.encoder import NoTextTowerError, NoVideoTowerError, make_encoder, token_summary
from cmrjax.evals.model import Model
from cmrjax.evals.workdir_encoder import load_encoder
from cmrjax.experiment import load_run_config
from cmrjax.models.build import abstract_model
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import filled
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
        z_study = model.encode_study(studies, mask)
        return z_study, model.encode_cine(clips), model.encode_text(ids), tokens

    z_study, z_cine, z_text, tokens = expected(params, clips, ids)
    pooled = summary(tokens, objective.model.video.grid)
    z = encoder.encode_cine(clips)
    np.testing.assert_allclose(z, z_cine, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_tokens(clips), tokens, rtol=1e-4, atol=1e-5)
    studies, mask = clips.reshape(2, 2, *clips.shape[1:]), np.array([[True, True], [True, False]])
    np.testing.assert_allclose(encoder.encode_study(studies, mask), z_study, rtol=1e-4, atol=1e-5)
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


def test_a_supervised_network_has_no_text_and_says_so(root, clips):
    encoder = load_encoder(root / "supervised", name="supervised")
    assert encoder.encode_pooled(clips).shape == (4, 384)
    z = encoder.encode_cine(clips)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    assert encoder.input.tokenizer == "none"
    with pytest.raises(NoTextTowerError, match="encoder supervised: the model has no text tower"):
        encoder.encode_text(SENTENCES)
    assert issubclass(NoTextTowerError, UserError)


def summary(tokens, grid):
    """Mean over all tokens, mean and spread over those of the middle half, one by one."""
    t, h, w = grid
    middle = [
        (time * h + row) * w + column
        for time in range(t)
        for row in range(h // 4, h - h // 4)
        for column in range(w // 4, w - w // 4)
    ]
    inner = np.asarray(tokens)[:, middle]
    return np.concatenate([np.asarray(tokens).mean(1), inner.mean(1), inner.std(1)], axis=1)


@pytest.mark.parametrize("grid", [(1, 4, 4), (2, 5, 8), (3, 2, 1)])
def test_probes_see_the_mean_of_all_tokens_and_mean_and_spread_of_the_middle(grid):
    tokens = np.random.default_rng(0).standard_normal((2, np.prod(grid), 3)).astype(np.float32)
    found = token_summary(jnp.asarray(tokens), grid)
    np.testing.assert_allclose(found, summary(tokens, grid), rtol=1e-5, atol=1e-6)


SIZE = (16, 1, 2)


def drawn(config, **fields):
    params = nnx.to_pure_dict(nnx.state(filled(lambda: abstract_model(config)), nnx.Param))
    contract = InputContract(2, "uniform", 8, "unit", (), "none", 6)
    return Model(**({"config": config, "params": params, "input": contract} | fields))


@pytest.mark.parametrize("pool", ["cls", "attention"])
def test_the_joint_vector_comes_from_the_pooled_one_and_probes_see_the_patches(pool):
    shape = {"clip": (2, 8, 8), "tubelet": (2, 4, 4), "size": SIZE}
    config = VideoViTConfig(**shape, cls_token=True, registers=2, pool=pool)
    model = drawn(config)
    clips = np.random.default_rng(0).random((3, 2, 8, 8), np.float32)
    encoder = make_encoder(model, name="rival")
    tower = nnx.merge(nnx.split(abstract_model(config))[0], model.params)
    pooled, tokens = tower.features(clips)
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    z, spread = encoder.encode(clips)
    np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spread, summary(tokens, (1, 2, 2)), rtol=1e-4, atol=1e-5)
    assert encoder.encode_tokens(clips).shape == (3, 4, 16)  # no class token, no registers


def test_a_text_tower_alone_encodes_sentences_and_refuses_clips(root):
    tokenizer = wordpiece.load_tokenizer(root / "run")
    config = TextEncoderConfig(
        vocabulary=tokenizer.get_vocab_size(), max_tokens=6, width=16, depth=1, heads=2
    )
    encoder = make_encoder(drawn(config, tokenizer=tokenizer), name="rival")
    z = encoder.encode_text(SENTENCES)
    assert z.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    for encode in (encoder.encode_cine, encoder.encode_tokens):
        with pytest.raises(NoVideoTowerError, match="encoder rival: the model has no video tower"):
            encode(np.zeros((1, 2, 8, 8), np.float32))
    with pytest.raises(UserError, match="without a tokenizer"):
        make_encoder(drawn(config), name="rival")
