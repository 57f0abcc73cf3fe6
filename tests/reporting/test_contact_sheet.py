import numpy as np
import pytest

from cmrjax.data.masks import LV, MYOCARDIUM, RV
from cmrjax.data.records import RecordSource, Study
from cmrjax.reporting import contact_sheet
from cmrjax.reporting.contact_sheet import COLOURS
from tests.data.builders import write_small_dataset

SIZE, ZOOM = 32, 4


def record(**changes) -> dict:
    """A ring with a cavity and the right ventricle beside it, drawn in frames 1 and 3 of 6."""
    rows, columns = np.indices((SIZE, SIZE))
    away = np.hypot(rows - 15.5, columns - 18.5)
    mask = np.where((abs(rows - 15) < 7) & (columns < 14), RV, 0)
    mask = np.where(away < 9, MYOCARDIUM, mask)
    mask = np.where(away < 5, LV, mask).astype(np.uint8)
    drawn = np.array([0, 1, 0, 1, 0, 0], np.uint8)
    fields = {
        "cine": np.full((6, SIZE, SIZE), 40, np.uint8),
        "view": "sax",
        "slice_index": 2,
        "gap_mm": 8.0,
        "mask": mask[None] * drawn[:, None, None],
        "mask_frames": drawn,
    }
    return fields | changes


def pixels_of(picture, name: str) -> np.ndarray:
    return (np.array(picture) == COLOURS[name]).all(-1)


def test_contours_are_drawn_where_the_mask_ends():
    tile, classes = contact_sheet._tile(record(), 1, ZOOM)
    assert classes == {"rv", "myocardium", "lv"}
    rows, columns = np.indices((SIZE * ZOOM,) * 2)
    away = np.hypot(rows - (15.5 + 0.5) * ZOOM + 0.5, columns - (18.5 + 0.5) * ZOOM + 0.5) / ZOOM
    for name, radius in (("lv", 5.0), ("myocardium", 9.0)):
        outline = pixels_of(tile, name)
        assert outline.sum() > radius * 2 * np.pi * ZOOM * 0.7
        np.testing.assert_allclose(away[outline], radius, atol=0.8)
    assert not pixels_of(tile, "rv")[:, 20 * ZOOM :].any()


def test_only_drawn_frames_are_outlined():
    undrawn, classes = contact_sheet._tile(record(), 0, ZOOM)
    assert classes == set()
    assert np.ptp(np.array(undrawn)) == 0
    cavity = record(mask=np.where(record()["mask"] == LV, LV, 0))
    assert contact_sheet._tile(cavity, 1, ZOOM)[1] == {"lv"}


@pytest.mark.parametrize(
    ("drawn", "shown", "contoured"),
    [
        ([0, 1, 0, 1, 0, 0], [1, 3], True),
        ([0, 0, 1, 0, 0, 0], [2], True),
        ([0] * 6, [0, 3], False),
    ],
)
def test_the_frames_shown_are_those_with_contours(drawn, shown, contoured):
    found = contact_sheet._frames(record(mask_frames=np.array(drawn, np.uint8)))
    assert found == (shown, contoured)


def test_a_still_is_shown_once():
    still = record(cine=np.zeros((1, SIZE, SIZE), np.uint8), mask_frames=np.zeros(1, np.uint8))
    assert contact_sheet._frames(still) == ([0], False)


def study(number: int, slices: int, long_axes: int) -> Study:
    views = ("sax",) * slices + ("4ch",) * long_axes
    first = 100 * number
    return Study(f"s{number}", f"p{number}", tuple(range(first, first + len(views))), views)


def test_stacks_have_a_line_each_and_single_cines_share_lines():
    grouped = [study(i, slices=10, long_axes=1) for i in range(30)]
    stacks = contact_sheet._chosen(grouped, "sax")
    assert stacks == [[s + i for i in (1, 3, 6, 8)] for s in (500, 1500, 2500)]
    single = contact_sheet._chosen(grouped, "4ch")
    assert [len(line) for line in single] == [4, 4, 4]
    assert all(row % 100 == 10 for line in single for row in line)
    pairs = contact_sheet._chosen([study(i, slices=2, long_axes=0) for i in range(5)], "sax")
    assert pairs == [[0, 1, 100, 101], [200, 201, 300, 301], [400, 401]]
    assert contact_sheet._chosen(grouped, "2ch") == []


def test_all_views_of_a_dataset(tmp_path):
    write_small_dataset(tmp_path / "dataset", studies=2)
    parts = contact_sheet.sheets(RecordSource(tmp_path / "dataset"))
    assert [(p.view, p.shown, p.contoured, p.classes) for p in parts] == [("sax", 4, 0, ())]
    both = contact_sheet.joined([*parts, *parts])
    assert both.size == (parts[0].picture.width, 2 * parts[0].picture.height)
    assert both.crop((0, 0, *parts[0].picture.size)) == parts[0].picture


def test_pixels_of_either_type_make_the_same_picture():
    eight = record()
    sixteen = {**eight, "cine": eight["cine"].astype(np.uint16) * 257}
    (one, _), (other, _) = (contact_sheet._tile(r, 1, ZOOM) for r in (eight, sixteen))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
