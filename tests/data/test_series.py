import tarfile

import numpy as np
import pytest

from cmrjax.data.dicom import read_images
from cmrjax.data.series import cines_of
from tests.data.builders import write_cine
from tests.data.dicom.build import pixels, write_enhanced


def found(folder):
    return cines_of(i for p in sorted(folder.rglob("*.dcm")) for i in read_images(str(p)))


def test_one_series_is_split_by_position_and_sorted_by_time(tmp_path):
    for i, position in enumerate((24.0, 8.0, 16.0)):  # as acquired, not as they lie
        write_cine(tmp_path, position=position, first_instance=1 + 8 * i, SliceLocation=i * 6.7)
    cines, rejected = found(tmp_path)
    assert not rejected
    assert [c.position_mm for c in cines] == [8, 16, 24]
    assert [c.slice_index for c in cines] == [0, 1, 2]
    assert {c.gap_mm for c in cines} == {8.0}
    for cine in cines:
        assert [i.trigger for i in cine.images] == [100.0 * t for t in range(8)]


def test_slices_in_series_of_their_own_are_one_stack(tmp_path):
    for i in range(4):
        name = f"CINE_segmented_SAX_b{i + 1}"
        write_cine(tmp_path, series=i + 1, position=10.0 * i, SeriesDescription=name)
    cines, _ = found(tmp_path)
    assert [(c.view, c.slice_index, c.gap_mm) for c in cines] == [
        ("sax", i, 10.0) for i in range(4)
    ]


def test_of_a_slice_scanned_twice_the_later_one_stays(tmp_path):
    write_cine(tmp_path, series=1, SeriesNumber=4)
    write_cine(tmp_path, series=2, SeriesNumber=9)
    cines, rejected = found(tmp_path)
    assert [c.images[0].shared.series_number for c in cines] == [9]
    assert rejected == {"repeated": 1}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SeriesDescription": "SAX_MOLLI_PRE"}, "named_other_imaging"),
        ({"SeriesDescription": "3 plane loc"}, "named_other_imaging"),
        ({"ImageType": ["DERIVED", "PRIMARY", "P", "ND"]}, "flow"),
        ({"phases": 1}, "one_phase"),
        ({"phases": 2}, "few_phases"),
        ({"TriggerTime": 0.0}, "no_cardiac_cycle"),
    ],
)
def test_what_is_no_cine_is_counted_with_its_reason(tmp_path, tags, reason):
    write_cine(tmp_path, **tags)
    assert found(tmp_path) == ([], {reason: 1})


def test_without_trigger_times_instance_numbers_decide(tmp_path):
    write_cine(tmp_path, TriggerTime=None)
    cines, _ = found(tmp_path)
    assert [i.instance for i in cines[0].images] == list(range(1, 9))


def tilted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and normal of a short axis."""
    row, column = np.array([-0.105, 0.346, -0.932]), np.array([-0.733, -0.660, -0.163])
    row /= np.linalg.norm(row)
    column -= row * (row @ column)
    column /= np.linalg.norm(column)
    return row, column, np.cross(row, column)


@pytest.mark.parametrize("own_series", [False, True])
def test_a_tilted_stack_without_a_name_is_short_axis(tmp_path, own_series):
    row, column, normal = tilted()
    tags = {"ImageOrientationPatient": [*row, *column], "SeriesDescription": ""}
    for i in range(3):
        place = [round(float(v), 5) for v in normal * 10 * i]
        write_cine(
            tmp_path,
            series=1 + i if own_series else 1,
            first_instance=1 + 8 * i,
            ImagePositionPatient=place,
            **tags,
        )
    cines, _ = found(tmp_path)
    assert [(c.view, c.slice_index) for c in cines] == [("sax", 0), ("sax", 1), ("sax", 2)]
    assert cines[0].gap_mm == pytest.approx(10, abs=1e-3)


def test_views_that_one_series_holds_are_told_apart_by_their_planes(tmp_path):
    row, column, normal = tilted()
    for i in range(3):
        place = [round(float(v), 5) for v in normal * 10 * i]
        tags = {"ImageOrientationPatient": [*row, *column], "ImagePositionPatient": place}
        write_cine(tmp_path, first_instance=1 + 8 * i, **tags)
    # Down along the wall, and towards its septal side: two chambers and four.
    for i, angle in enumerate((0.0, 60.0)):
        across = np.cos(np.radians(angle)) * row + np.sin(np.radians(angle)) * column
        tags = {"ImageOrientationPatient": [*across, *normal], "SeriesDescription": "cine LAX"}
        write_cine(tmp_path, series=2, first_instance=1 + 8 * i, **tags)
    assert sorted(c.view for c in found(tmp_path)[0]) == ["2ch", "4ch", "sax", "sax", "sax"]


def test_an_axial_stack_without_a_name_stays_unknown(tmp_path):
    for i in range(3):
        write_cine(tmp_path, first_instance=1 + 8 * i, position=8.0 * i, SeriesDescription="")
    assert {c.view for c in found(tmp_path)[0]} == {"unknown"}


def test_orientation_noise_and_repeated_files_do_no_harm(tmp_path):
    write_cine(tmp_path, ImageOrientationPatient=[1, 1e-5, 0, 0, 1, 0])
    write_cine(tmp_path / "again")
    cines, rejected = found(tmp_path)
    assert len(cines) == 1
    assert len(cines[0].images) == 8
    assert not rejected


def test_an_interrupted_slice_does_not_replace_the_whole_one(tmp_path):
    for i in range(4):
        write_cine(tmp_path, series=i + 1, position=10.0 * i, phases=12, SeriesNumber=i + 1)
    write_cine(tmp_path, series=9, position=20.0, phases=6, SeriesNumber=9)
    cines, rejected = found(tmp_path)
    assert [len(c.images) for c in cines] == [12] * 4
    assert rejected == {"incomplete": 1}


def test_a_slice_scanned_again_a_little_beside_is_the_same_slice(tmp_path):
    for i in range(4):
        write_cine(tmp_path, series=i + 1, position=10.0 * i, SeriesNumber=i + 1)
    write_cine(tmp_path, series=9, position=21.5, SeriesNumber=9)
    cines, rejected = found(tmp_path)
    assert [c.position_mm for c in cines] == [0, 10, 21.5, 30]
    assert {c.gap_mm for c in cines} == {10.0}
    assert rejected == {"repeated": 1}


@pytest.mark.parametrize(("case", "slices"), [("SCD0000101", 12), ("SCD0000301", 10)])
def test_no_slice_of_a_real_stack_is_lost(shared_data, tmp_path, case, slices):
    with tarfile.open(shared_data / "scd" / f"{case}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    cines, rejected = found(tmp_path)
    assert [len(c.images) for c in cines] == [20] * slices
    assert [c.slice_index for c in cines] == list(range(slices))
    assert not +rejected


def test_the_slices_of_an_enhanced_image(tmp_path):
    frames = np.stack([pixels() + i for i in range(24)])
    places = [(0, 0, 8.0 * (i % 3)) for i in range(24)]
    times = [40.0 * (i // 3) for i in range(24)]
    write_enhanced(tmp_path / "x.dcm", frames, places, times)
    cines, rejected = found(tmp_path)
    assert not rejected
    assert [c.position_mm for c in cines] == [0, 8, 16]
    assert [[i.frame for i in c.images] for c in cines] == [list(range(k, 24, 3)) for k in range(3)]
