"""Zip and tar archives of scans: what is in them, without writing beside them or trusting them.

Members are read where they lie (`files.Member`), so an archive needs no room beside itself; only a
compressed tar, which can be read from its beginning alone, is unpacked into a scratch folder under
numbers for names. Links, devices and archives inside archives are left out and counted; of a tar
that is cut off, what comes before the cut is read. The work is the guard's, with its limits of
memory and time.
"""

import bz2
import errno
import gzip
import io
import itertools
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cmrjax.data.files import DEFLATED, STORED, Member, open_file
from cmrjax.data.reasons import Reason, Rejected

MAX_MEMBERS = 1 << 20
MAX_MEMBER_BYTES = 4 << 30
_BLOCK, _CHUNK = 512, 1 << 20
# Nothing that a scanner makes shrinks more: a tar that grows past this is a bomb.
_GROWTH, _GROWTH_FLOOR = 200, 1 << 30
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
# What the libraries raise for bytes that are no archive's.
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError, NotImplementedError),
)
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True)
class Listing:
    """What an archive holds.

    Args:
        members: references of its files, see `files`; sorted.
        rejected: members left out, by reason.
    """

    members: tuple[str, ...]
    rejected: Counter[str]


def is_archive(head: bytes) -> bool:
    """Whether a file's first 512 bytes are an archive's, compressed or not."""
    return _is_zip(head) or _is_tar(head) or _opener(head) is not None


def _is_zip(head: bytes) -> bool:
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def _is_tar(head: bytes) -> bool:
    if len(head) < _BLOCK or not head[0]:
        return False
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _opener(head: bytes) -> Any:
    """What opens a compressed file; nothing for others."""
    return next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)


def _skipped(name: str) -> Reason | None:
    """Why a member is left out because of its name."""
    return Reason.APPLEDOUBLE if os.path.basename(name).startswith("._") else None


def members(path: str, scratch: str) -> Listing:
    """The files in an archive.

    Args:
        path: the archive.
        scratch: folder where a compressed tar, or a compressed file, is unpacked; it appears when
            all is there.

    Raises:
        Rejected: it is damaged, or too large, or hides members behind one another.
    """
    try:
        with os.fdopen(open_file(path), "rb") as file:
            head = file.read(_BLOCK)
            file.seek(0)
            if _is_zip(head):
                return _index_zip(path, file)
            return _index_tar(path, file) if _opener(head) is None else _unpack(file, scratch)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Rejected(Reason.NO_SPACE if full else Reason.UNREADABLE) from None
    except _DAMAGE:
        raise Rejected(Reason.UNREADABLE) from None


def _index_zip(path: str, file: IO[bytes]) -> Listing:
    members, rejected, end = [], Counter(), 0
    with zipfile.ZipFile(file) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    if len(entries) > MAX_MEMBERS:
        raise Rejected(Reason.TOO_LARGE)
    for entry in entries:
        if entry.header_offset < end:  # members that overlap can stand for any number of bytes
            raise Rejected(Reason.BAD_SIZE)
        file.seek(entry.header_offset)
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise Rejected(Reason.UNREADABLE)
        begin = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        end = begin + entry.compress_size
        link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if entry.is_dir():
            continue
        if reason := _skipped(entry.filename):
            rejected[f"file.{reason}"] += 1
        elif link:
            rejected[f"file.{Reason.LINK}"] += 1
        elif entry.flag_bits & 1:
            rejected[f"file.{Reason.ENCRYPTED}"] += 1
        elif entry.compress_type not in (STORED, DEFLATED):
            rejected[f"file.{Reason.UNSUPPORTED_PACKING}"] += 1
        elif entry.file_size > MAX_MEMBER_BYTES:
            rejected[f"file.{Reason.TOO_LARGE}"] += 1
        else:
            place = begin, entry.compress_size, entry.file_size, entry.compress_type
            members.append(Member(path, *place).reference)
    return Listing(tuple(members), rejected)


def _index_tar(path: str, file: IO[bytes]) -> Listing:
    members, rejected = [], Counter()
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in _regular(archive, rejected):
            members.append(Member(path, entry.offset_data, entry.size, entry.size).reference)
    return Listing(tuple(members), rejected)


def _regular(archive: tarfile.TarFile, rejected: Counter[str]) -> Iterator[tarfile.TarInfo]:
    """A tar's regular files; of a damaged one those before the damage, which is counted."""
    for seen in itertools.count():
        try:
            entry = archive.next()
        except (OSError, *_DAMAGE):
            rejected[f"archive.{Reason.TRUNCATED}"] += 1
            return
        if entry is None:
            return
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep every one
        if seen >= MAX_MEMBERS:
            raise Rejected(Reason.TOO_LARGE)
        if reason := _skipped(entry.name):
            rejected[f"file.{reason}"] += 1
        elif entry.isreg() and not entry.issparse() and entry.size <= MAX_MEMBER_BYTES:
            yield entry
        elif not entry.isdir():
            reason = Reason.TOO_LARGE if entry.isreg() else Reason.LINK
            rejected[f"file.{reason}"] += 1


def _unpack(file: IO[bytes], folder: str) -> Listing:
    """Unpacks a compressed tar, or one compressed file, under numbers for names."""
    part = Path(f"{folder}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)  # the archive's own rights are not known here
    rejected: Counter[str] = Counter()
    opener = _opener(file.read(8))
    file.seek(0)
    most = max(_GROWTH_FLOOR, _GROWTH * os.fstat(file.fileno()).st_size)
    try:
        with opener(file) as plain:
            _write_all(_Limited(plain, most), part, rejected)
        os.replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Listing(tuple(sorted(entry.path for entry in os.scandir(folder))), rejected)


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than some bytes, and ends where its file is cut off."""

    def __init__(self, source: Any, most: int):
        self._source, self._left = source, most
        self.cut = False

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, into) -> int:
        """Reads on, or refuses to."""
        done, room = 0, min(len(into), _CHUNK)
        try:  # in pieces: one read of all would lose what comes before a cut
            while done < room and (data := self._source.read1(room - done)):
                into[done : done + len(data)] = data
                done += len(data)
        except EOFError:
            self.cut = True
        self._left -= done
        if self._left < 0:
            raise Rejected(Reason.TOO_LARGE)
        return done


def _write_all(plain: _Limited, folder: Path, rejected: Counter[str]) -> None:
    source = io.BufferedReader(plain, _CHUNK)
    if not _is_tar(source.peek(_BLOCK)):
        _write(source, folder / "0000000")
        if plain.cut:
            raise Rejected(Reason.TRUNCATED)
        return
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for number, entry in enumerate(_regular(archive, rejected)):
            content, path = archive.extractfile(entry), folder / f"{number:07d}"
            assert content is not None  # it is a regular file
            try:
                _write(content, path)
            except tarfile.ReadError:  # the tar ends within it
                path.unlink()
                plain.cut = True
                break
    if plain.cut:
        rejected[f"archive.{Reason.TRUNCATED}"] = 1


def _write(source: IO[bytes], path: Path) -> None:
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
