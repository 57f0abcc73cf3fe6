"""Landmarks are read to a fraction of a pixel, and may be absent."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.models.landmarks import LandmarkHead, Landmarks, absent_probability, soft_argmax
from tests.models.networks import filled

ROWS, COLUMNS = np.indices((24, 20))


def blob(row, column, sigma=1.5):
    """Logits whose softmax is a Gaussian."""
    return -((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2 * sigma**2)


def test_a_gaussian_between_pixels_is_read_where_it_is():
    heatmaps = np.stack([blob(10.3, 7.8), blob(12.0, 9.5, sigma=0.7)], axis=-1)
    points = soft_argmax(jnp.asarray(heatmaps, jnp.float32))
    np.testing.assert_allclose(points, [[10.3, 7.8], [12.0, 9.5]], atol=0.05)


def test_an_absent_landmark_outweighs_all_pixels_together():
    flat = jnp.zeros((1, 1, 24, 20, 1))
    points = soft_argmax(flat)
    for logit, expected in ((np.log(480), 0.5), (np.log(480) + np.log(9), 0.9), (-20, 0.0)):
        found = absent_probability(Landmarks(flat, jnp.full((1, 1, 1), logit), points))
        assert float(found[0, 0, 0]) == pytest.approx(expected, abs=1e-5)


def head(clip, grid, *, width=16, landmarks=3):
    return lambda: LandmarkHead(
        width, landmarks, clip=clip, grid=grid, channels=16, rngs=nnx.Rngs(0)
    )


def test_shapes_over_frames():
    graph, state = nnx.split(filled(head((4, 16, 16), (2, 2, 2))))
    run = jax.jit(lambda tokens, clips: nnx.merge(graph, state)(tokens, clips))
    found = run(jnp.ones((2, 8, 16)), jnp.ones((2, 4, 16, 16)))
    assert found.heatmaps.shape == (2, 4, 16, 16, 3)
    assert found.absent.shape == (2, 4, 3)
    assert found.points.shape == (2, 4, 3, 2)
    np.testing.assert_allclose(found.points, soft_argmax(found.heatmaps), atol=1e-4)


def test_it_learns_to_point_and_to_say_that_there_is_nothing():
    rng = np.random.default_rng(0)
    points, there = rng.uniform(4, 12, (16, 2)), np.arange(16) % 4 > 0
    rows, columns = np.indices((16, 16))
    spot = np.exp(-((rows - points[:, :1, None]) ** 2 + (columns - points[:, 1:, None]) ** 2) / 4)
    clips = spot[:, None] * there[:, None, None, None] + 0.02 * rng.standard_normal((16, 1, 16, 16))
    tokens = clips.reshape(16, 4, 4, 4, 4).mean(axis=(2, 4)).reshape(16, 16, 1).repeat(4, -1) * 4
    target = (spot / spot.sum(axis=(1, 2), keepdims=True)).reshape(16, -1) * there[:, None]
    wanted = np.concatenate([target, ~there[:, None]], axis=1)
    graph, state = nnx.split(filled(head((1, 16, 16), (1, 4, 4), width=4, landmarks=1), scale=0.1))
    optimizer = optax.adam(1e-2)

    def loss(state):
        found = nnx.merge(graph, state)(jnp.float32(tokens), jnp.float32(clips))
        cells = [found.heatmaps.reshape(16, -1), found.absent.reshape(16, 1)]
        each = optax.softmax_cross_entropy(jnp.concatenate(cells, axis=1), jnp.float32(wanted))
        return each.mean(), found

    @jax.jit
    def step(state, moments):
        gradient, found = jax.grad(loss, has_aux=True)(state)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(state, updates), moments, found

    moments = optimizer.init(state)
    for _ in range(100):
        state, moments, found = step(state, moments)
    error = np.hypot(*(np.asarray(found.points)[:, 0, 0] - points)[there].T)
    assert error.mean() < 0.5, error
    absent = np.asarray(absent_probability(found))[:, 0, 0]
    assert absent[there].max() < 0.5 < absent[~there].min()
