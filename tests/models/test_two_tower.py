"""Both towers map onto unit vectors; a study is the mean of the cines that are there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.heads import StudyRegressor, StudyRegressorConfig
from cmrjax.models.pooling import l2_normalise, masked_mean
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import compiled, filled

VIDEO = VideoViTConfig(variant="N", tubelet=(2, 8, 8), clip=(2, 8, 8), remat="none")
TEXT = TextEncoderConfig(vocabulary=12, max_tokens=4, width=8, depth=1, heads=2)
REGRESSOR = StudyRegressorConfig(video=VIDEO, outputs=2)
MASK = np.array([[True, True, True], [True, True, False], [False, False, False]])
CLIPS = np.random.default_rng(0).random((3, 3, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    config = TwoTowerConfig(video=VIDEO, text=TEXT, joint=6)
    return filled(lambda: TwoTower(config, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def encode_study(model):
    return compiled(model, "encode_study")


def test_a_study_is_the_mean_of_its_cines_that_are_there(model, encode_study):
    z = compiled(model, "encode_cine")(CLIPS.reshape(9, 2, 8, 8)).reshape(3, 3, 6)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, rtol=1e-5)
    mean = np.stack([z[0].mean(0), z[1, :2].mean(0)])
    expected = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    found = encode_study(CLIPS, MASK)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[2], np.zeros(6))


def test_what_lies_behind_the_mask_does_not_matter(encode_study):
    changed = CLIPS.copy()
    changed[1, 2] = 0.7
    before, after = encode_study(CLIPS, MASK), encode_study(changed, MASK)
    np.testing.assert_allclose(before[1], after[1], rtol=1e-5, atol=1e-6)
    assert np.abs(encode_study(changed, np.ones_like(MASK))[1] - before[1]).max() > 1e-4


def test_sentences_are_unit_vectors_in_the_same_space(model):
    z = compiled(model, "encode_text")(np.array([[2, 3, 0, 0], [2, 4, 5, 6]]))
    assert z.shape == (2, 6)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, rtol=1e-5)


def test_the_temperature_starts_where_the_config_says():
    config = TwoTowerConfig(video=VIDEO, text=TEXT, joint=6, init_bias=-3.0)
    init = lambda: TwoTower(config, rngs=nnx.Rngs(0))  # noqa: E731
    scale, bias = jax.jit(lambda: (init().logit_scale[...], init().logit_bias[...]))()
    assert float(jnp.exp(scale)) == pytest.approx(1 / 0.07)
    assert float(bias) == -3


@pytest.mark.parametrize("wrong", [{"init_temperature": 0.0}, {"joint": 0}])
def test_a_space_that_cannot_be_is_named(wrong):
    with pytest.raises(UserError, match=r"config\.model: init_temperature = .*; give"):
        TwoTowerConfig(video=VIDEO, text=TEXT, **wrong)


def test_pooling_known_answers():
    x = jnp.array([[[3.0, 4.0], [1.0, 0.0]], [[9.0, 9.0], [9.0, 9.0]]])
    mask = jnp.array([[True, True], [False, False]])
    np.testing.assert_allclose(masked_mean(x, mask), [[2.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(l2_normalise(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)
    gradient = jax.grad(lambda v: l2_normalise(v).sum())(jnp.zeros(2))
    assert np.isfinite(gradient).all()


def test_a_regressor_pools_before_its_head_and_starts_at_zero():
    model = filled(lambda: StudyRegressor(REGRESSOR, rngs=nnx.Rngs(0)))
    pooled = compiled(model.video)(CLIPS.reshape(9, 2, 8, 8)).reshape(3, 3, -1)
    head = np.asarray(model.head.kernel[...]), np.asarray(model.head.bias[...])
    expected = pooled[1, :2].mean(0) @ head[0] + head[1]
    np.testing.assert_allclose(compiled(model)(CLIPS, MASK)[1], expected, rtol=1e-3, atol=1e-3)
    start = jax.jit(lambda: StudyRegressor(REGRESSOR, rngs=nnx.Rngs(0)).head.kernel[...])()
    np.testing.assert_array_equal(start, np.zeros((128, 2)))
