"""Hidden patches: how many, in which views, the same at all times."""

import jax
import numpy as np

from cmrjax.objectives.ibot import draw_hidden, patch_weights, take_patches

GRID, N, VIEWS = (2, 4, 5), 12, 4
DRAW = jax.jit(
    lambda key: draw_hidden(key, N, VIEWS, grid=GRID, share=(0.1, 0.5)),
)(jax.random.key(0))


def test_half_of_the_views_hide_a_share_of_their_places_at_all_times():
    mask = np.asarray(DRAW.mask).reshape(N, VIEWS, 2, 20)
    np.testing.assert_array_equal(mask[:, :, 0], mask[:, :, 1])
    counts = mask[:, :, 0].sum(-1)
    np.testing.assert_array_equal((counts > 0).sum(1), VIEWS // 2)
    assert counts[counts > 0].min() >= 2
    assert counts.max() <= 10
    assert len(np.unique(counts)) > 4
    assert len(np.unique(np.asarray(DRAW.views), axis=0)) > 3


def test_the_patches_taken_are_the_hidden_ones():
    tokens = np.arange(N * VIEWS * 40).reshape(N, VIEWS, 40, 1)
    taken = np.asarray(take_patches(tokens, DRAW))[..., 0]
    assert taken.shape == (N, VIEWS // 2, 20)
    hidden = np.asarray(DRAW.hidden)
    np.testing.assert_array_equal(np.sort(taken[hidden]), tokens[np.asarray(DRAW.mask)][:, 0])


def test_each_view_counts_as_much_as_its_clip():
    weights = np.arange(float(N))
    found = np.asarray(patch_weights(DRAW, weights))
    np.testing.assert_allclose(found.sum(-1), np.tile(weights[:, None], 2), rtol=1e-5)
    assert (found[~np.asarray(DRAW.hidden)] == 0).all()
