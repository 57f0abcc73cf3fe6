"""Maps by hand: rollout, expansion of axis-wise attention, and the share inside a mask."""

import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.evals.attention import (
    centre_map,
    expand_space,
    expand_time,
    rollout,
    share_inside,
    to_frames,
)
from cmrjax.models.layers import TokenGrid

RNG = np.random.default_rng(0)


def attention(*shape):
    weights = RNG.random(shape)
    return jnp.asarray(weights / weights.sum(-1, keepdims=True), jnp.float32)


def test_rollout_of_two_layers_by_hand():
    first, second = attention(1, 3, 3), attention(1, 3, 3)
    mixed = [(np.asarray(layer[0]) + np.eye(3)) / 2 for layer in (first, second)]
    found = rollout([first, second])
    np.testing.assert_allclose(found[0], mixed[1] @ mixed[0], rtol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)


def test_tokens_that_see_themselves_alone_roll_out_to_themselves():
    same = jnp.broadcast_to(jnp.eye(4), (2, 4, 4))
    np.testing.assert_array_equal(rollout([same] * 5), same)


def test_attention_over_time_stays_at_its_place():
    grid = TokenGrid(prefix=1, times=2, places=3)
    weights = attention(2 * 3, 2, 2)
    whole = np.asarray(expand_time(weights, grid))
    assert whole.shape == (2, 7, 7)
    np.testing.assert_allclose(whole.sum(-1), 1, rtol=1e-5)
    assert whole[0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0], "the class token passes by"
    # Second clip, place 2: token 1 + 0 * 3 + 2 looks at itself and at 1 + 1 * 3 + 2.
    np.testing.assert_allclose(whole[1, 3, [3, 6]], weights[3 + 2, 0])


def test_attention_over_space_stays_in_its_time_and_the_class_token_is_the_mean():
    grid = TokenGrid(prefix=1, times=2, places=3)
    weights = attention(2 * 2, 4, 4)
    whole = np.asarray(expand_space(weights, grid))
    assert whole.shape == (2, 7, 7)
    np.testing.assert_allclose(whole.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(whole[0, 4, [0, 4, 5, 6]], weights[1, 1])  # time 1, first place
    assert (whole[0, 4, 1:4] == 0).all()
    np.testing.assert_allclose(whole[0, 0, 0], weights[:2, 0, 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(whole[0, 0, 4:], weights[1, 0, 1:] / 2, rtol=1e-5)


def test_a_map_lies_where_its_token_is():
    relevance = np.zeros((1, 2 * 2 * 2))
    relevance[0, 4 + 1] = 3.0  # second time, first row, second column
    maps = np.asarray(to_frames(jnp.asarray(relevance), grid=(2, 2, 2), clip=(8, 16, 16)))
    assert maps.shape == (1, 8, 16, 16)
    assert maps.min() >= 0
    assert maps.sum() == pytest.approx(1, rel=1e-5)
    t, h, w = np.unravel_index(maps.argmax(), maps.shape[1:])
    assert t >= 6
    assert h <= 3
    assert w >= 12
    assert maps[0, 4:, :8, 8:].sum() > 0.5


def test_a_map_of_nothing_is_uniform_and_a_tiny_one_is_not():
    maps = to_frames(jnp.zeros((1, 4)), grid=(1, 2, 2), clip=(2, 4, 4))
    np.testing.assert_allclose(maps, 1 / 32)
    tiny = to_frames(jnp.array([[0, 0, 0, 1e-25]]), grid=(1, 2, 2), clip=(2, 4, 4))
    assert float(tiny[0, 0, 3, 3]) > 0.05
    assert float(tiny.sum()) == pytest.approx(1, rel=1e-5)


def test_share_inside_counts_annotated_frames_alone():
    masks = np.zeros((3, 2, 4, 4), np.uint8)
    masks[:, 0, :2, :2] = 3
    masks[:, 1] = 1  # a frame that nobody drew
    annotated = np.array([[True, False]] * 3)
    maps = np.full((3, 2, 4, 4), 1 / 32)
    maps[1] = 0
    maps[1, 0, 0, 0], maps[1, 1, 3, 3] = 0.25, 0.75
    maps[2] = 0
    maps[2, 1, 0, 0] = 1.0  # says nothing of the frame that was drawn
    share, area = share_inside(maps, masks, annotated)
    np.testing.assert_allclose(area, 0.25)
    np.testing.assert_allclose(share, [0.25, 1.0, 0.25])


def test_without_heart_in_sight_there_is_no_share():
    masks, maps = np.zeros((2, 1, 2, 2), np.uint8), np.full((2, 1, 2, 2), 0.25)
    masks[1] = 1
    for values in share_inside(maps, masks, np.array([[True], [False]])):
        assert np.isnan(values).all()


def test_the_blot_in_the_middle():
    maps = centre_map((2, 3, 12, 24))
    np.testing.assert_allclose(maps.sum(axis=(1, 2, 3)), 1)
    np.testing.assert_allclose(maps, maps[:, :, ::-1, ::-1])
    # Two thirds of a normal lie within one deviation: 4 of 12 rows, 8 of 24 columns.
    assert maps[0, 0, 4:8, 8:16].sum() * 3 == pytest.approx(0.683**2, abs=0.02)
