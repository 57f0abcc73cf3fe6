import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cmrjax.data.geometry import Plane
from cmrjax.data.masks import HEART, LV, Drawn, class_bits
from cmrjax.data.standardise import (
    mask_places,
    resample_cycle,
    resample_plane,
    resampler,
    standardise,
    to_patient,
)
from tests.data.builders import beating
from tests.data.test_geometry import rotation


@given(
    st.integers(2, 80), st.integers(1, 40), st.floats(0.2, 4), st.floats(-30, 60, allow_nan=False)
)
def test_weights_sum_to_one(n, size, step, start):
    np.testing.assert_allclose(resampler(n, size, step, start)[1].sum(1), 1, rtol=1e-5)


@settings(max_examples=20)
@given(st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.integers(0, 100))
def test_enlarging_is_linear_interpolation(down, across, seed):
    frames = np.random.default_rng(seed).normal(size=(2, 20, 30)).astype(np.float32)
    ours = resample_plane(frames, size=(12, 14), step=(down, across), start=(2.25, -1.5))
    rows, columns = 2.25 + down * np.arange(12), -1.5 + across * np.arange(14)
    grid = np.meshgrid(rows, columns, indexing="ij")
    for mine, frame in zip(ours, frames, strict=True):
        theirs = ndimage.map_coordinates(frame, grid, order=1, mode="nearest")
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 1], np.float32), 32)[None, None, :].repeat(8, 1)
    small = resample_plane(stripes, size=(8, 16), step=(1.0, 4.0), start=(0.0, 0.0))
    np.testing.assert_allclose(small[..., 1:-1], 0.5, atol=0.01)


def test_linear_images_keep_their_values_when_shrunk():
    ramp = np.arange(64, dtype=np.float32)[None, None, :].repeat(4, 1)
    small = resample_plane(ramp, size=(4, 10), step=(1.0, 3.0), start=(0.0, 10.0))
    np.testing.assert_allclose(small[0, 0], 10 + 3 * np.arange(10), rtol=1e-5)


def test_cycle_closes_on_itself():
    frames = np.arange(4, dtype=np.float32)
    np.testing.assert_allclose(resample_cycle(frames, 8), [0, 0.5, 1, 1.5, 2, 2.5, 3, 1.5])
    assert resample_cycle(frames, 4) is frames


def test_the_record_can_be_undone():
    """From the crop's centre, spacing and window, a stored pixel is found in the original."""
    frames = beating(4, 64, centre=(20.0, 40.0)).astype(np.float32)
    spacing = np.array([1.0, 1.0])
    done = standardise(
        frames,
        spacing=spacing,
        centre=np.array([20.0, 40.0]),
        spacing_mm=2.0,
        size=17,
        count=4,
    )
    low, high = done.window
    middle = low + done.cine[0, 8, 8] * (high - low) / 255
    assert middle == pytest.approx(frames[0, 20, 40], abs=5)
    edge = low + done.cine[0, 0, 0] * (high - low) / 255
    assert edge == pytest.approx(frames[0, 4, 24], abs=5)


@given(
    st.floats(0.7, 2.5),
    st.floats(0.7, 2.5),
    st.floats(1.0, 3.0),
    st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
    st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    st.sampled_from((32, 33)),
)
@settings(max_examples=40, deadline=None)
def test_a_mask_in_stored_pixels_maps_back_to_the_patient(down, across, step, turn, off, size):
    """Drawn anywhere in any plane, within half a stored pixel."""
    spacing = np.array([down, across])
    plane = Plane(np.array([30.0, -80.0, 12.0]), rotation(*turn)[:, :2].T.ravel(), spacing)
    heart = np.array([44.0, 39.0])
    rows, columns = np.indices((96, 96))
    disc = np.hypot((rows - heart[0]) * down, (columns - heart[1]) * across) < 9
    mask = (disc * LV).astype(np.uint8)[None].repeat(2, 0)
    centre = heart + np.array(off) / spacing
    done = standardise(
        mask.astype(np.float32),
        spacing=spacing,
        centre=centre,
        spacing_mm=step,
        size=size,
        count=2,
        drawn=Drawn(mask, (0, 1), (class_bits([LV]),) * 2),
    )
    assert done.mask is not None
    record = {
        "cine": done.cine,
        "spacing_mm": np.full(2, step, np.float32),
        "original_spacing_mm": spacing.astype(np.float32),
        "crop_centre": centre.astype(np.float32),
        "origin_mm": plane.origin.astype(np.float32),
        "orientation": plane.orientation.astype(np.float32),
    }
    stored = np.argwhere(done.mask[0] == LV).mean(0)
    drawn = np.argwhere(disc).mean(0)
    away = to_patient(record, stored) - plane.to_patient(drawn)
    assert np.linalg.norm(away) < step / 2
    corner = to_patient(record, np.array([[0, 0], [size - 1, size - 1]]))
    assert np.linalg.norm(corner[1] - corner[0]) == pytest.approx(
        (size - 1) * step * 2**0.5, rel=1e-4
    )


def test_a_flat_cine_has_no_division_by_zero():
    flat = np.full((4, 20, 20), 7, np.float32)
    kwargs = {"spacing": np.ones(2), "centre": np.full(2, 9.5), "spacing_mm": 1.0, "size": 8}
    assert not standardise(flat, count=4, **kwargs).cine.any()


def test_the_window_takes_the_whole_range_of_either_type():
    ramp = np.linspace(-50, 950, 4 * 10 * 10, dtype=np.float32).reshape(4, 10, 10)
    kwargs = {"spacing": np.ones(2), "centre": np.full(2, 4.5), "spacing_mm": 1.0, "size": 10}
    fine, coarse = (
        standardise(ramp, count=4, dtype=dtype, **kwargs) for dtype in ("uint16", "uint8")
    )
    assert (fine.cine.dtype, coarse.cine.dtype) == (np.uint16, np.uint8)
    assert (fine.cine.min(), fine.cine.max()) == (0, 65535)
    low, high = fine.window
    assert (low, high) == coarse.window == pytest.approx((-40, 945))
    inside = (ramp > low) & (ramp < high)
    back = low + fine.cine / 65535 * (high - low)
    np.testing.assert_allclose(back[inside], ramp[inside], atol=(high - low) / 65535)
    np.testing.assert_allclose(fine.cine / 257, coarse.cine, atol=0.5 + 1 / 257)


def test_masks_keep_their_classes_and_their_frames():
    mask = np.zeros((2, 40, 40), np.uint8)
    mask[:, 10:30, 10:30] = 2
    mask[:, 14:25, 14:25] = 3
    done = standardise(
        mask.astype(np.float32),
        spacing=np.ones(2),
        centre=np.full(2, 19.5),
        spacing_mm=2.0,
        size=20,
        count=6,
        drawn=Drawn(mask, (0, 1), (class_bits(HEART), class_bits([LV]))),
    )
    assert done.mask is not None
    assert done.mask_classes is not None
    assert done.mask_classes.tolist() == [14, 0, 0, 8, 0, 0]
    assert done.mask.any((1, 2)).tolist() == [True, False, False, True, False, False]
    assert set(np.unique(done.mask)) == {0, 2, 3}
    assert (done.mask[0] == 3).sum() * 4 == pytest.approx(121, abs=25)


@pytest.mark.parametrize(
    ("masked", "frames", "count", "places"),
    [
        ((0, 1), 2, 2, [0, 1]),
        ((0, 1), 2, 6, [0, 3]),
        ((0, 9), 25, 16, [0, 6]),  # 9 / 25 of the cycle is 5.76 of 16: nearer to 6 than to 5
        ((19, 7), 20, 16, [15, 6]),
        ((29,), 30, 4, [0]),  # the end of the cycle is nearest to its beginning
    ],
)
def test_a_mask_moves_to_the_stored_frame_nearest_in_time(masked, frames, count, places):
    assert mask_places(masked, frames, count).tolist() == places
