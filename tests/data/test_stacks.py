import math
import tempfile
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.data.dicom import read_images
from cmrjax.data.series import cines_of
from cmrjax.data.stacks import Cine, numbered
from tests.data.builders import write_cine

TEN = tuple(8.0 * i for i in range(10))


def write(folder, places, *, series=1, own_series=False, first=1, **tags):
    """A stack of slices at some places, mm, in one series or each in one of its own."""
    for i, place in enumerate(places):
        write_cine(
            folder,
            series=series + i * own_series,
            position=place,
            phases=6,
            first_instance=first + 6 * i,
            **{"SeriesNumber": series + i * own_series, "SliceThickness": 8.0} | tags,
        )


@lru_cache(maxsize=1)
def phases():
    with tempfile.TemporaryDirectory() as folder:
        write_cine(Path(folder), phases=6)
        paths = sorted(Path(folder).rglob("*.dcm"))
        return tuple(image for path in paths for image in read_images(str(path)))


def cine_at(place, *, number, series, thick):
    """A slice at a place along its normal, as `numbered` gets it."""
    images = tuple(
        replace(
            image.in_series(
                series_uid=str(series), series_number=float(series), thickness=thick or math.nan
            ),
            instance=float(6 * number + i),
            position=(*image.position[:2], place),
        )
        for i, image in enumerate(phases())
    )
    return Cine("sax", images, place)


def found(folder):
    cines, rejected = cines_of(
        i for p in sorted(folder.rglob("*.dcm")) for i in read_images(str(p))
    )
    assert [c.slice_index for c in cines] == list(range(len(cines)))
    assert {c.view for c in cines} == {"sax"}
    return [c.position_mm for c in cines], {c.gap_mm for c in cines}, rejected


@pytest.mark.parametrize("moved", [1.0, 2.5, 3.0, 4.0, 5.0, 11.5, -4.0])
@pytest.mark.parametrize("own_series", [False, True])
def test_of_a_stack_scanned_again_after_a_move_the_later_stays(tmp_path, moved, own_series):
    again = [p + moved for p in TEN]
    write(tmp_path, TEN, series=1, own_series=own_series)
    write(tmp_path, again, series=21, own_series=own_series)
    assert found(tmp_path) == (again, {8.0}, {"repeated": 10})


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("thickness", [6.0, None])
def test_in_whatever_order(tmp_path, back, thickness):
    again = [p + 3.0 for p in TEN]
    write(tmp_path, TEN[::-1], own_series=True, SliceThickness=thickness)
    write(tmp_path, again[:: -1 if back else 1], series=21, SliceThickness=thickness)
    assert found(tmp_path) == (again, {8.0}, {"repeated": 10})


def test_within_one_series(tmp_path):
    again = [p + 3.0 for p in TEN]
    write(tmp_path, TEN, AcquisitionNumber=1)
    write(tmp_path, again, first=61, AcquisitionNumber=2)
    assert found(tmp_path) == (again, {8.0}, {"repeated": 10})


def test_at_another_angle(tmp_path):
    write(tmp_path, TEN, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    turn = np.radians(3.0)
    tilted = [np.cos(turn), 0, round(-np.sin(turn), 6), 0, 1, 0]
    write(tmp_path, TEN, series=2, ImageOrientationPatient=tilted)
    places, _, rejected = found(tmp_path)
    assert len(places) == 10
    assert rejected == {"repeated": 10}


@pytest.mark.parametrize(("gap", "thickness"), [(16.0, 8.0), (16.0, 6.0), (16.0, None), (10, 5.0)])
@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("own_series", [False, True])
def test_the_parts_of_a_stack_are_one_stack(tmp_path, gap, thickness, parts, own_series):
    step = gap / 2
    for part in range(parts):
        places = [step * (part + parts * i) for i in range(4)]
        series = 1 + 10 * part
        write(tmp_path, places, series=series, own_series=own_series, SliceThickness=thickness)
    expected = [step * i for i in range(4 * parts)]
    assert found(tmp_path) == (expected, {step}, {})


def test_missing_slices_that_are_scanned_later_are_added(tmp_path):
    write(tmp_path, [*TEN[:4], *TEN[6:]])
    write(tmp_path, TEN[4:6], series=2)
    write(tmp_path, [80.0, 88.0, 96.0], series=3)
    assert found(tmp_path) == ([*TEN, 80.0, 88.0, 96.0], {8.0}, {})


@pytest.mark.parametrize("again", [TEN[1:9], TEN[3:6], TEN[:2]])
def test_of_slices_scanned_again_at_their_places_the_others_stay(tmp_path, again):
    write(tmp_path, TEN)
    write(tmp_path, again, series=2)
    assert found(tmp_path) == (list(TEN), {8.0}, {"repeated": len(again)})


def test_a_part_scanned_again_replaces_what_lies_there(tmp_path):
    write(tmp_path, TEN)
    write(tmp_path, [27.0, 35.0, 43.0], series=2)
    expected = [0, 8, 16, 27, 35, 43, 48, 56, 64, 72]
    assert found(tmp_path) == (expected, {8.0}, {"repeated": 3})


def test_a_few_slices_do_not_replace_a_stack(tmp_path):
    write(tmp_path, TEN)
    write(tmp_path, [3.0, 35.0, 67.0], series=2)
    assert found(tmp_path) == (list(TEN), {8.0}, {"repeated": 3})


@pytest.mark.parametrize(
    ("best", "other"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY", "W"]}, {"ImageType": ["DERIVED", "PRIMARY", "OP"]}),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["DERIVED", "PRIMARY", "W"]}),
        ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
    ],
)
def test_of_components_in_series_of_their_own_the_best_stays(tmp_path, best, other):
    write(tmp_path, TEN[:2], series=1, **best)
    write(tmp_path, TEN[:2], series=2, **other)
    assert found(tmp_path) == (list(TEN[:2]), {8.0}, {"repeated": 2})
    images = (i for p in tmp_path.rglob("*.dcm") for i in read_images(str(p)))
    kept = cines_of(images)[0]
    assert {c.images[0].shared.series_number for c in kept} == {1}


@settings(max_examples=200, deadline=None)
@given(
    st.permutations(range(11)),
    st.sampled_from(
        [(5.0, 0.8), (5.0, 1.0), (8.0, 0.6), (8.0, 0.75), (8.0, 1.0), (8.0, 0.0), (10.0, 0.0)]
    ),
    st.booleans(),
)
def test_a_stack_scanned_once_loses_nothing_in_whatever_order(order, measures, own_series):
    gap, thick = measures  # mm; and the share of it that a slice is thick, 0 where nobody says
    # Each slice is 6 images; only the first of them is looked at for its place and number.
    cines = [
        cine_at(gap * place, number=number, series=number if own_series else 1, thick=thick * gap)
        for number, place in enumerate(order, 1)
    ]
    rejected = Counter()
    kept = numbered(cines, rejected)
    assert [c.position_mm for c in kept] == [gap * i for i in range(11)]
    assert {c.gap_mm for c in kept} == {gap}
    assert not +rejected
