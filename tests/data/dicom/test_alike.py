"""What is read by likeness is what a walk of the same file gives, whatever came before it."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from cmrjax.data.dicom import header as headers
from cmrjax.data.dicom import read_images, read_stored, tags
from cmrjax.data.dicom.alike import Reader
from cmrjax.data.dicom.walk import Walk
from tests.data.builders import write_image
from tests.data.dicom.build import pixels


@pytest.fixture
def reader(monkeypatch):
    fresh = Reader(Walk(tags.WANTED, tags.ENTERED), headers.PIXEL_TAGS[0])
    monkeypatch.setattr(headers.read_header, "__defaults__", (fresh,))
    return fresh


def test_a_transfer_syntax_is_never_taken_from_another_file(tmp_path, reader):
    for i, name in enumerate("abc"):
        write_image(tmp_path / name, pixels=pixels(), SOPInstanceUID=f"1.2.{i}")
    content = (tmp_path / "b").read_bytes()
    padded = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1 ")
    (tmp_path / "b").write_bytes(padded)
    dataset = pydicom.dcmread(tmp_path / "c")
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(tmp_path / "c")
    for name in "abab":
        read_images(str(tmp_path / name))
    (image,) = read_images(str(tmp_path / "c"))
    assert image.layout.syntax == RLELossless
    np.testing.assert_array_equal(read_stored([image])[0], pixels())


def test_values_are_those_of_a_walk_in_any_order_of_files(tmp_path, reader):
    rng = np.random.default_rng(0)
    for i in range(40):
        said = {
            "SeriesDescription": "cine " + "x" * rng.integers(0, 9),
            "TriggerTime": float(rng.integers(0, 1000)),
            "PatientName": "A" * rng.integers(1, 9),
        }
        for name in rng.permutation(list(said))[: rng.integers(0, 3)]:
            said[str(name)] = None
        write_image(tmp_path / f"{i}", pixels=pixels(), SOPInstanceUID=f"1.2.{i}", **said)
    walked = {}
    for i in range(40):
        data = (tmp_path / f"{i}").read_bytes()
        content, at, _ = headers.data_set(data)
        walked[i] = reader.walk(content, at, explicit=True, stop=reader.stop)[0]
    for i in rng.integers(0, 40, 300):
        header = headers.read_header(str(tmp_path / f"{i}"))
        assert header.values == walked[i]
    assert reader._hits > 100
