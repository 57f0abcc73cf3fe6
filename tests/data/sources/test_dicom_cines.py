import numpy as np
import pytest

from cmrjax.data.dicom import read_images
from cmrjax.data.series import cines_of
from cmrjax.data.sources import dicom_cines
from cmrjax.data.sources.dicom_cines import Scans
from tests.data.builders import beating, write_cine


@pytest.fixture
def cines(tmp_path):
    for i in range(3):
        tags = {"RescaleSlope": "2", "RescaleIntercept": "-5"}
        write_cine(tmp_path, position=8.0 * i, first_instance=1 + 8 * i, **tags)
    found = (i for path in sorted(tmp_path.glob("*")) for i in read_images(str(path)))
    return cines_of(found)[0]


def test_pixels_are_the_same_whether_they_are_kept_or_read_again(cines, monkeypatch):
    expected = beating(8) * 2.0 - 5
    for kept in (0, 2 * beating(8).nbytes, 1 << 30):
        monkeypatch.setattr(dicom_cines, "KEPT_BYTES", kept)
        scans = Scans()
        for cine in cines:
            scans.add(cine)
        assert len(list(scans)) == 3
        for frames in scans:
            assert frames.dtype == np.float32
            np.testing.assert_array_equal(frames, expected)
