import os
import signal

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from cmrjax.data.dicom import Rejected, guard, read_images, read_pixels, read_stored
from cmrjax.data.dicom.codecs import coded_size
from cmrjax.data.dicom.header import read_header
from tests.data.builders import write_image
from tests.data.dicom.build import (
    picture,
    pixels,
    write_encapsulated,
    write_every_kind,
    write_rle,
)

EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x"


def test_every_kind_of_file_gives_its_pixels(tmp_path):
    for name, expected in write_every_kind(tmp_path).items():
        found = np.squeeze(read_stored(read_images(str(tmp_path / name))))
        away = np.abs(found.astype(int) - expected)
        assert away.max() <= (6 if name == "baseline" else 0), name


def test_every_kind_of_file_gives_pydicoms_pixels(tmp_path):
    write_every_kind(tmp_path)
    for name in ("explicit", "implicit", "big", "deflated", "rle", "enhanced", "baseline", "j2k"):
        expected = pydicom.dcmread(tmp_path / name).pixel_array
        found = np.squeeze(read_stored(read_images(str(tmp_path / name))))
        np.testing.assert_array_equal(found, expected)


def test_a_cine_of_files_of_several_kinds(tmp_path):
    write_image(tmp_path / "a", pixels=pixels())
    write_rle(tmp_path / "b", pixels() + 1)
    write_image(tmp_path / "c", pixels=(pixels() >> 8).astype(np.uint8), **EIGHT)
    images = [image for name in "abc" for image in read_images(str(tmp_path / name))]
    expected = np.stack([pixels(), pixels() + 1, pixels() >> 8])
    np.testing.assert_array_equal(read_pixels(images), expected.astype(np.float32))


def test_a_file_that_changed_since_its_header_was_read(path):
    write_image(path, pixels=pixels())
    images = read_images(str(path))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Rejected, match="truncated"):
        read_pixels(images)
    path.unlink()
    with pytest.raises(Rejected, match="unreadable"):
        read_pixels(images)


def test_a_stream_of_another_size_than_the_header_says_is_not_decoded(path):
    small = np.zeros((32, 32), np.uint8)
    stream = picture(np.zeros((3000, 3000), np.uint8), "JPEG2000", no_jp2=True)
    write_encapsulated(path, stream, JPEG2000Lossless, small, **EIGHT)
    with pytest.raises(Rejected, match="bad_pixels"):
        read_pixels(read_images(str(path)))


def test_run_lengths_that_claim_more_than_they_can_hold(path):
    write_rle(path, pixels())
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 5000
    dataset.save_as(path)
    with pytest.raises(Rejected, match="bad_size"):
        read_images(str(path))


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_the_size_that_a_stream_says(kind):
    options = {"no_jp2": True} if kind == "JPEG2000" else {}
    for size, samples in (((20, 30), 1), ((7, 1000), 3)):
        image = np.zeros(size if samples == 1 else (*size, samples), np.uint8)
        assert coded_size(picture(image, kind, **options)) == (*size, samples)
    assert coded_size(b"") is None
    assert coded_size(b"\xff\xd8" + b"\xff" * 50) is None


def test_a_syntax_that_nobody_decodes_is_named(path):
    write_encapsulated(path, b"\0\0\0\1", "1.2.840.10008.1.2.4.102", pixels())  # a video
    with pytest.raises(Rejected, match="unsupported_syntax"):
        read_pixels(read_images(str(path)))


@pytest.fixture
def fresh_guard():
    guard.close()
    yield
    guard.close()


def test_a_guard_that_dies_is_replaced(path, fresh_guard):
    write_rle(path, pixels())
    images = read_images(str(path))
    np.testing.assert_array_equal(read_pixels(images)[0], pixels())
    process = guard._GUARD._process
    assert process is not None
    os.kill(process._process.pid, signal.SIGSEGV)
    with pytest.raises(Rejected, match="crashed"):
        read_pixels(images)
    np.testing.assert_array_equal(read_pixels(images)[0], pixels())


def test_a_guard_that_does_not_answer_is_stopped(path, fresh_guard, monkeypatch):
    write_rle(path, pixels())
    images = read_images(str(path))
    read_pixels(images)
    process = guard._GUARD._process
    assert process is not None
    os.kill(process._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(guard, "CPU_SECONDS", 0)
    monkeypatch.setattr(guard, "CPU_SECONDS_A_FRAME", 0.1)
    with pytest.raises(Rejected, match="too_slow"):
        read_pixels(images)
    assert process._process.poll() is not None


def test_the_guard_has_so_much_processor_time(path, fresh_guard, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000)).astype(np.uint8)
    stream = picture(noise, "JPEG2000", no_jp2=True)
    write_encapsulated(path, stream, JPEG2000Lossless, noise, **EIGHT)
    images = read_images(str(path))
    monkeypatch.setattr(guard, "CPU_SECONDS", 0)
    monkeypatch.setattr(guard, "CPU_SECONDS_A_FRAME", 0.001)
    monkeypatch.setattr(guard, "_PATIENCE", 60_000)
    with pytest.raises(Rejected, match="too_slow"):
        [read_pixels(images) for _ in range(20)]  # the kernel counts whole seconds


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux alone limits memory")
def test_the_guard_has_so_much_memory(path, fresh_guard, monkeypatch):
    monkeypatch.setattr(guard, "MEMORY_BYTES", 8 << 20)
    image = np.zeros((4000, 4000), np.uint16)
    write_rle(path, image)
    # Where the memory ends, decoders give up in their own ways, or are ended.
    with pytest.raises(Rejected, match=r"too_large|undecodable|crashed"):
        read_pixels(read_images(str(path)))
    monkeypatch.undo()
    guard.close()
    assert read_pixels(read_images(str(path))).max() == 0


def test_what_the_guard_says_is_not_believed(monkeypatch):
    odd = {"values": {"x": 1}, "syntax": "", "pixels": 0, "length": 0, "size": 0}
    for answer in ({}, odd, {"values": []}, {"reason": "sudo"}, {"reason": "crashed"}):
        monkeypatch.setattr(guard._GUARD, "_process", None)
        monkeypatch.setattr(guard, "_Process", lambda a=answer: Liar(a))
        with pytest.raises(Rejected, match="crashed"):
            guard.header("x", wanted=(), entered=())
        guard._GUARD._process = None


class Liar:
    def __init__(self, answer):
        self.answer = answer

    def ask(self, question, *, most):
        return self.answer, bytearray()

    def end(self):
        return "crashed"


def test_a_header_without_preamble_is_the_guards(tmp_path):
    write_every_kind(tmp_path)
    plain, bare = (read_header(str(tmp_path / name)) for name in ("implicit", "bare"))
    assert (plain.offset > 0, bare.offset) == (True, -1)
    assert plain.syntax == bare.syntax
    assert {t: v.strip(b"\0 ") for t, v in plain.values.items()} == {
        t: v.strip(b"\0 ") for t, v in bare.values.items() if t != 0x00080005
    }
