import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from cmrjax.data import geometry
from cmrjax.data.phantom.scanner import FULL, sample_protocol
from cmrjax.data.planes import Group, long_axis_view, settle, wall_angle

APEX_TO_BASE = -geometry.LV_AXIS
FRONT = np.array([0, 0, 1.0]) - APEX_TO_BASE[2] * APEX_TO_BASE
FRONT /= np.linalg.norm(FRONT)
LATERAL = np.cross(APEX_TO_BASE, FRONT)


def holding_axis(degrees: float) -> np.ndarray:
    """The normal of the plane through the axis that meets the wall at an angle."""
    turn = np.radians(degrees)
    within = np.cos(turn) * LATERAL + np.sin(turn) * FRONT
    return np.cross(within, APEX_TO_BASE)


def group(*readings: str, direction: ArrayLike = geometry.LV_AXIS, places=(0.0,)) -> Group:
    return Group(readings, np.asarray(direction), tuple(places))


STACK = group("sax", places=(0.0, 8.0, 16.0))


def test_the_lateral_wall_is_left_and_the_front_is_up():
    assert LATERAL[0] > 0.6  # x grows to the patient's left
    assert FRONT[2] > 0.6


@pytest.mark.parametrize(
    ("degrees", "view"), [(20, "4ch"), (185, "4ch"), (90, "2ch"), (140, "3ch"), (60, None)]
)
def test_views_by_the_angle_at_the_wall(degrees, view):
    direction = holding_axis(degrees)
    assert wall_angle(direction, APEX_TO_BASE) == pytest.approx(degrees % 180)
    assert long_axis_view(direction, APEX_TO_BASE) == view
    assert long_axis_view(-direction, APEX_TO_BASE) == view
    assert long_axis_view(direction, None) is None


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_planned_views_are_named_or_left_open(seed):
    """Of planes as scanners plan them none is taken for another."""
    protocol = sample_protocol(np.random.default_rng(seed), FULL)
    for plane in protocol.planes:
        direction = np.cross(protocol.axes @ plane.row, protocol.axes @ plane.column)
        if plane.view == "sax":
            assert long_axis_view(direction, protocol.axes[:, 2]) is None
        else:
            assert long_axis_view(direction, protocol.axes[:, 2]) in (plane.view, None)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 1, 0.1), (-1, 0, 0)])
def test_planes_of_the_body_are_no_views(direction):
    """An axial slice may hold the axis of a heart that lies flat."""
    direction = np.array(direction) / np.linalg.norm(direction)
    across = np.cross(direction, [0.3, 0.9, 0.2])
    assert long_axis_view(direction, across / np.linalg.norm(across)) is None


def test_a_real_four_chamber_plane(shared_data):
    """Of M&Ms-2, whose headers have DICOM's axes where NIfTI's should be."""

    def normal(name: str) -> np.ndarray:
        path = shared_data / "nifti_samples" / "mnms2" / f"{name}_ed.nii.gz"
        image = nibabel.load(path)
        assert isinstance(image, nibabel.Nifti1Image)
        directions = np.asarray(image.affine)[:3]
        out = np.cross(directions[:, 0], directions[:, 1])
        return out / np.linalg.norm(out)

    stack, four = normal("sax"), normal("lax_4c")
    assert geometry.short_axis_like(stack)
    axis = -stack if stack @ geometry.LV_AXIS > 0 else stack
    assert long_axis_view(four, axis) == "4ch"


def test_names_with_one_meaning_are_taken():
    names = ("2ch", "3ch", "4ch", "lvot", "unknown")
    groups = [group(name, direction=holding_axis(20)) for name in names]
    assert settle(groups) == list(names)
    assert settle([STACK, *groups]) == ["sax", *names]


def test_a_name_that_its_plane_contradicts_is_unknown():
    groups = [STACK, group("4ch"), group("sax", direction=holding_axis(90), places=(0.0, 8.0))]
    assert settle(groups) == ["sax", "unknown", "unknown"]
    # Without a short-axis stack there is nothing to contradict it.
    assert settle(groups[1:2]) == ["4ch"]
    axial = (0.0, 0.0, 1.0)
    assert settle([group("sax", direction=axial), group("4ch", direction=axial)]) == ["sax", "4ch"]


def test_slices_without_a_name_are_a_stack_over_several_series():
    slices = [group(places=(8.0 * i,)) for i in range(3)]
    assert settle(slices) == ["sax"] * 3
    assert settle(slices[:2]) == ["unknown"] * 2
    assert settle([slices[0]] * 3) == ["unknown"] * 3  # one slice, three times
    assert settle([group(direction=(0, 0, 1), places=range(0, 80, 8))]) == ["unknown"]


def test_planes_without_a_name_are_read_against_the_stack():
    loose = [group(direction=holding_axis(a)) for a in (10, 90, 140, 60)]
    assert settle([STACK, *loose]) == ["sax", "4ch", "2ch", "3ch", "unknown"]
    unnamed = group(places=(0.0, 8.0, 16.0))
    assert settle([unnamed, *loose])[:2] == ["sax", "4ch"]
    assert settle(loose) == ["unknown"] * 4


def test_lvot_is_the_three_chamber_view_where_its_plane_says_so():
    both, coronal = ("lvot", "3ch"), np.array([0.1, 0.95, 0.3]) / np.linalg.norm([0.1, 0.95, 0.3])
    assert settle([STACK, group(*both, direction=holding_axis(140))]) == ["sax", "3ch"]
    assert settle([STACK, group(*both, direction=coronal)]) == ["sax", "lvot"]
    assert settle([group(*both), group("3ch")]) == ["lvot", "3ch"]


def test_vlax_is_what_the_plane_or_the_other_series_leave():
    vlax = ("3ch", "2ch")
    assert settle([STACK, group(*vlax, direction=holding_axis(90))]) == ["sax", "2ch"]
    assert settle([STACK, group(*vlax, direction=holding_axis(140))]) == ["sax", "3ch"]
    assert settle([group(*vlax), group("3ch")]) == ["2ch", "3ch"]
    assert settle([group(*vlax), group("2ch")]) == ["3ch", "2ch"]


def test_a_name_of_several_views_is_read_by_the_plane_or_not_at_all():
    names = ("unknown", "2ch", "3ch", "4ch")
    planes = [group(*names, direction=holding_axis(a)) for a in (20, 90, 140, 60)]
    assert settle([STACK, *planes]) == ["sax", "4ch", "2ch", "3ch", "unknown"]
    assert settle([group("unknown"), *planes]) == ["unknown"] * 5
    other = group("unknown", "2ch", "4ch", direction=holding_axis(140))
    assert settle([STACK, other])[1] == "unknown"
    both = ("unknown", "4ch", "sax")
    pair = [group(*both), group(*both, direction=holding_axis(20))]
    assert settle([STACK, *pair])[1:] == ["sax", "4ch"]
