"""Spread and effective rank of embeddings whose covariance is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.objectives.health_metrics import effective_rank, embedding_spread


def with_covariance(variances, b):
    """`[b, d]` whose covariance is diagonal with exactly these variances."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(b, len(variances)))
    basis, _ = np.linalg.qr(z - z.mean(0))
    return jnp.asarray(basis * np.sqrt(np.array(variances) * b), jnp.float32)


@pytest.mark.parametrize("b", [6, 40])
def test_equal_variances_in_every_direction_have_full_rank(b):
    assert float(effective_rank(with_covariance([2.0] * 5, b) + 7.0)) == pytest.approx(5, rel=1e-4)


def test_more_dimensions_than_embeddings_reach_one_less_than_the_batch():
    z = jnp.eye(4, 50)
    assert float(effective_rank(z)) == pytest.approx(3, rel=1e-4)


def test_points_on_a_line_have_rank_one():
    z = jnp.linspace(-1.0, 3.0, 16)[:, None] * jnp.arange(1.0, 9.0)
    assert float(effective_rank(z)) == pytest.approx(1, abs=1e-3)


def test_unequal_variances_by_hand():
    # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2, so 2 ** 1.5 directions.
    z = with_covariance([2.0, 1.0, 1.0], 30)
    assert float(effective_rank(z)) == pytest.approx(2**1.5, rel=1e-4)


def test_collapsed_embeddings_have_no_spread_and_one_direction():
    z = jnp.broadcast_to(jnp.arange(1.0, 9.0), (16, 8))
    assert float(embedding_spread(z)) == pytest.approx(0, abs=1e-3)
    assert float(effective_rank(z)) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(float(embedding_spread(jnp.zeros((4, 8)))))
    assert np.isfinite(float(effective_rank(jnp.zeros((4, 8)))))


def test_spread_is_one_on_the_whole_sphere_and_does_not_see_lengths():
    z = jax.random.normal(jax.random.key(0), (4096, 32))
    assert float(embedding_spread(z)) == pytest.approx(1, abs=0.02)
    scaled = z * jnp.linspace(0.1, 9, 4096)[:, None]
    assert float(embedding_spread(scaled)) == pytest.approx(float(embedding_spread(z)), rel=1e-5)
    # Four unit vectors on two axes: each dimension has standard deviation sqrt(1/2).
    four = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert float(embedding_spread(four)) == pytest.approx(1.0, rel=1e-6)


def test_no_gradient_goes_through_them():
    z = jax.random.normal(jax.random.key(1), (8, 4))
    gradient = jax.grad(lambda z: embedding_spread(z) + effective_rank(z))(z)
    np.testing.assert_array_equal(gradient, 0)
