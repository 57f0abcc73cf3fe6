"""Segmentation losses by hand, and masks that move with their clips."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.segmentation_loss import (
    augment_pair,
    hard_dice,
    nearest_source,
    pixel_cross_entropy,
    soft_dice_loss,
)

CROSS_ENTROPY = jax.jit(jax.value_and_grad(pixel_cross_entropy))
DICE_LOSS = jax.jit(jax.value_and_grad(soft_dice_loss))
HARD_DICE = jax.jit(hard_dice)
PAIR = jax.jit(augment_pair, static_argnames="config")
# One image of 2 x 2 pixels, two classes: the probabilities of class 1, and one pixel not drawn.
P = np.array([[0.8, 0.4], [0.25, 0.9]])
LOGITS = np.stack([np.log(1 - P), np.log(P)], axis=-1)[None].astype(np.float32)
MASK = np.array([[[1, 0], [1, 255]]], np.uint8)


def test_cross_entropy_by_hand_with_an_ignored_pixel():
    value, gradient = CROSS_ENTROPY(LOGITS, MASK)
    expected = -(math.log(0.8) + math.log(0.6) + math.log(0.25)) / 3
    assert float(value) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient[0, 0, 1], [(0.6 - 1) / 3, 0.4 / 3], rtol=1e-5)
    np.testing.assert_array_equal(gradient[0, 1, 1], 0)


def test_soft_dice_by_hand_with_an_ignored_pixel():
    value, gradient = DICE_LOSS(LOGITS, MASK)
    # Of the drawn pixels: overlap .8 + .25, probabilities .8 + .4 + .25, two pixels of the truth.
    assert float(value) == pytest.approx(1 - 2 * 1.05 / (1.45 + 2), rel=1e-6)
    np.testing.assert_array_equal(gradient[0, 1, 1], 0)
    assert np.abs(gradient).min(axis=-1)[0, 0].min() > 0


def test_soft_dice_runs_over_the_batch_before_it_divides():
    logits = np.concatenate([LOGITS, LOGITS])
    mask = np.concatenate([MASK, np.zeros_like(MASK)])
    # Class 1 is not in the second image; there its probabilities, .8 + .4 + .25 + .9, are too many.
    expected = 1 - 2 * 1.05 / (1.45 + 2.35 + 2)
    assert float(DICE_LOSS(logits, mask)[0]) == pytest.approx(expected, rel=1e-6)


def test_dice_is_a_mean_over_the_foreground_classes_that_are_drawn():
    mask = np.array([[[0, 1], [2, 2]]], np.uint8)  # of four classes; 3 is nowhere
    logits = 50 * jax.nn.one_hot(mask, 4)
    assert float(DICE_LOSS(logits, mask)[0]) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(HARD_DICE(logits, mask), [1, 1, 1, np.nan])
    # One pixel of class 2 taken for class 1: Dice 2/3 each. The background does not count.
    wrong = 50 * jax.nn.one_hot(np.array([[[0, 1], [1, 2]]]), 4)
    assert float(DICE_LOSS(wrong, mask)[0]) == pytest.approx(1 / 3, rel=1e-5)
    np.testing.assert_allclose(HARD_DICE(wrong, mask), [1, 2 / 3, 2 / 3, np.nan], rtol=1e-5)


def test_a_number_that_is_no_class_counts_as_not_drawn():
    other = np.where(MASK == 255, 7, MASK).astype(np.uint8)
    for loss in (CROSS_ENTROPY, DICE_LOSS):
        assert float(loss(LOGITS, other)[0]) == float(loss(LOGITS, MASK)[0])


def test_nothing_drawn_is_loss_0_without_gradient():
    nothing = np.full_like(MASK, 255)
    for loss in (CROSS_ENTROPY, DICE_LOSS):
        value, gradient = loss(LOGITS, nothing)
        assert float(value) == 0
        np.testing.assert_array_equal(gradient, 0)
    assert np.isnan(HARD_DICE(LOGITS, nothing)).all()
    # Background alone: no class to overlap with.
    assert float(DICE_LOSS(LOGITS, np.zeros_like(MASK))[0]) == 0


def test_each_row_is_read_from_the_nearest():
    found = nearest_source(6, jnp.array([1.0, 1.0, 2.0]), jnp.array([0.0, 1.6, 0.0]))
    np.testing.assert_array_equal(found[0], np.arange(6))
    np.testing.assert_array_equal(found[1], [2, 3, 4, 5, 5, 5])
    np.testing.assert_array_equal(found[2], [1, 2, 2, 3, 3, 4])


def test_masks_move_with_their_clips():
    # A disc for each example: where the augmented image is bright, the augmented mask is 1.
    rows, columns = np.indices((24, 24))
    disc = (np.hypot(rows - 9, columns - 13) < 6).astype(np.float32)
    clips = np.broadcast_to(disc, (32, 2, 24, 24))
    masks = np.where(clips > 0, 1, 255).astype(np.uint8)
    strong = AugmentConfig(shift=0.15, zoom=0.2, gain=0, brightness=0, noise=0)
    moved, labels = PAIR(clips, masks, jax.random.key(3), strong)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {1, 255}
    agree = (np.asarray(moved) > 0.5) == (np.asarray(labels) == 1)
    assert agree.mean(axis=(1, 2, 3)).min() > 0.99
    assert (np.asarray(labels) != masks).mean(axis=(1, 2, 3)).max() > 0.1, "the discs did not move"
    still, same = PAIR(clips, masks, jax.random.key(3), AugmentConfig(shift=0, zoom=0, noise=0.1))
    np.testing.assert_array_equal(same, masks)
    assert np.abs(np.asarray(still) - clips).max() > 0.01
