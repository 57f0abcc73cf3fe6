"""Augmentation moves a heart a little and never mirrors it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.objectives.augment import AugmentConfig, _resampling, augment, to_unit

OFF = {"shift": 0.0, "zoom": 0.0, "gain": 0.0, "brightness": 0.0, "noise": 0.0}
run = jax.jit(augment, static_argnames="config")


def blobs(b: int = 48, t: int = 3, size: int = 16) -> np.ndarray:
    """A bright spot left of the middle and a fainter one below: no mirror image is like it."""
    y, x = np.mgrid[:size, :size]
    spot = lambda cy, cx, s: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / s)  # noqa: E731
    image = 0.6 * spot(6, 4, 6.0) + 0.4 * spot(12, 8, 3.0)
    return np.broadcast_to(image, (b, t, size, size)).astype(np.float32)


def test_nothing_changes_at_strength_0():
    clips = np.random.default_rng(0).random((48, 3, 16, 16)).astype(np.float32)
    found = run(clips, jax.random.key(0), AugmentConfig(**OFF))
    np.testing.assert_allclose(found, clips, atol=1e-6)


@pytest.mark.parametrize("pixels", [0.0, 2.0, -3.0, 0.5])
def test_a_shift_reads_from_that_many_pixels_further_on(pixels):
    matrix = np.asarray(_resampling(8, jnp.ones(1), jnp.full(1, pixels)))[0]
    ramp = np.arange(8.0)
    np.testing.assert_allclose(matrix @ ramp, np.clip(ramp + pixels, 0, 7), atol=1e-6)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


def test_a_zoom_is_about_the_centre():
    matrix = np.asarray(_resampling(9, jnp.full(1, 2.0), jnp.zeros(1)))[0]
    np.testing.assert_allclose(matrix @ np.arange(9.0), np.arange(9) / 2 + 2, atol=1e-6)


def centres(clips):
    """Centre of mass, rows and columns, of each frame."""
    clips = np.asarray(clips, np.float64)
    grid = np.arange(clips.shape[-1])
    mass = clips.sum((-1, -2))
    return np.stack([(clips.sum(-1) @ grid) / mass, (clips.sum(-2) @ grid) / mass], axis=-1)


def test_shifts_fill_their_range_and_stay_inside_it():
    clips = blobs()
    found = run(clips, jax.random.key(1), AugmentConfig(**OFF | {"shift": 0.125}))
    moved = centres(found) - centres(clips)
    assert np.abs(moved).max() <= 0.125 * 16 + 0.1
    for axis in range(2):
        assert moved[:, 0, axis].max() > 1
        assert moved[:, 0, axis].min() < -1
    assert abs(np.corrcoef(moved[:, 0].T)[0, 1]) < 0.5, "rows and columns move together"


def test_each_clip_moves_on_its_own_and_all_its_frames_together():
    clips = blobs()
    strong = AugmentConfig(shift=0.1, zoom=0.1, gain=0.3, brightness=0.1, noise=0.0)
    found = np.asarray(run(clips, jax.random.key(2), strong))
    np.testing.assert_allclose(found[:, 1:], found[:, :1].repeat(2, axis=1), atol=1e-6)
    assert np.abs(np.diff(found[:, 0], axis=0)).max((1, 2)).min() > 0.01
    again = np.asarray(run(clips, jax.random.key(2), strong))
    np.testing.assert_array_equal(again, found)


def test_the_image_is_never_mirrored_or_turned():
    clips = blobs()
    found = np.asarray(run(clips, jax.random.key(3), AugmentConfig(noise=0.0)))[:, 0]
    plain = clips[0, 0]
    others = [plain[::-1], plain[:, ::-1], plain[::-1, ::-1], plain.T, np.rot90(plain)]
    like = lambda a, b: np.corrcoef(a.ravel(), b.ravel())[0, 1]  # noqa: E731
    for image in found:
        own = like(image, plain)
        assert own > 0.6
        assert own > max(like(image, other) for other in others)


def test_contrast_turns_about_middle_grey_and_values_stay_in_range():
    grey = np.full((64, 1, 4, 4), 0.5, np.float32)
    found = run(grey, jax.random.key(4), AugmentConfig(**OFF | {"gain": 0.5}))
    np.testing.assert_allclose(found, 0.5, atol=1e-6)
    white = np.full((64, 1, 4, 4), 0.9, np.float32)
    found = np.asarray(run(white, jax.random.key(4), AugmentConfig(**OFF | {"gain": 0.5})))
    assert found.max() == 1.0
    assert found.min() == pytest.approx(0.7, abs=0.03)
    noisy = np.asarray(run(grey, jax.random.key(5), AugmentConfig(**OFF | {"noise": 0.1})))
    assert noisy.std() == pytest.approx(0.1, rel=0.1)


def test_bytes_become_0_to_1():
    np.testing.assert_allclose(to_unit(np.array([0, 51, 255], np.uint8)), [0, 0.2, 1])
    np.testing.assert_allclose(to_unit(np.array([0, 13107, 65535], np.uint16)), [0, 0.2, 1])
