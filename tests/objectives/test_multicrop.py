"""Crops: where they lie, what resampling keeps, and that frames of a clip stay together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.multicrop import (
    Boxes,
    CropConfig,
    crop,
    interpolation,
    make_boxes,
    random_crops,
)

PLAIN = AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0)
# Half of the time that these small programs take to compile is LLVM's optimising.
run = jax.jit(
    random_crops,
    static_argnames=("config", "intensity"),
    compiler_options={"xla_backend_optimization_level": 0},
)


def boxes(**fields):
    return Boxes(**{name: np.full((1, 1), value, np.float32) for name, value in fields.items()})


read = jax.jit(crop, static_argnames="size")
make = jax.jit(make_boxes, static_argnames=("size", "scale", "ratio"))
resample = jax.jit(interpolation, static_argnames=("size", "new_size"))


def test_a_constant_image_stays_constant():
    config = CropConfig(count=3, size=(5, 7), scale=(0.05, 0.4))
    clips = np.full((4, 2, 16, 12), 0.375, np.float32)
    found = run(clips, jax.random.key(0), config, PLAIN)
    assert found.shape == (4, 3, 2, 5, 7)
    np.testing.assert_allclose(found, 0.375, rtol=1e-6)


def test_a_crop_of_full_scale_is_the_clip():
    config = CropConfig(count=2, size=(8, 8), scale=(1.0, 1.0))
    clips = np.random.default_rng(0).random((3, 2, 8, 8)).astype(np.float32)
    found = run(clips, jax.random.key(1), config, PLAIN)
    np.testing.assert_allclose(found, np.repeat(clips[:, None], 2, axis=1), atol=1e-6)


def test_a_ramp_is_read_at_the_centres_of_the_new_pixels():
    # Rows 2..6 of 8 into 8: half a pixel each. Columns 1..7 of 8 into 3: two pixels each.
    box = boxes(top=2.0, left=1.0, height=4.0, width=6.0)
    y, x = np.mgrid[:8, :8].astype(np.float32)
    found = np.asarray(read((10 * y + x)[None, None], box, (8, 3)))[0, 0, 0]
    rows, columns = 2 + (np.arange(8) + 0.5) / 2 - 0.5, 1 + (np.arange(3) + 0.5) * 2 - 0.5
    np.testing.assert_allclose(found, 10 * rows[:, None] + columns[None], rtol=1e-5)


def test_where_a_crop_shrinks_pixels_are_averaged():
    matrix = np.asarray(resample(jnp.zeros(()), jnp.full((), 8.0), 8, 2))
    # A triangle of 4 pixels to each side about 1.5, cut at the image's edge.
    triangle = 1 - np.abs(np.arange(8) - 1.5) / 4
    expected = np.maximum(triangle, 0)
    np.testing.assert_allclose(matrix[0], expected / expected.sum(), rtol=1e-5)
    checks = np.tile([0.0, 1.0], 4)
    np.testing.assert_allclose(matrix @ checks, 0.5, atol=0.05)


def test_edges_are_repeated():
    matrix = np.asarray(resample(jnp.zeros(()), jnp.full((), 1.0), 4, 4))
    np.testing.assert_allclose(matrix @ np.arange(4.0), [0, 0, 0.125, 0.375], atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (24, 10)])
def test_boxes_lie_inside_and_have_the_area_and_aspect_asked_for(size):
    u = np.random.default_rng(0).random((500, 2, 4)).astype(np.float32)
    found = make(u, size=size, scale=(0.1, 0.5), ratio=(3 / 4, 4 / 3))
    for start, length, side in (
        (found.top, found.height, size[0]),
        (found.left, found.width, size[1]),
    ):
        assert np.min(start) >= 0
        assert np.max(start + length) <= side * (1 + 1e-5)
    area = np.asarray(found.height * found.width) / (size[0] * size[1])
    np.testing.assert_allclose(area, 0.1 + 0.4 * u[..., 0], rtol=1e-4)
    aspect = np.asarray(found.width / found.height)
    assert aspect.min() >= 3 / 4 * (1 - 1e-4)
    assert aspect.max() <= 4 / 3 * (1 + 1e-4)
    assert np.log(aspect).std() > 0.05


def test_a_box_as_large_as_an_elongated_image_is_the_image():
    u = np.full((1, 1, 4), 0.5, np.float32)
    found = make(u, size=(4, 16), scale=(1.0, 1.0), ratio=(3 / 4, 4 / 3))
    np.testing.assert_allclose(np.ravel(found), [0, 0, 4, 16], atol=1e-5)


def test_crops_differ_frames_of_a_clip_do_not_and_none_is_mirrored():
    image = np.tile(np.arange(16, dtype=np.float32) / 15, (16, 1))  # brighter to the right
    clips = np.broadcast_to(image, (6, 2, 16, 16))
    strong = AugmentConfig(shift=0, zoom=0, gain=0.3, brightness=0.1, noise=0)
    config = CropConfig(count=4, size=(8, 8), scale=(0.2, 0.6))
    found = np.asarray(run(clips, jax.random.key(2), config, strong))
    np.testing.assert_allclose(found[:, :, 0], found[:, :, 1], atol=1e-6)
    assert (found[..., -1] > found[..., 0]).all()
    means = found.mean((2, 3, 4)).ravel()
    assert np.diff(np.sort(means)).min() > 1e-5
