"""The bytes of a file, wherever it lies: on its own, or inside an archive that stays packed.

A file is named by a string, its reference: a path, or an archive's path with a member's place in it
behind a NUL, which no path holds. So a reference can be sorted, sent to a worker and read there
without the names that a member has in its archive, which may be a patient's.
"""

import os
import stat
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8  # zip's numbers for how a member is packed


@dataclass(frozen=True)
class Member:
    """Where a member of an archive lies.

    Args:
        archive: path of the archive.
        offset: its first byte there.
        packed: bytes that it takes there.
        size: bytes that it has.
        method: `STORED` or `DEFLATED`.
    """

    archive: str
    offset: int
    packed: int
    size: int
    method: int = STORED

    @property
    def reference(self) -> str:
        """The member as one string; references sort as their members lie."""
        place = f"{self.offset:016x}:{self.packed:x}:{self.size:x}:{self.method}"
        return f"{self.archive}\0{place}"


def split(reference: str) -> tuple[str, Member | None]:
    """The path to open, and the member in it if the reference names one."""
    path, _, place = reference.partition("\0")
    if not place:
        return path, None
    offset, packed, size, method = (int(part, 16) for part in place.split(":"))
    return path, Member(path, offset, packed, size, method)


def open_file(path: str) -> int:
    """A descriptor of a regular file.

    Raises:
        OSError: it cannot be opened, or is a pipe or a device, which might never answer.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return descriptor


def read(reference: str, length: int, offset: int = 0) -> tuple[bytes, int]:
    """Reads some bytes of a file, fewer where it ends.

    Returns:
        The bytes, and the whole file's size.

    Raises:
        OSError: it cannot be read, or its archive is damaged there.
    """
    path, member = (reference, None) if "\0" not in reference else split(reference)
    descriptor = open_file(path)
    try:
        size = os.fstat(descriptor).st_size
        if member is None:
            return os.pread(descriptor, min(length, max(size - offset, 0)), offset), size
        packed = min(member.packed, max(size - member.offset, 0))
        if member.method == STORED:
            wanted = min(length, max(packed - offset, 0))
            return os.pread(descriptor, wanted, member.offset + offset), member.size
        return _inflated(descriptor, member, packed, offset, length), member.size
    finally:
        os.close(descriptor)


def _inflated(descriptor: int, member: Member, packed: int, offset: int, length: int) -> bytes:
    """A part of a deflated member, as much as needed of what comes before it inflated too."""
    engine, out, at = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), 0
    end = min(offset + length, member.size)
    try:
        while len(out) < end and not engine.eof:
            source = engine.unconsumed_tail
            if not source:
                source = os.pread(descriptor, min(1 << 16, packed - at), member.offset + at)
                at += len(source)
                if not source:
                    break
            out += engine.decompress(source, end - len(out))
    except zlib.error:
        raise OSError("damaged archive") from None
    return bytes(out[offset:end])
