"""Pooling over the token grid against XLA's own convolution and window reduction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.models.multiscale import Pool, depthwise, max_pool, pool, pooled, windows
from tests.models.networks import filled

RNG = np.random.default_rng(3)


def grouped(x, kernel, stride):
    """XLA's convolution with a group a channel, in every sequence and head."""
    heads = [
        jax.lax.conv_general_dilated(
            x[..., m, head, :],
            kernel[..., m, None, :],
            stride,
            [(1, 1)] * 3,
            dimension_numbers=("NTHWC", "THWIO", "NTHWC"),
            feature_group_count=x.shape[-1],
        )
        for m in range(x.shape[-3])
        for head in range(x.shape[-2])
    ]
    y = jnp.stack(heads, axis=-2)
    return y.reshape(*y.shape[:-2], *x.shape[-3:])


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 3, 1)])
def test_depthwise_pooling_is_a_grouped_convolution_in_every_head(stride):
    grid, m, heads, d = (3, 8, 5), 2, 2, 4
    x = RNG.standard_normal((2, *grid, m, heads, d)).astype(np.float32)
    kernel = RNG.standard_normal((3, 3, 3, m, d)).astype(np.float32)

    def value_and_gradients(function):
        loss = lambda x, kernel: jnp.sin(function(x, kernel, stride)).sum()  # noqa: E731
        return function(x, kernel, stride), *jax.grad(loss, argnums=(0, 1))(x, kernel)

    found = jax.jit(lambda: value_and_gradients(depthwise))()
    expected = jax.jit(lambda: value_and_gradients(grouped))()
    assert found[0].shape == (2, *pooled(grid, stride), m, heads, d)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [8, 7])
def test_the_residual_is_the_maximum_of_three_by_three(rows):
    x = RNG.standard_normal((2, 3, rows, 6, 4)).astype(np.float32) - 5  # padding must not win
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    expected = [
        padded[:, :, i : i + 3, j : j + 3].max(axis=(2, 3))
        for i in range(0, rows, 2)
        for j in range(0, 6, 2)
    ]
    found = np.asarray(jax.jit(max_pool)(x))
    np.testing.assert_array_equal(found.reshape(2, 3, -1, 4), np.stack(expected, axis=2))


def test_windows_are_the_pixels_around_each_stride():
    x = RNG.standard_normal((1, 4, 8, 8, 2)).astype(np.float32)
    found = np.asarray(jax.jit(lambda x: windows(x, (3, 7, 7), (2, 4, 4)))(x))
    padded = np.pad(x, [(0, 0), (1, 1), (3, 3), (3, 3), (0, 0)])
    assert found.shape == (1, 2, 2, 2, 3, 7, 7, 2)
    for t, h, w in np.ndindex(2, 2, 2):
        window = padded[:, 2 * t : 2 * t + 3, 4 * h : 4 * h + 7, 4 * w : 4 * w + 7]
        np.testing.assert_array_equal(found[:, t, h, w], window)


def test_the_class_token_passes_by_the_pool_but_is_normed():
    learned = filled(lambda: Pool(8, rngs=nnx.Rngs(0)))
    x = RNG.standard_normal((2, 1 + 2 * 4 * 4, 1, 3, 8)).astype(np.float32)
    graph, state = nnx.split(learned)
    run = jax.jit(lambda x: pool(x, [nnx.merge(graph, state)], (2, 4, 4), (1, 2, 2))[0])
    first = run(x)
    assert first.shape == (2, 1 + 2 * 2 * 2, 3, 8)
    np.testing.assert_allclose(first[:, 0], learned.norm(x[:, 0, 0]), rtol=1e-4, atol=1e-5)
    changed = x.copy()
    changed[:, 1:] = 0
    np.testing.assert_allclose(run(changed)[:, 0], first[:, 0], rtol=1e-6)
    assert np.abs(run(changed) - first)[:, 1:].max() > 0.1
