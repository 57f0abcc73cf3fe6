import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.masks import (
    HEART,
    LV,
    MYOCARDIUM,
    RV,
    class_bits,
    measure,
    polygon_area,
    polygon_mask,
    relabel,
)


def circle(centre, radius, n=400):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], 1)


def test_a_rectangle_covers_the_pixels_whose_centres_it_holds():
    inside = polygon_mask(np.array([[1.5, 0.5], [4.5, 0.5], [4.5, 2.5], [1.5, 2.5]]), (5, 7))
    assert np.argwhere(inside).tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4]]


def test_x_is_the_column_and_y_the_row():
    inside = polygon_mask(circle((20.0, 8.0), 3.3), (40, 30))
    rows, columns = np.nonzero(inside)
    assert (rows.mean(), columns.mean()) == pytest.approx((8.0, 20.0), abs=0.05)


@given(st.floats(10, 20), st.floats(10, 20), st.floats(4, 9))
def test_a_circle_has_its_area(x, y, radius):
    points = circle((x, y), radius)
    exact = np.pi * radius**2
    assert polygon_area(points) == pytest.approx(exact, rel=1e-3)
    # Gauss's circle problem: the error of counting centres is far below the circumference.
    assert polygon_mask(points, (32, 32)).sum() == pytest.approx(
        exact, abs=2 * np.pi * radius**0.67
    )


@given(st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64)), min_size=3, max_size=9))
def test_either_direction_and_any_first_corner_give_the_same_pixels(corners):
    points = np.array(corners) / 4
    expected = polygon_mask(points, (16, 16))
    np.testing.assert_array_equal(polygon_mask(points[::-1], (16, 16)), expected)
    np.testing.assert_array_equal(polygon_mask(np.roll(points, 1, 0), (16, 16)), expected)


@given(st.integers(0, 64), st.integers(0, 64))
def test_neighbours_share_no_pixel_and_leave_none(top, bottom):
    """A square cut in two by any line, also one through pixel centres."""
    upper, lower = np.array([top / 4, 0.0]), np.array([bottom / 4, 16.0])
    left = polygon_mask(np.array([[0.0, 0.0], upper, lower, [0.0, 16.0]]), (16, 16))
    right = polygon_mask(np.array([upper, [16.0, 0.0], [16.0, 16.0], lower]), (16, 16))
    assert not (left & right).any()
    assert (left | right).all()


def test_what_lies_outside_the_image_is_cut_off():
    assert polygon_mask(np.array([[-9.0, -9], [50, -9], [50, 50], [-9, 50]]), (6, 5)).all()
    assert not polygon_mask(np.array([[20.0, 2], [30, 2], [30, 4]]), (6, 5)).any()


def test_relabelling_swaps_numbers_and_refuses_unknown_ones():
    theirs = np.array([[0.0, 1, 2, 3]])
    assert relabel(theirs, {1: LV, 2: MYOCARDIUM, 3: RV}).tolist() == [[0, 3, 2, 1]]
    for odd in (4.0, 0.5, -1.0, np.nan):
        with pytest.raises(ValueError, match="class"):
            relabel(np.array([0.0, odd]), {1: LV})


def test_bits_name_the_classes():
    assert class_bits(HEART) == 0b1110
    assert class_bits([LV]) == 0b1000


def test_measures_are_volumes():
    ed, es = np.zeros((4, 10, 10)), np.zeros((4, 10, 10))
    ed[:, :5], ed[:, 5:8], ed[0, 9] = LV, MYOCARDIUM, RV
    es[:, :2] = LV
    found = measure(ed, es, 10.0)
    assert found["lvedv_ml"] == pytest.approx(2.0)
    assert found["lvesv_ml"] == pytest.approx(0.8)
    assert found["lvef"] == pytest.approx(60)
    assert found["lv_mass_g"] == pytest.approx(1.2 * 1.05)
    assert found["rvef"] == pytest.approx(100)
    assert np.isnan(measure(es * 0, es * 0, 10.0)["lvef"])
