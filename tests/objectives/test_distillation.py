"""The losses of self-distillation against NumPy and numbers worked out by hand."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.objectives.distillation import (
    koleo_loss,
    pair_cross_entropy,
    sinkhorn_knopp,
    teacher_statistics,
    teacher_targets,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.uniform(-1, 1, (6, 5)).astype(np.float32)
HALF = np.array([1, 1, 0, 1, 0, 1], np.float32)
# Compiled whole: op by op the many small programs take seconds.
targets_of = jax.jit(
    partial(teacher_targets, temperature=0.5, momentum=0.9), static_argnames="centring"
)
sinkhorn = jax.jit(sinkhorn_knopp)
koleo = jax.jit(jax.value_and_grad(koleo_loss))
statistics = jax.jit(teacher_statistics)


def softmax(x):
    exp = np.exp(np.asarray(x, np.float64))
    return exp / exp.sum(-1, keepdims=True)


def test_targets_are_centred_and_the_centre_follows_the_mean_of_what_counts():
    centre = np.linspace(-0.2, 0.2, 5).astype(np.float32)
    targets, after = targets_of(LOGITS, HALF, centre, centring="centre")
    np.testing.assert_allclose(targets, softmax((LOGITS - centre) / 0.5), rtol=1e-5)
    mean = LOGITS[HALF > 0].mean(0)
    np.testing.assert_allclose(after, 0.9 * centre + 0.1 * mean, rtol=1e-5)


def test_a_batch_of_padding_leaves_the_centre():
    centre = np.arange(5, dtype=np.float32)
    _, after = targets_of(LOGITS, np.zeros(6, np.float32), centre, centring="centre")
    np.testing.assert_array_equal(after, centre)


def test_without_centring_the_centre_is_neither_used_nor_moved():
    centre = np.arange(5, dtype=np.float32)
    targets, after = targets_of(LOGITS, HALF, centre, centring="none")
    np.testing.assert_allclose(targets, softmax(LOGITS / 0.5), rtol=1e-5)
    np.testing.assert_array_equal(after, centre)


@pytest.mark.parametrize("centring", ["centre", "sinkhorn", "none"])
def test_no_gradient_reaches_the_teacher(centring):
    def total(logits):
        targets, _ = targets_of(logits, HALF, np.zeros(5, np.float32), centring=centring)
        return jnp.sum(targets**2)

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(LOGITS), 0)


def sinkhorn_by_hand(logits, temperature, iterations):
    """Oquab et al. 2024's three normalisations, as published, in float64."""
    q = np.exp(np.asarray(logits, np.float64) / temperature).T
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(1, keepdims=True) * len(q)
        q /= q.sum(0, keepdims=True) * q.shape[1]
    return (q * q.shape[1]).T


def test_sinkhorn_knopp_is_the_published_one_over_what_counts():
    found = np.asarray(sinkhorn(LOGITS, HALF, temperature=0.3))
    expected = sinkhorn_by_hand(LOGITS[HALF > 0], 0.3, 3)
    np.testing.assert_allclose(found[HALF > 0], expected, rtol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_after_enough_iterations_every_prototype_has_the_same_share():
    found = np.exp(LOGITS / 0.3)
    for _ in range(30):
        found = np.asarray(sinkhorn(np.log(found), HALF, temperature=1.0))
    np.testing.assert_allclose(HALF @ found, HALF.sum() / 5, rtol=1e-4)


def test_sinkhorn_knopp_holds_where_its_exponentials_would_not():
    # exp(100 / 0.04) is no float; each image takes the prototype that it alone likes.
    sure = 100 * np.eye(6, 5, dtype=np.float32)
    found = sinkhorn(sure, np.array([1, 1, 1, 1, 1, 0], np.float32), temperature=0.04)
    np.testing.assert_allclose(found[:5], np.eye(5), atol=1e-6)
    assert np.isfinite(sinkhorn(LOGITS, np.zeros(6, np.float32), temperature=0.04)).all()


def test_cross_entropy_of_every_pair():
    targets = np.array([[[0.5, 0.5], [1.0, 0.0]]], np.float32)
    logits = np.array([[[0.0, 0.0], [0.0, math.log(3) / 10], [0.2, 0.0]]], np.float32)
    found = jax.jit(partial(pair_cross_entropy, temperature=0.1))(targets, logits)
    third = np.log1p(np.exp([2.0, -2.0]))
    expected = [
        [math.log(2), (math.log(4) + math.log(4 / 3)) / 2, third.mean()],
        [math.log(2), math.log(4), third[1]],
    ]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_koleo_by_hand():
    # Unit vectors at 0, 60 and 180 degrees: nearest neighbours at 1, 1 and sqrt(3).
    z = np.array([[2, 0], [0.5, math.sqrt(0.75)], [-3, 0], [1, 0.01]], np.float32)
    found, _ = koleo(z, np.array([1, 1, 1, 0], np.float32))
    assert float(found) == pytest.approx(-math.log(3) / 2 / 3, rel=1e-4)


@pytest.mark.parametrize("weights", [[1, 1], [1, 0], [0, 0]])
def test_koleo_is_finite_for_equal_vectors_and_for_one_alone(weights):
    weights = np.array(weights, np.float32)
    value, gradient = koleo(np.ones((2, 3), np.float32), weights)
    assert np.isfinite(gradient).all()
    assert (float(value) > 10) == (weights.sum() == 2)


def test_what_outputs_say_about_their_image():
    # Three images, each sure of one of two prototypes; what pads the batch is sure of another.
    targets = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float32)
    entropy, information = statistics(targets, np.array([1, 1, 1, 0], np.float32))
    mixed = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert float(entropy) == pytest.approx(0, abs=1e-6)
    assert float(information) == pytest.approx(mixed / math.log(4), rel=1e-5)
    for row, spread in (([1.0, 0, 0, 0], 0.0), ([0.25] * 4, 1.0)):
        entropy, information = statistics(np.array([row] * 4, np.float32), np.ones(4, np.float32))
        assert float(entropy) == pytest.approx(spread, abs=1e-6)
        assert float(information) == pytest.approx(0, abs=1e-6)
