"""The TFRecord framing, with both checksums always looked at.

A record on disk is: length (u64, little endian), masked CRC32C of the length, payload, masked
CRC32C of the payload. Other readers skip the checksums; this one exists because a flipped bit in a
training set must stop the run.

Reference:
    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from cmrjax.core.errors import CorruptDataError

HEADER_BYTES = 12
FOOTER_BYTES = 4
_MASK_DELTA = 0xA282EAD8


def masked_crc(data: bytes) -> int:
    """CRC32C, rotated and shifted as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """The bytes that hold one payload in a shard."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(length)),
            payload,
            struct.pack("<I", masked_crc(payload)),
        )
    )


def _corrupt(what: str, name: str, number: int) -> CorruptDataError:
    return CorruptDataError(
        what, where=f"{name}, record {number}", fix="restore the file or prepare the dataset again"
    )


def _checked_length(header: bytes, name: str, number: int) -> int:
    if len(header) < HEADER_BYTES:
        raise _corrupt("the file ends inside a record", name, number)
    length, crc = struct.unpack("<QI", header)
    if masked_crc(header[:8]) != crc:
        raise _corrupt("the checksum of the length is wrong", name, number)
    return length


def _checked_payload(data: bytes, length: int, name: str, number: int) -> bytes:
    if len(data) < length + FOOTER_BYTES:
        raise _corrupt("the file ends inside a record", name, number)
    payload = data[:length]
    if masked_crc(payload) != struct.unpack("<I", data[length : length + FOOTER_BYTES])[0]:
        raise _corrupt("the checksum of the content is wrong", name, number)
    return payload


def read_at(handle: int, *, offset: int, length: int, name: str, number: int) -> bytes:
    """Reads one record by position.

    Args:
        handle: an open file descriptor; its own position is neither used nor moved.
        offset: where the record's framing begins.
        length: bytes of its payload, from the index.
        name: the shard's file name, for the message.
        number: the record's number in the shard, for the message.

    Raises:
        CorruptDataError: a checksum is wrong, or the shard and the index disagree.
    """
    data = os.pread(handle, HEADER_BYTES + length + FOOTER_BYTES, offset)
    if _checked_length(data[:HEADER_BYTES], name, number) != length:
        raise _corrupt("the shard does not match the index", name, number)
    return _checked_payload(data[HEADER_BYTES:], length, name, number)


def scan(path: Path) -> Iterator[tuple[int, bytes]]:
    """Reads a shard from its beginning to its end.

    Yields:
        The offset of each record and its payload.

    Raises:
        CorruptDataError: a checksum is wrong, or the file ends inside a record.
    """
    offset = 0
    with open(path, "rb") as file:
        for number in range(1 << 62):
            header = file.read(HEADER_BYTES)
            if not header:
                return
            length = _checked_length(header, path.name, number)
            # A length beyond the file would ask for that much memory before failing.
            if length > os.fstat(file.fileno()).st_size - offset:
                raise _corrupt("the file ends inside a record", path.name, number)
            payload = _checked_payload(file.read(length + FOOTER_BYTES), length, path.name, number)
            yield offset, payload
            offset += HEADER_BYTES + length + FOOTER_BYTES
