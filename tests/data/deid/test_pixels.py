import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.data.deid.pixels import dropped_planes, mask_unused_bits, text_in_pixels
from cmrjax.data.dicom import read_images, read_pixels
from tests.data.builders import write_image

MR = "1.2.840.10008.5.1.4.1.1.4"
SCANNED = {
    "sop_class": MR,
    "image_type": ("ORIGINAL", "PRIMARY", "M", "RETRO"),
    "burned_in": "",
    "conversion_type": "",
    "series_description": "cine SAX",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"burned_in": "YES"}, "burned_in_text"),
        ({"burned_in": "yes "}, "burned_in_text"),
        ({"burned_in": "Y"}, "burned_in_text"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7"}, "secondary_capture"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7.4"}, "secondary_capture"),
        ({"conversion_type": "WSD"}, "secondary_capture"),
        ({"image_type": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, "screenshot"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "screen save")}, "screenshot"),
        ({"series_description": "Screen_Save 12"}, "screenshot"),
        ({"image_type": ("DERIVED", "SECONDARY", "OTHER")}, "derived_secondary"),
        ({"image_type": ("DERIVED ", "SECONDARY ")}, "derived_secondary"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.104.1"}, "not_an_mr_image"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.4.3"}, "not_an_mr_image"),
    ],
)
def test_what_may_hold_text_is_quarantined(changes, reason):
    assert text_in_pixels(**(SCANNED | changes)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"burned_in": "NO"},
        {"sop_class": ""},
        {"sop_class": "1.2.840.10008.5.1.4.1.1.4.1"},
        {"sop_class": "1.3.46.670589.11.0.0.12.1"},  # Philips writes classes of its own
        {"image_type": ("DERIVED", "PRIMARY", "M", "MOCO")},
        {"image_type": ()},
        {"series_description": "cine screening SAX"},
    ],
)
def test_what_a_scanner_makes_stays(changes):
    assert text_in_pixels(**(SCANNED | changes)) is None


def test_planes_beside_the_pixels_are_named():
    assert dropped_planes([0x00100010, 0x60020010, 0x50000005]) == ("overlay", "curve")
    assert dropped_planes([0x60010010, 0x7FE00010]) == ()


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.sampled_from([np.uint8, np.uint16, np.int8, np.int16]),
    st.integers(1, 16),
    st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20),
)
def test_bits_above_the_value_are_cut_off_and_the_value_stays(kind, bits, raw):
    bits = min(bits, np.dtype(kind).itemsize * 8)
    stored = np.array(raw, np.uint64).astype(kind)
    masked = mask_unused_bits(stored, bits_stored=bits)
    assert masked.dtype == kind
    low = stored.astype(np.int64) & ((1 << bits) - 1)
    signed = np.dtype(kind).kind == "i"
    expected = np.where(signed & (low >> (bits - 1) > 0), low - (1 << bits), low)
    np.testing.assert_array_equal(masked.astype(np.int64), expected)


@pytest.mark.parametrize("implicit", [False, True])
def test_an_overlay_in_high_bits_and_one_beside_the_pixels_are_gone(tmp_path, implicit):
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 50
    hidden = pixels | np.uint16(0x8000)
    for name, written in (("plain", pixels), ("hidden", hidden)):
        write_image(tmp_path / name, pixels=written, implicit=implicit, BitsStored=12, HighBit=11)
    images = {name: read_images(str(tmp_path / name)) for name in ("plain", "hidden")}
    shown = {name: read_pixels(found)[0] for name, found in images.items()}
    np.testing.assert_array_equal(shown["hidden"], shown["plain"])
    np.testing.assert_array_equal(shown["plain"], pixels)
