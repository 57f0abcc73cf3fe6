import tarfile

import pytest

from cmrjax.data.dicom import read_images, study_of
from tests.data.dicom.build import write_every_kind
from tests.data.dicom.fuzz import run


def test_damaged_files_give_pixels_or_a_reason(tmp_path):
    write_every_kind(tmp_path / "kinds")
    outcome = run([sorted((tmp_path / "kinds").iterdir())], 300, 0, tmp_path / "mutant")
    for told in (outcome.images, outcome.pixels):
        assert sum(told.values()) == 300
        assert told["pixels"] >= 30
        assert len(told) >= 6
        assert not told["crashed"]
        assert not told["too_slow"]


@pytest.mark.parametrize("name", ["SCD0000101", "SCD0000301"])
def test_unharmed_scans_are_never_rejected(shared_data, tmp_path, name):
    with tarfile.open(shared_data / "scd" / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    files = [str(p) for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) in (200, 240)
    for path in files:
        study_of(path)
        assert len(read_images(path)) == 1
