"""Resampled positions: the identity, constants, and the numbers of other implementations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.resample import (
    antialiased_weights,
    cubic_weights,
    linear_weights,
    require_grid,
    resample_positions,
)

grids = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))


def table(grid, seed=0):
    return np.random.default_rng(seed).standard_normal((np.prod(grid), 5)).astype(np.float32)


@given(grid=grids, antialias=st.booleans())
def test_an_equal_grid_changes_nothing(grid, antialias):
    x = table(grid)
    np.testing.assert_array_equal(resample_positions(x, grid, grid, antialias=antialias), x)


@given(old=grids, new=grids, antialias=st.booleans())
def test_a_constant_stays_constant(old, new, antialias):
    x = np.full((np.prod(old), 3), 0.7, np.float32)
    found = resample_positions(x, old, new, antialias=antialias)
    assert found.shape == (np.prod(new), 3)
    np.testing.assert_allclose(found, 0.7, rtol=1e-6)


@given(old=grids, new=grids)
def test_time_and_space_do_not_mix(old, new):
    time, space = table((old[0], 1, 1)), table((1, *old[1:]), seed=1)
    both = (time[:, None] + space[None]).reshape(-1, 5)
    found = resample_positions(both, old, new).reshape(new[0], -1, 5)
    t = resample_positions(time, (old[0], 1, 1), (new[0], 1, 1))
    s = resample_positions(space, (1, *old[1:]), (1, *new[1:]))
    np.testing.assert_allclose(found, t[:, None] + s[None], atol=2e-5)


def test_linear_weights_by_hand():
    # Twice as many: quarters between neighbours, the ends held; half as many: means of two.
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(linear_weights(2, 4), expected)
    np.testing.assert_allclose(linear_weights(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


def test_cubic_weights_by_hand():
    # One new sample in the middle of two: Keys' kernel at 1/2 and 3/2, with a = -3/4.
    middle = cubic_weights(4, 1)[0]
    np.testing.assert_allclose(middle, [-0.09375, 0.59375, 0.59375, -0.09375])
    # Antialiased, a = -1/2 and four times as wide.
    wide = antialiased_weights(4, 1)[0]
    assert wide[0] > 0
    np.testing.assert_allclose(wide, wide[::-1])


@given(n=st.integers(1, 12), m=st.integers(1, 12))
def test_rows_of_weights_sum_to_one(n, m):
    for weights in (linear_weights(n, m), cubic_weights(n, m), antialiased_weights(n, m)):
        np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_smooth_table_survives_a_finer_grid_and_back():
    rows, columns = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 8), indexing="ij")
    smooth = np.stack([rows, columns, rows * columns], axis=-1).reshape(64, 3).astype(np.float32)
    finer = resample_positions(smooth, (1, 8, 8), (1, 16, 16))
    back = resample_positions(finer, (1, 16, 16), (1, 8, 8))
    assert np.abs(back - smooth).max() < 0.02


def test_a_grid_must_be_equal_unless_resampling_is_asked_for():
    require_grid((4, 3, 3), (4, 3, 3), "error", where="w")
    require_grid((4, 3, 3), (8, 3, 3), "resample", where="w")
    with pytest.raises(UserError, match="w: positions are for 4 x 3 x 3 tokens, the model has 8"):
        require_grid((4, 3, 3), (8, 3, 3), "error", where="w")
