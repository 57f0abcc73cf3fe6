import gzip
import os
import shutil
import zlib

import pydicom
import pytest

from cmrjax.data.dicom import Rejected, read_images, study_of
from cmrjax.data.dicom.header import inflate, read_header
from tests.data.builders import write_image
from tests.data.dicom.build import pixels, write_deflated


@pytest.fixture
def path(tmp_path):
    write_image(tmp_path / "x", pixels=pixels())
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text", b"Rows: 12", "not_dicom"),
        ("empty", b"", "not_dicom"),
        ("x.dcm", b"<html>" * 100, "not_dicom"),
        ("zeros", bytes(1000), "not_dicom"),
        ("x.gz", gzip.compress(b"x", mtime=0), "archive"),
        ("x.zip", b"PK\3\4" + bytes(100), "archive"),
        ("meta", bytes(128) + b"DICM", "truncated"),
    ],
)
def test_files_are_known_by_content(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Rejected) as caught:
        study_of(str(tmp_path / name))
    assert caught.value.reason == reason


def test_names_say_nothing_but_appledoubles(path):
    for name in ("IM0001", "x.txt", "1.2.840.113619"):
        shutil.copy(path, path.with_name(name))
        assert study_of(str(path.with_name(name))) == ("1.2.826.1", "A1")
    shutil.copy(path, path.with_name("._IM0001"))
    with pytest.raises(Rejected, match="appledouble"):
        study_of(str(path.with_name("._IM0001")))


def test_a_file_of_no_study(path):
    write_image(path, pixels=pixels(), StudyInstanceUID=None)
    with pytest.raises(Rejected, match="no_study"):
        study_of(str(path))
    write_image(path, pixels=pixels(), StudyInstanceUID=None, SOPClassUID="1.2.840.10008.1.3.10")
    with pytest.raises(Rejected, match="dicomdir"):
        study_of(str(path))


def test_a_file_that_cannot_be_opened(tmp_path):
    os.symlink(tmp_path / "nowhere", tmp_path / "x")
    for missing in (tmp_path / "x", tmp_path / "y", tmp_path):
        with pytest.raises(Rejected, match="unreadable"):
            study_of(str(missing))


def test_a_cut_file_is_truncated_wherever_it_is_cut(path):
    data = path.read_bytes()
    for end in range(140, len(data), 37):
        path.write_bytes(data[:end])
        with pytest.raises(Rejected) as caught:
            read_images(str(path))
        # A cut right behind an element leaves a whole file without pixels.
        assert caught.value.reason in ("truncated", "no_pixels", "not_mr")


def test_a_long_header_is_read_whole(path):
    write_image(path, pixels=pixels(), PatientComments="x" * 10000, ImageComments="y" * 10000)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00291010, "OB", bytes(300_000))  # a scanner's own, as long as they are met
    dataset.save_as(path)
    (image,) = read_images(str(path))
    assert image.layout.offset > 300_000


def test_a_deflated_bomb_is_refused_before_it_grows(path):
    write_deflated(path, pixels())
    data = path.read_bytes()
    start = next(at for at in range(132, len(data)) if is_deflated(data[at:]))
    head = zlib.decompressobj(-15).decompress(data[start:])
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = b"\x29\0\x10\x10OB\0\0\0\0\0\x04" + bytes(1 << 26)
    at = head.index(b"\x28\0\x10\0US")
    path.write_bytes(data[:start] + bomb.compress(head[:at] + zeros) + bomb.flush())
    assert path.stat().st_size < 1 << 20
    with pytest.raises(Rejected, match="too_large"):
        read_header(str(path))


def is_deflated(data: bytes) -> bool:
    engine = zlib.decompressobj(-15)
    try:
        return len(engine.decompress(data)) > 500 and engine.eof
    except zlib.error:
        return False


def test_inflating_stops_at_a_limit():
    packed = zlib.compress(bytes(40 << 20), 9)[2:-4]
    with pytest.raises(Rejected, match="too_large"):
        inflate(packed)
    with pytest.raises(Rejected, match="unreadable"):
        inflate(b"\xff" * 100)
