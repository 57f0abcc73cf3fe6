"""From a file to its header's elements: by the walk where it applies, else by the guard."""

import zlib
from dataclasses import dataclass

from cmrjax.data import files
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.alike import Reader
from cmrjax.data.dicom.walk import Short, Unusual, Values, Walk, head_of
from cmrjax.data.reasons import Reason, Rejected

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
HEAD_BYTES = 1 << 14  # nine headers in ten fit
MAX_HEADER_BYTES = 64 << 20
MAX_FILE_BYTES = 4 << 30
# Deflated data sets: nothing that a scanner makes shrinks more than this.
_INFLATED_FLOOR, _INFLATED_RATIO, _INFLATED_MOST = 16 << 20, 100, 512 << 20
_SYNTAX = 0x00020010

PIXELS = 0x7FE00010
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, PIXELS)  # the first two hold floats
_IMAGE = Reader(Walk(tags.WANTED, tags.ENTERED), PIXEL_TAGS[0])


@dataclass(frozen=True, slots=True)
class Header:
    """The wanted elements of one file.

    Args:
        values: tag -> value.
        syntax: transfer syntax.
        pixels: tag of the pixel element, 0 when the file has none.
        offset: its first byte in the data set, -1 when only the guard can read it.
        length: bytes that it claims; `walk.UNDEFINED` for fragments.
        size: bytes of the file; of a deflated data set, as inflated.
    """

    values: Values
    syntax: str
    pixels: int = 0
    offset: int = -1
    length: int = 0
    size: int = 0


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file's first bytes are a DICOM file's, with or without its preamble."""
    if head[128:132] == b"DICM":
        return True
    # Without a preamble it begins with an early element of group 2 or 8; big-endian ones too.
    little = head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0"
    return len(head) >= 8 and (little or head[:3] == b"\0\x08\0")


def read_header(path: str, reader: Reader = _IMAGE) -> Header:
    """Reads the wanted elements of a file.

    Args:
        path: reference of the file, see `files`.
        reader: knows what is wanted; the default reads all of it, and finds the pixels.

    Raises:
        Rejected: it is no DICOM file, or not a readable one.
    """
    data, size = _read(path, HEAD_BYTES)
    if not looks_like_dicom(data):
        raise Rejected(Reason.NOT_DICOM)
    if size > MAX_FILE_BYTES:
        raise Rejected(Reason.TOO_LARGE)
    try:
        try:
            return _parse(data, size, reader)
        except Short:
            if len(data) >= size:
                raise
            data, size = _read(path, MAX_HEADER_BYTES)
            return _parse(data, size, reader)
    except Short:
        raise Rejected(Reason.TRUNCATED if len(data) >= size else Reason.TOO_LARGE) from None
    except Unusual:
        from cmrjax.data.dicom import guard

        return guard.header(path, wanted=reader.walk.wanted, entered=reader.walk.entered)


def _read(path: str, length: int) -> tuple[bytes, int]:
    try:
        return files.read(path, length)
    except OSError:
        raise Rejected(Reason.UNREADABLE) from None


def data_set(data: bytes) -> tuple[bytes, int, str]:
    """Finds the data set in a file's bytes.

    Returns:
        The bytes that hold it (others than the file's if it was deflated), where it begins there,
        and its transfer syntax.

    Raises:
        Unusual: the general parser must find it.
        Short: the bytes end before it begins.
        Rejected: it is deflated and damaged, or too large.
    """
    if data[128:132] != b"DICM":
        raise Unusual
    at, syntax = 132, ""
    while data[at : at + 2] == b"\x02\0":
        tag, value, length = _element(data, at, explicit=True)
        at = value + length
        if tag == _SYNTAX:
            syntax = data[value:at].rstrip(b"\0 ").decode("latin-1")
    if at + 8 > len(data):
        raise Short
    if syntax in ("", BIG_ENDIAN):
        raise Unusual
    if syntax == DEFLATED:
        return inflate(data[at:]), 0, syntax
    return data, at, syntax


def inflate(packed: bytes) -> bytes:
    """Inflates a deflated data set, or as much of it as its first bytes give.

    Raises:
        Rejected: it is damaged, or larger than any that a scanner makes.
    """
    most = min(max(_INFLATED_FLOOR, _INFLATED_RATIO * len(packed)), _INFLATED_MOST)
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        out = engine.decompress(packed, most)
    except zlib.error:
        raise Rejected(Reason.UNREADABLE) from None
    if engine.unconsumed_tail:
        raise Rejected(Reason.TOO_LARGE)
    return out


def _parse(data: bytes, size: int, reader: Reader) -> Header:
    if (known := reader.match(data)) is not None:
        values, syntax, explicit, at = known
        return _header(values, syntax, *_element(data, at, explicit=explicit), size)
    whole = len(data) >= size
    content, start, syntax = data_set(data)
    explicit, inflated = syntax != IMPLICIT, content is not data
    values, at = reader.walk(content, start, explicit=explicit, stop=reader.stop)
    if at + 12 > len(content):
        if not whole:
            raise Short
        return Header(values, syntax)
    tag, offset, length = _element(content, at, explicit=explicit)
    if not inflated:
        reader.learn(data, start, values, syntax=syntax, explicit=explicit)
    elif tag in PIXEL_TAGS and not whole:  # how long it is, its end alone tells
        raise Short
    return _header(values, syntax, tag, offset, length, len(content) if inflated else size)


def _element(data: bytes, at: int, *, explicit: bool) -> tuple[int, int, int]:
    """An element's tag, where its value begins, and the length that it claims."""
    tag, length, _ = head_of(data[at : at + 8], explicit=explicit)
    if length >= 0:
        return tag, at + 8, length
    return tag, at + 12, int.from_bytes(data[at + 8 : at + 12], "little")


def _header(values: Values, syntax: str, tag: int, offset: int, length: int, size: int) -> Header:
    if tag in PIXEL_TAGS and length:
        return Header(values, syntax, tag, offset, length, size)
    return Header(values, syntax)
