import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmrjax.data import archives, files
from cmrjax.data.dicom import Rejected, guard, read_images, read_pixels, read_stored, study_of
from tests.data.builders import beating, write_image
from tests.data.dicom.build import write_enhanced

CONTENT = {"a/one": b"1" * 5000, "a/two": bytes(range(256)) * 20, "three": b""}


def write_zip(path, content, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def write_tar(path, content, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


KINDS = {
    "stored.zip": lambda p, c: write_zip(p, c),
    "deflated.zip": lambda p, c: write_zip(p, c, compression=zipfile.ZIP_DEFLATED),
    "plain.tar": lambda p, c: write_tar(p, c),
    "gz.tar": lambda p, c: write_tar(p, c, "w:gz"),
    "bz2.tar": lambda p, c: write_tar(p, c, "w:bz2"),
    "xz.tar": lambda p, c: write_tar(p, c, "w:xz"),
}


def contents(listing):
    return sorted(files.read(name, 1 << 20)[0] for name in listing.members)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_read_where_they_lie(tmp_path, kind):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / kind
    KINDS[kind](path, CONTENT)
    assert archives.is_archive(path.read_bytes()[:512])
    listing = archives.members(str(path), str(tmp_path / "scratch"))
    assert contents(listing) == sorted(CONTENT.values())
    assert not listing.rejected
    assert list(listing.members) == sorted(listing.members)
    assert os.listdir(tmp_path / "in") == [kind]
    assert (tmp_path / "scratch").exists() == (kind in ("gz.tar", "bz2.tar", "xz.tar"))
    assert "one" not in "".join(listing.members).removeprefix(str(tmp_path))
    parts = [files.read(name, 7, offset=300)[0] for name in listing.members]
    whole = [files.read(name, 1 << 20)[0] for name in listing.members]
    assert parts == [data[300:307] for data in whole]
    assert all(files.read(name, 3)[1] == len(d) for name, d in zip(listing.members, whole))  # noqa: B905


@pytest.mark.parametrize(("pack", "ending"), [(gzip, "gz"), (bz2, "bz2"), (lzma, "xz")])
def test_a_single_compressed_file_is_an_archive_of_one(tmp_path, pack, ending):
    (tmp_path / f"x.{ending}").write_bytes(pack.compress(b"content" * 300))
    listing = archives.members(str(tmp_path / f"x.{ending}"), str(tmp_path / "scratch"))
    assert contents(listing) == [b"content" * 300]


def test_nothing_leaves_the_scratch_folder(tmp_path):
    evil = {"../../out": b"a", "/etc/out": b"b", "a/../../../out": b"c", "..\\out": b"d"}
    for kind, write in KINDS.items():
        write(tmp_path / kind, evil)
        listing = archives.members(str(tmp_path / kind), str(tmp_path / "s" / kind))
        assert contents(listing) == [b"a", b"b", b"c", b"d"]
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    packed = {f"s/{kind}/{i:07d}" for kind in ("gz.tar", "bz2.tar", "xz.tar") for i in range(4)}
    assert left == set(KINDS) | packed


def test_links_and_devices_are_left_out_and_counted(tmp_path):
    for mode in ("w", "w:gz"):
        path = tmp_path / f"x{len(mode)}"
        with tarfile.open(path, mode) as archive:
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
                entry = tarfile.TarInfo("link")
                entry.type, entry.linkname = kind, "/etc/passwd"
                archive.addfile(entry)
            archive.addfile(tarfile.TarInfo("._x"), io.BytesIO())
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        listing = archives.members(str(path), str(tmp_path / "scratch"))
        assert not listing.members
        assert listing.rejected == {"file.link": 4, "file.appledouble": 1}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
        archive.writestr("__MACOSX/._y", b"")
        archive.writestr("folder/", b"")
    listing = archives.members(str(tmp_path / "x.zip"), "")
    assert (listing.members, listing.rejected) == ((), {"file.link": 1, "file.appledouble": 1})


def test_members_that_cannot_be_read_are_counted(tmp_path):
    write_zip(tmp_path / "x.zip", CONTENT, compression=zipfile.ZIP_LZMA)
    listing = archives.members(str(tmp_path / "x.zip"), "")
    assert listing.rejected == {"file.unsupported_packing": 3}
    write_zip(tmp_path / "y.zip", CONTENT)
    data = bytearray((tmp_path / "y.zip").read_bytes())
    for at in range(len(data) - 46):
        if data[at : at + 4] == b"PK\x01\x02":
            data[at + 8] |= 1
    (tmp_path / "y.zip").write_bytes(data)
    listing = archives.members(str(tmp_path / "y.zip"), "")
    assert listing.rejected == {"file.encrypted": 3}


def test_members_that_overlap_are_refused(tmp_path):
    # As zip bombs do it: many entries of the directory point at one member.
    write_zip(tmp_path / "x.zip", {"a": b"0" * 100, "b": b"1" * 100})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(Rejected, match="bad_size"):
        archives.members(str(tmp_path / "x.zip"), "")


def test_a_tar_that_grows_too_much_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_GROWTH_FLOOR", 1 << 20)
    write_tar(tmp_path / "x", {"zeros": bytes(8 << 20)}, "w:gz")
    with pytest.raises(Rejected, match="too_large"):
        archives.members(str(tmp_path / "x"), str(tmp_path / "s"))
    assert os.listdir(tmp_path) == ["x"]


def test_of_a_cut_tar_the_first_members_are_read(tmp_path):
    content = {str(i): np.random.default_rng(i).bytes(100_000) for i in range(5)}
    cuts = (("w", 0.5), ("w:gz", 0.5), ("w:gz", 0.61), ("w:gz", 0.9), ("w:xz", 0.5))
    for mode, share in cuts:
        write_tar(tmp_path / "x", content, mode)
        data = (tmp_path / "x").read_bytes()
        (tmp_path / "x").write_bytes(data[: int(share * len(data))])
        listing = archives.members(str(tmp_path / "x"), str(tmp_path / f"s{mode}{share}"))
        assert listing.rejected == {"archive.truncated": 1}
        found = [files.read(name, 1 << 20)[0] for name in listing.members]
        whole = [part for part in found if len(part) == 100_000]
        assert len(whole) == int(share * 5)
        assert whole == list(content.values())[: len(whole)]
        # A member of a plain tar is listed before it is read.
        assert len(found) - len(whole) == (mode == "w")


def test_a_cut_between_two_members_is_counted(tmp_path):
    write_tar(tmp_path / "x", {"a": bytes(512), "b": bytes(512)})
    with gzip.open(tmp_path / "x.gz", "w") as file:
        file.write((tmp_path / "x").read_bytes()[:1024])
        file.flush()
        data = (tmp_path / "x.gz").read_bytes()
    (tmp_path / "x.gz").write_bytes(data)  # without the trailer
    listing = archives.members(str(tmp_path / "x.gz"), str(tmp_path / "s"))
    assert contents(listing) == [bytes(512)]
    assert listing.rejected == {"archive.truncated": 1}


def test_a_cut_compressed_file_is_left_out(tmp_path):
    data = gzip.compress(np.random.default_rng(0).bytes(9000))
    (tmp_path / "x.gz").write_bytes(data[:5000])
    with pytest.raises(Rejected, match="truncated"):
        archives.members(str(tmp_path / "x.gz"), str(tmp_path / "s"))
    assert os.listdir(tmp_path) == ["x.gz"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damaged_archives_give_members_or_a_reason(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("damaged")
    KINDS[kind](folder / "x", CONTENT)
    content = bytearray((folder / "x").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "x").write_bytes(content)
    try:
        listing = archives.members(str(folder / "x"), str(folder / "s"))
        for name in listing.members:
            assert len(files.read(name, 1 << 20)[0]) <= 1 << 20
    except (Rejected, OSError):
        pass


def test_images_in_archives_are_those_beside_them(tmp_path):
    frames = beating(3)
    for i, pixels in enumerate(frames):
        write_image(tmp_path / f"{i}", pixels=pixels, SOPInstanceUID=f"1.2.{i}")
    content = {str(i): (tmp_path / str(i)).read_bytes() for i in range(3)}
    for kind, write in KINDS.items():
        write(tmp_path / kind, content)
        names, left_out = guard.members(str(tmp_path / kind), scratch=str(tmp_path / f"s{kind}"))
        assert not left_out
        assert {study_of(name) for name in names} == {("1.2.826.1", "A1")}
        images = [image for name in names for image in read_images(name)]
        np.testing.assert_array_equal(read_pixels(images), frames)


def test_the_frames_of_a_packed_file_are_unpacked_once(tmp_path, monkeypatch):
    frames = np.stack(beating(40)).astype(np.uint16)
    places, times = [(0.0, 0.0, 0.0)] * 40, [20.0 * i for i in range(40)]
    write_enhanced(tmp_path / "x", frames, places, times)
    write_zip(tmp_path / "x.zip", {"x": (tmp_path / "x").read_bytes()}, compression=8)
    ((name,), _) = guard.members(str(tmp_path / "x.zip"), scratch=str(tmp_path / "s"))
    images, read, real = read_images(name), [], files.read
    monkeypatch.setattr(files, "read", lambda *a: (read.append(a), real(*a))[1])
    order = [*range(1, 40, 2), *range(0, 40, 2)]
    np.testing.assert_array_equal(read_stored([images[i] for i in order]), frames[order])
    assert len(read) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match="regular"):
        files.read(str(tmp_path / "x"), 10)
    with pytest.raises(Rejected, match="unreadable"):
        study_of(str(tmp_path / "x"))
