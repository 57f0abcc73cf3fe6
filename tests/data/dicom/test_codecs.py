"""What is read with the extra `codecs`, and what is said where it is missing."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from cmrjax import prepare
from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Rejected, read_images, read_stored
from cmrjax.data.reasons import advice
from tests.data.builders import write_cine
from tests.data.dicom.build import pixels, write_encapsulated, write_every_kind
from tests.data.dicom.hidden import without_codecs

NO_FRAME = b"\xff\xd8\xff\xd9"  # a JPEG with nothing in it
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with without_codecs(tmp_path_factory.mktemp("hidden")):
        yield


def reason_of(path):
    with pytest.raises(Rejected) as caught:
        read_stored(read_images(str(path)))
    return caught.value.reason


@pytest.mark.parametrize(
    "syntax",
    [
        *(JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit),
        *(JPEGLSLossless, JPEGLSNearLossless, HTJ2KLossless, JPEG2000Lossless),
    ],
)
def test_without_the_extra_what_it_may_read_is_rejected_by_its_name(tmp_path, bare, syntax):
    write_encapsulated(tmp_path / "x", NO_FRAME, syntax, pixels())
    assert reason_of(tmp_path / "x") == "needs_extra_codecs"


def test_without_the_extra_damage_that_it_cannot_mend_is_called_so(tmp_path, bare):
    small = (pixels() >> 4).astype(np.uint8)
    write_encapsulated(tmp_path / "x", NO_FRAME, JPEGBaseline8Bit, small, **EIGHT)
    assert reason_of(tmp_path / "x") == "undecodable"


def test_without_the_extra_all_other_kinds_are_read(tmp_path, bare):
    for name, expected in write_every_kind(tmp_path).items():
        if name in ("lossless", "jpegls", "htj2k"):
            assert reason_of(tmp_path / name) == "needs_extra_codecs"
        elif name != "baseline":  # which is lossy
            found = np.squeeze(read_stored(read_images(str(tmp_path / name))))
            np.testing.assert_array_equal(found, expected)


def test_prepare_says_which_extra_to_install(tmp_path, bare):
    write_cine(tmp_path / "scans")
    for path in (tmp_path / "scans").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset.PixelData = encapsulate([NO_FRAME])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)
    words = ["--source", "dicom", "--public", "--workers", "1", "--size", "16", "--frames", "4"]
    where = ["--input", str(tmp_path / "scans"), "--output", str(tmp_path / "out")]
    with pytest.raises(UserError, match=r"cine.needs_extra_codecs 1") as caught:
        prepare.main([*words, *where])
    assert "pip install 'cmrjax[codecs]'" in str(caught.value)
    assert "'cmrjax[codecs-gpl]'" in str(caught.value)


def test_advice_is_for_what_an_extra_reads_alone():
    assert advice(["file.unsupported_syntax", "cine.undecodable"]) is None
    assert "cmrjax[codecs]" in str(advice(["file.not_mr", "file.needs_extra_codecs"]))
