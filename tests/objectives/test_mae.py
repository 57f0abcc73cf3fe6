"""Masked autoencoding: masks, targets and errors by hand, what padding does, and that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.build import abstract_model
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.mae import (
    Mae,
    MaeConfig,
    draw_masks,
    hidden_count,
    masked_error,
    normalised,
)
from tests.models.networks import filled

KEY = jax.random.key(0)
MASKS = jax.jit(draw_masks, static_argnums=(1, 2), static_argnames=("ratio", "masking"))
OFF = AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0)
OBJECTIVE = Mae(
    model=VideoViTConfig(
        size=(32, 1, 2), tubelet=(2, 2, 2), clip=(4, 8, 8), remat="none", motion_gain=2.0
    ),
    config=MaeConfig(
        mask_ratio=0.75, masking="tube", decoder_width=32, decoder_depth=1, decoder_heads=2
    ),
    augment=OFF,
)


def test_masked_error_by_hand():
    # Two examples of one hidden tubelet of two pixels; a third one is padding.
    targets = np.array([[[1.0, 3.0]], [[2.0, 6.0]], [[50.0, 50.0]]])
    predicted = np.array([[[1.0, 2.0]], [[4.0, 6.0]], [[0.0, 0.0]]])
    error, variance = masked_error(predicted, targets, jnp.array([1.0, 1.0, 0.0]))
    assert float(error) == pytest.approx((0 + 1 + 4 + 0) / 4)
    assert float(variance) == pytest.approx((2**2 + 0 + 1**2 + 3**2) / 4)  # about the mean, 3
    error, variance = masked_error(predicted, targets, jnp.zeros(3))
    assert float(error) == float(variance) == 0


def test_targets_are_normalised_in_each_tubelet():
    tubelets = np.array([[[0.2, 0.4, 0.2, 0.4], [0.5, 0.5, 0.5, 0.5]]])
    found = normalised(tubelets)
    np.testing.assert_allclose(found[0, 0], [-1, 1, -1, 1], rtol=1e-3)
    np.testing.assert_allclose(found[0, 1], 0, atol=1e-6)


def test_seen_and_hidden_together_are_all():
    # Of 25 places 18.75 would be hidden; 18 are, at each of the four times.
    for masking, ratio, seen in (("random", 0.9, 10), ("tube", 0.75, 28)):
        kept, hidden = MASKS(KEY, 5, (4, 5, 5), ratio=ratio, masking=masking)
        assert kept.shape == (5, seen)
        both = np.sort(np.concatenate([kept, hidden], axis=1), axis=1)
        np.testing.assert_array_equal(both, np.broadcast_to(np.arange(100), (5, 100)))
        assert (np.diff(kept, axis=1) > 0).all()
        assert len(np.unique(kept, axis=0)) == 5, "examples share a mask"


def test_a_tube_hides_the_same_places_at_all_times():
    hidden = np.asarray(MASKS(KEY, 6, (4, 3, 5), ratio=0.6, masking="tube")[1])
    by_time = hidden.reshape(6, 4, 9) - 15 * np.arange(4)[:, None]
    np.testing.assert_array_equal(by_time, by_time[:, :1].repeat(4, axis=1))
    loose = np.zeros((6, 60), bool)
    np.put_along_axis(
        loose, np.asarray(MASKS(KEY, 6, (4, 3, 5), ratio=0.6, masking="random")[1]), True, axis=1
    )
    assert (loose.reshape(6, 4, 15).sum(axis=2) != 9).any()


def test_every_place_is_hidden_as_often():
    hidden = np.asarray(MASKS(KEY, 2000, (1, 4, 4), ratio=0.75, masking="random")[1])
    share = np.bincount(hidden.ravel(), minlength=16) / 2000
    assert np.abs(share - 0.75).max() < 0.05  # five standard deviations


def test_published_counts():
    assert hidden_count(196, 0.75) == 147
    assert hidden_count(196, 0.9) == 176
    assert hidden_count(10, 0.7) == 7


def toy_batch(seed=0, b=16):
    """Slow waves in space and time, whose hidden parts follow from the seen ones."""
    rng = np.random.default_rng(seed)
    t, y, x = np.indices((4, 8, 8))
    phase, fy, fx = (
        rng.uniform(0, 6.28, (3, b, 2, 1, 1, 1))
        * np.array([1, 0.1, 0.1])[:, None, None, None, None, None]
    )
    waves = np.sin(fy * y + fx * x + 0.5 * t + phase)
    clips = (127 + 100 * waves).astype(np.uint8)
    return {"clips": clips, "clip_mask": np.ones((b, 2), bool)}


OPTIMIZER = optax.adam(5e-3)


@jax.jit
def train_step(params, moments, batch, key):
    loss = lambda params: OBJECTIVE.loss(params, {}, batch, key, 0)  # noqa: E731
    (value, aux), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, moments = OPTIMIZER.update(gradient, moments)
    return optax.apply_updates(params, updates), moments, value, aux.metrics, gradient


@pytest.fixture(scope="module")
def start():
    params = nnx.to_pure_dict(nnx.state(filled(OBJECTIVE.abstract, scale=0.1), nnx.Param))
    return params, jax.jit(OPTIMIZER.init)(params)


def test_it_learns_what_is_hidden(start):
    params, moments = start
    history = []
    for i in range(100):
        key = jax.random.fold_in(KEY, i)
        params, moments, value, metrics, _ = train_step(params, moments, toy_batch(i), key)
        history.append((float(value), float(metrics["reconstruction_r2"])))
    assert history[-1][0] < 0.5 * history[0][0]
    assert history[0][1] < 0.05
    *_, metrics, _ = train_step(params, moments, toy_batch(1000), KEY)  # never seen
    assert metrics["reconstruction_r2"] > 0.3
    assert metrics["embedding_spread"] > 0
    assert metrics["effective_rank"] > 1


def test_a_cine_that_is_not_there_changes_nothing(start):
    batch = toy_batch()
    batch["clip_mask"][4:, 1] = False
    _, _, value, metrics, gradient = train_step(*start, batch, KEY)
    changed = {name: array.copy() for name, array in batch.items()}
    changed["clips"][4:, 1] = np.random.default_rng(1).integers(0, 255, (12, 4, 8, 8))
    _, _, again, others, same = train_step(*start, changed, KEY)
    assert float(again) == pytest.approx(float(value), rel=1e-6)
    for name in metrics:
        assert float(others[name]) == pytest.approx(float(metrics[name]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), gradient, same)
    changed["clips"][0, 1] = 0
    *_, other, _, _ = train_step(*start, changed, KEY)
    assert abs(float(other) - float(value)) > 1e-3


def test_frames_as_images_by_hand():
    """Even frames and a decoder that always says 1/2: the error needs no mask to be known."""
    config = dataclasses.replace(OBJECTIVE.config, masking="random", normalise_targets=False)
    still = VideoViTConfig(size=(32, 1, 2), tubelet=(1, 4, 4), clip=(1, 8, 8), remat="none")
    objective = Mae(model=still, config=config, augment=OFF)
    params = nnx.to_pure_dict(nnx.state(filled(objective.abstract), nnx.Param))
    params["decoder"]["leave"] = {"kernel": jnp.zeros((32, 16)), "bias": jnp.full(16, 0.5)}
    grey = np.array([[[0, 51, 102], [255, 255, 0]], [[204, 0, 153], [7, 7, 7]]], np.uint8)
    batch = {
        "clips": np.broadcast_to(grey[..., None, None], (2, 2, 3, 8, 8)),
        "clip_mask": np.array([[True, True], [True, False]]),
    }
    value, aux = jax.jit(objective.loss)(params, {}, batch, KEY, 0)
    values = np.array([0, 0.2, 0.4, 1, 1, 0, 0.8, 0, 0.6])
    error = ((values - 0.5) ** 2).mean()
    assert float(value) == pytest.approx(error, rel=1e-4)
    assert float(aux.metrics["reconstruction_r2"]) == pytest.approx(
        1 - error / values.var(), rel=1e-4
    )


def test_the_encoder_is_the_tower():
    params = jax.eval_shape(OBJECTIVE.init, KEY)[0]
    assert set(params) == {"video", "decoder"}
    tower = nnx.to_pure_dict(nnx.state(abstract_model(OBJECTIVE.network), nnx.Param))
    encoder = OBJECTIVE.encoder_params(params, {})
    assert jax.tree.structure(encoder) == jax.tree.structure(tower)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"masking": "block"}, "masking = 'block'"),
        ({"mask_ratio": 1.0}, "mask_ratio = 1.0"),
        ({"mask_ratio": 0.05}, "of 16 tokens hides none or all"),
        ({"decoder_width": 30}, "decoder width 30"),
    ],
)
def test_a_wrong_choice_is_named(changed, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(OBJECTIVE, config=dataclasses.replace(OBJECTIVE.config, **changed))
