import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import LV, MYOCARDIUM, RV
from cmrjax.data.sources import nifti
from tests.data.sources.layouts import GAP, SPACING, heart, save_stack
from tests.data.test_geometry import rotation

OURS = {RV: RV, MYOCARDIUM: MYOCARDIUM, LV: LV}


@pytest.mark.parametrize("axes", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("swapped", [False, True])
def test_a_stack_lies_alike_however_it_is_stored(tmp_path, axes, swapped):
    images, masks = heart()
    save_stack(tmp_path / "a.nii.gz", images, axes=axes, swapped=swapped)
    save_stack(tmp_path / "a_gt.nii.gz", masks, axes=axes, swapped=swapped)
    volume = nifti.read_volume(tmp_path / "a.nii.gz")
    order = nifti.scanner_order(volume.directions)
    stack = nifti.stack_of(volume, order)
    np.testing.assert_array_equal(stack.frames, images)
    np.testing.assert_allclose(stack.planes[0].spacing, SPACING, rtol=1e-6)
    assert stack.gap_mm == GAP
    assert stack.voxel_mm3 == pytest.approx(SPACING[0] * SPACING[1] * GAP)
    classes = nifti.read_classes(tmp_path / "a_gt.nii.gz", volume, OURS)
    np.testing.assert_array_equal(nifti.arrange(classes, order), masks)
    assert nifti.mend_directions(volume, classes[..., 0]) is volume


@given(
    st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
    st.tuples(*[st.sampled_from((1, -1))] * 3),
)
def test_a_pixel_of_a_slice_lies_where_the_affine_says(turn, signs):
    values = np.arange(4 * 5 * 3).reshape(4, 5, 3, 1)
    directions, zooms = rotation(*turn) * signs, np.array([1.5, 1.25, 8.0])
    volume = nifti.Volume(values, zooms, directions, np.array([3.0, -40.0, 7.0]))
    stack = nifti.stack_of(volume, nifti.scanner_order(directions))
    for z, plane in enumerate(stack.planes):
        for row, column in ((0, 0), (2, 3), (stack.frames.shape[2] - 1, 0)):
            voxel = np.argwhere(values[..., 0] == stack.frames[z, 0, row, column])[0]
            place = volume.origin + directions @ (zooms * voxel)
            np.testing.assert_allclose(plane.to_patient([row, column]), place, atol=1e-6)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_header_that_confuses_left_and_right_is_mended_by_the_ventricles(tmp_path, swapped):
    images, masks = heart()
    save_stack(tmp_path / "a.nii.gz", images, half_turn=True, swapped=swapped)
    save_stack(tmp_path / "a_gt.nii.gz", masks, half_turn=True, swapped=swapped)
    volume = nifti.read_volume(tmp_path / "a.nii.gz")
    classes = nifti.read_classes(tmp_path / "a_gt.nii.gz", volume, OURS)
    mended = nifti.mend_directions(volume, classes[..., 0])
    frames = nifti.stack_of(mended, nifti.scanner_order(mended.directions)).frames
    np.testing.assert_array_equal(frames, images)


def test_directions_that_say_nothing_leave_the_file_as_it_is(tmp_path):
    """ACDC's and EMIDEC's affines hold the spacing alone."""
    images, _ = heart()
    volume = np.moveaxis(images, (0, -2, -1), (2, 1, 0))
    for affine in (np.diag([-1.25, -1.5, 8, 1]), np.diag([-1.0, -1, 1, 1])):
        nib.save(nib.Nifti1Image(volume, affine), tmp_path / "a.nii.gz")
        read = nifti.read_volume(tmp_path / "a.nii.gz")
        frames = nifti.arrange(read.values, nifti.scanner_order(read.directions))
        np.testing.assert_array_equal(frames, images)


def test_a_lying_slice_has_the_back_below_and_the_left_on_the_right():
    """A four-chamber view as one of M&Ms-2 is stored: x to the front, y to the right."""
    order = nifti.scanner_order(np.array([[0, -1, 0], [-1, 0, 0], [0, 0, -1]], float))
    assert order.axes == (0, 1)
    assert order.flipped == (True, True, True)


def test_scaled_numbers_are_scaled_once(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii.gz")
    values = nifti.read_volume(tmp_path / "a.nii.gz").values
    np.testing.assert_allclose(values[..., 0], nib.load(tmp_path / "a.nii.gz").get_fdata())
    assert values.dtype == np.float32


def test_odd_files_are_typed_rejections(tmp_path):
    images, masks = heart()
    good = tmp_path / "good.nii.gz"
    save_stack(good, images)
    (tmp_path / "cut.nii.gz").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "text.nii.gz").write_bytes(b"not a volume")
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    flat = nib.Nifti1Image(np.zeros((4, 4), np.uint8), np.eye(4))
    nib.save(flat, tmp_path / "flat.nii.gz")
    huge = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    huge.header["dim"][1:4] = 8000
    (tmp_path / "huge.nii").write_bytes(huge.header.binaryblock + b"\0" * 100)
    save_stack(tmp_path / "far.nii.gz", images, gap=900.0)
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "colour.nii.gz")
    reasons = {
        "none.nii.gz": "missing",
        "cut.nii.gz": "bad_nifti",
        "text.nii.gz": "bad_nifti",
        "empty.nii.gz": "bad_nifti",
        "flat.nii.gz": "not_a_stack",
        "huge.nii": "too_large",
        "far.nii.gz": "no_geometry",
        "colour.nii.gz": "bad_nifti",
    }
    for name, reason in reasons.items():
        with pytest.raises(Rejected, match=f"^{reason}$"):
            nifti.read_volume(tmp_path / name)
    volume = nifti.read_volume(good)
    save_stack(tmp_path / "other.nii.gz", masks[:-1])
    with pytest.raises(Rejected, match="shapes_differ"):
        nifti.read_classes(tmp_path / "other.nii.gz", volume, OURS)
    with pytest.raises(Rejected, match="unknown_class"):
        nifti.read_classes(good, volume, OURS)


def test_damaged_files_give_a_volume_or_a_typed_rejection(tmp_path):
    save_stack(tmp_path / "good.nii", heart()[0])
    good, rng = (tmp_path / "good.nii").read_bytes(), np.random.default_rng(0)
    seen = set()
    for turn in range(200):
        data = bytearray(good if turn % 3 else gzip.compress(good, 1))
        for at in rng.integers(0, 352 if turn % 3 else len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        path = tmp_path / ("bad.nii" if turn % 3 else "bad.nii.gz")
        path.write_bytes(data[: rng.integers(1, len(data))] if turn % 7 == 0 else data)
        try:
            nifti.scanner_order(nifti.read_volume(path).directions)
        except Rejected as reason:
            seen.add(reason.reason)
    assert {"bad_nifti", "too_large", "no_geometry"} <= seen


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"ED": "0", "ES": "4"}, (0, 4)),
        ({"ED": "7.0", "ES": "2.0"}, (7, 2)),
        ({"ED": "", "ES": "4"}, None),
        ({"ED": "nan", "ES": "4"}, None),
        ({"ED": "inf", "ES": "4"}, None),
        ({"ED": "0", "ES": "8"}, None),
        ({"ED": "3", "ES": "3"}, None),
        ({}, None),
    ],
)
def test_phases_count_from_zero_and_lie_in_the_cycle(facts, expected):
    volume = nifti.Volume(np.zeros((2, 2, 2, 8)), np.ones(3), np.eye(3), np.zeros(3))
    assert nifti.phase_numbers(facts, volume) == expected
