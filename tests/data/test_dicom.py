import contextlib
import shutil

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmrjax.data.dicom import Rejected, read_images, read_pixels, study_of
from tests.data.builders import AXIAL, write_image


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 4000, (12, 10)).astype(np.uint16)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_header_and_pixels_equal_pydicoms(tmp_path, pixels, implicit, kind):
    path = tmp_path / "x"
    signed = (pixels.astype(int) - 2000 * (kind is np.int16)).astype(kind)
    write_image(
        path,
        pixels=signed,
        implicit=implicit,
        TriggerTime="37.5",
        RescaleSlope="2",
        RescaleIntercept="-7",
        ReferringPhysicianName="Doe^Jo",
    )
    (image,), dataset = read_images(str(path)), pydicom.dcmread(path)
    assert study_of(str(path)) == (dataset.StudyInstanceUID, "A1")
    assert image.layout.direct
    assert image.position == tuple(dataset.ImagePositionPatient)
    assert image.orientation == AXIAL
    assert (image.trigger, image.instance) == (37.5, 1)
    assert np.isnan(image.inversion_time)
    assert {"Doe^Jo", "Testperson^Erika", "P1", "A1"} <= {text for _, text in image.identifiers}
    np.testing.assert_allclose(read_pixels([image])[0], dataset.pixel_array * 2.0 - 7)


def test_monochrome1_is_turned_so_that_bright_is_more(tmp_path, pixels):
    write_image(tmp_path / "x", pixels=pixels, PhotometricInterpretation="MONOCHROME1")
    shown = read_pixels(read_images(str(tmp_path / "x")))[0]
    np.testing.assert_array_equal(shown, -pixels.astype(np.float32))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "not_mr"),
        ({"NumberOfFrames": 3}, "truncated"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not_grey"),
        ({"ImagePositionPatient": None}, "no_geometry"),
        ({"PixelSpacing": [0.0, 0.0]}, "no_geometry"),
        ({"Rows": 60000, "Columns": 60000}, "too_large"),
        ({"Rows": 200}, "truncated"),
    ],
)
def test_each_rejection_has_its_reason(tmp_path, pixels, tags, reason):
    write_image(tmp_path / "x", pixels=pixels, **tags)
    with pytest.raises(Rejected) as caught:
        read_images(str(tmp_path / "x"))
    assert caught.value.reason == reason


def test_files_are_known_by_content(tmp_path, pixels):
    write_image(tmp_path / "x", pixels=pixels)
    shutil.copy(tmp_path / "x", tmp_path / "._x")
    (tmp_path / "text").write_text("Rows: 12")
    (tmp_path / "empty").write_bytes(b"")
    for name, reason in (("._x", "appledouble"), ("text", "not_dicom"), ("empty", "not_dicom")):
        with pytest.raises(Rejected, match=reason):
            study_of(str(tmp_path / name))


def test_a_truncated_file_is_rejected(tmp_path, pixels):
    write_image(tmp_path / "x", pixels=pixels)
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "y").write_bytes(data[:-50])
    with pytest.raises(Rejected, match="truncated"):
        read_images(str(tmp_path / "y"))


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_damaged_headers_give_an_image_or_a_reason(tmp_path, pixels, data):
    write_image(tmp_path / "x", pixels=pixels)
    content = bytearray((tmp_path / "x").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "y").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(Rejected):  # nothing else may come out
        study_of(str(tmp_path / "y"))
        assert read_pixels(read_images(str(tmp_path / "y"))).ndim == 3
