import contextlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import LV, MYOCARDIUM, class_bits
from cmrjax.data.sources.contours import Area, Ring, draw, read_points, read_rings, volumes

SQUARE = np.array([[2.0, 1.0], [6.0, 1.0], [6.0, 5.0], [2.0, 5.0]])


def area(place, phase, cavity, wall=float("nan"), *, gap=10.0):
    return Area(place, gap, phase, 20, cavity, wall)


def test_points_are_moved_so_that_the_first_pixel_is_at_zero(tmp_path):
    (tmp_path / "c.txt").write_text("2.00 1.00\n 6.00\t1.00 \n\n6.00 5.00\r\n")
    np.testing.assert_array_equal(
        read_points(tmp_path / "c.txt", first_pixel=0.5), [[1.5, 0.5], [5.5, 0.5], [5.5, 4.5]]
    )


@pytest.mark.parametrize(
    "text",
    ["", "1 2\n3 4\n", "1 2 3\n" * 4, "1 2\n3\n4 5\n", "x y\n" * 4, "1 nan\n" * 4, "1e9 1\n" * 4],
)
def test_what_is_no_contour_is_a_typed_rejection(tmp_path, text):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(Rejected, match="bad_contour"):
        read_points(tmp_path / "c.txt", first_pixel=0.0)


@given(st.binary(max_size=200))
def test_any_bytes_are_points_or_a_rejection(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("c") / "c.txt"
    path.write_bytes(data)
    with contextlib.suppress(Rejected):
        assert np.isfinite(read_points(path, first_pixel=0.0)).all()


def test_rings_join_what_was_drawn_on_one_image(tmp_path):
    (tmp_path / "bad").write_text("no points")
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("1 1\n5 1\n5 5\n")
    files = [(7, "i", "a"), (7, "o", "b"), (9, "o", "c"), (11, "i", "bad")]
    rejected = Counter()
    rings = read_rings(
        ((n, kind, tmp_path / name) for n, kind, name in files), first_pixel=0.0, rejected=rejected
    )
    assert list(rings) == [7]
    assert rings[7].outer is not None
    assert rejected == {"mask.bad_contour": 1}


def test_a_mask_says_which_classes_were_drawn():
    rings = {4: Ring(SQUARE, SQUARE * 2 - [4, 3]), 1: Ring(SQUARE)}
    drawn = draw(rings, (12, 12), cavity=LV, wall=MYOCARDIUM)
    assert drawn is not None
    assert drawn.frames == (4, 1)
    assert drawn.classes == (class_bits([LV, MYOCARDIUM]), class_bits([LV]))
    assert [(mask == LV).sum() for mask in drawn.masks] == [16, 16]
    assert [(mask == MYOCARDIUM).sum() for mask in drawn.masks] == [7 * 8 - 16, 0]
    assert draw({}, (4, 4), cavity=LV, wall=MYOCARDIUM) is None


def test_volumes_sum_slices_of_the_gaps_thickness():
    found = [area(z, 18, 1000, 500) for z in range(3)] + [area(z, 7, 400) for z in range(3)]
    assert volumes(found) == pytest.approx({"edv_ml": 30, "esv_ml": 12, "ef": 60, "wall_ml": 15})


def test_a_slice_with_one_contour_is_counted_by_its_phase():
    pairs = [area(z, 19, 1000, 500) for z in range(2)] + [area(z, 7, 400) for z in range(2)]
    base, apex = area(5, 0, 300, 200), area(6, 8, 100)  # the cycle closes: 0 is next to 19
    found = volumes([*pairs, base, apex])
    assert (found["edv_ml"], found["esv_ml"]) == pytest.approx((23, 9))


def test_volumes_of_too_little_are_unknown():
    for found in ([], [area(0, 3, 100)], [area(0, 1, 9, gap=0.0), area(0, 8, 3, gap=0.0)]):
        assert np.isnan(list(volumes(found).values())).all()
