import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.data import geometry

AXIAL = (1, 0, 0, 0, 1, 0)
angles = st.floats(-3.0, 3.0)


def rotation(a: float, b: float, c: float) -> np.ndarray:
    def turn(i, j, angle):
        m = np.eye(3)
        m[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        return m

    return turn(0, 1, a) @ turn(0, 2, b) @ turn(1, 2, c)


def test_normal_of_an_axial_slice_points_to_the_head():
    np.testing.assert_allclose(geometry.normal(AXIAL), [0, 0, 1])


@pytest.mark.parametrize("wrong", [(0,) * 6, (1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 2, 0)])
def test_no_orientation_is_refused(wrong):
    with pytest.raises(ValueError, match="orientation"):
        geometry.normal(wrong)


def test_positions_are_grouped_with_float_noise():
    groups = geometry.group_positions([16.0, 0.0, 8.004, 7.998, 0.001])
    assert groups == [[1, 4], [2, 3], [0]]


def test_gap_is_the_median_distance():
    assert geometry.gap([0, 8, 16, 32, 40]) == 8
    assert geometry.gap([5.0]) == 0


@given(angles, angles, angles, st.integers(2, 12), st.floats(1, 20))
def test_gap_of_any_tilted_stack(a, b, c, slices, gap_mm):
    turned = rotation(a, b, c)
    orientation = turned[:, :2].T.ravel()
    direction = geometry.normal(orientation)
    origins = [turned @ np.array([3.0, -7.0, gap_mm * i]) for i in range(slices)]
    places = [geometry.position(o, direction) for o in origins]
    assert geometry.gap(places) == pytest.approx(gap_mm)
    assert len(geometry.group_positions(places)) == slices


@given(angles, angles, angles, st.floats(0, 200), st.floats(0, 200))
@settings(deadline=None)
def test_pixels_go_there_and_back(a, b, c, row, column):
    orientation = rotation(a, b, c)[:, :2].T.ravel()
    plane = geometry.Plane(np.array([10.0, -20.0, 30.0]), orientation, np.array([1.5, 0.8]))
    pixel = np.array([row, column])
    np.testing.assert_allclose(plane.from_plane(plane.to_plane(pixel)), pixel, atol=1e-6)
    point = plane.to_patient(pixel)
    np.testing.assert_allclose(plane.from_patient(point), pixel, atol=1e-6)
    # A point beside the plane lies over the same pixel.
    beside = point + 7 * geometry.normal(orientation)
    np.testing.assert_allclose(plane.from_patient(beside), pixel, atol=1e-6)


def test_a_pixel_of_an_axial_plane():
    plane = geometry.Plane(np.array([-100.0, -90.0, 5.0]), np.array(AXIAL), np.array([2.0, 1.0]))
    points = plane.to_patient(np.array([[0, 0], [10, 3]]))
    np.testing.assert_allclose(points, [[-100, -90, 5], [-97, -70, 5]])


def test_parallel_slices_share_plane_coordinates():
    spacing = np.array([2.0, 2.0])
    low = geometry.Plane(np.zeros(3), np.array(AXIAL), spacing)
    # The second slice's corner lies 4 mm to the left (x) and 6 mm to the back (y).
    high = geometry.Plane(np.array([4.0, 6.0, 10.0]), np.array(AXIAL), spacing)
    point = low.to_plane(np.array([10.0, 10.0]))
    np.testing.assert_allclose(high.from_plane(point), [7, 8])


def test_short_axis_rule():
    assert geometry.short_axis_like(geometry.LV_AXIS)
    assert geometry.short_axis_like(-geometry.LV_AXIS)
    assert not geometry.short_axis_like(np.array([0.0, 0.0, 1.0]))
