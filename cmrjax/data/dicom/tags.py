"""The header elements that are read, and how their bytes become values."""

import codecs
import logging
import math
import struct
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes

from cmrjax.data.deid.headers import IDENTIFYING, ISSUER, SEQUENCES
from cmrjax.data.deid.pixels import CURVES, OVERLAYS

logging.getLogger("pydicom").propagate = False  # it logs the same, to whoever set up logging

CHARSET = 0x00080005
IMAGE_TYPE, FRAME_TYPE, COMPONENT = 0x00080008, 0x00089007, 0x00089208
SOP_CLASS, SOP_UID, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
ACCESSION, PATIENT_ID = 0x00080050, 0x00100020
MANUFACTURER, FIELD_STRENGTH = 0x00080070, 0x00180087
MODALITY, CONVERSION_TYPE, SERIES_DESCRIPTION = 0x00080060, 0x00080064, 0x0008103E
SERIES_NUMBER, ACQUISITION, INSTANCE = 0x00200011, 0x00200012, 0x00200013
POSITION, ORIENTATION, SPACING = 0x00200032, 0x00200037, 0x00280030
THICKNESS = 0x00180050
# When: ms after the R wave, and numbers that count the times of one place.
TRIGGER, TRIGGER_DELAY, ACTUAL_TRIGGER_DELAY = 0x00181060, 0x00209153, 0x00209252
TEMPORAL_POSITION, TEMPORAL_INDEX = 0x00200100, 0x00209128
PHILIPS_CREATOR, PHILIPS_PHASE = 0x20010010, 0x20011008
DIMENSION_POINTER, DIMENSION_VALUES = 0x00209165, 0x00209157
INVERSION_TIME, INVERSION_TIMES = 0x00180082, 0x00189079
ECHO_TIME, EFFECTIVE_ECHO_TIME, ECHO_NUMBER = 0x00180081, 0x00189082, 0x00180086
NOMINAL_INTERVAL, HEART_RATE, RR_INTERVAL = 0x00181062, 0x00181088, 0x00209251
# What the pixels are.
SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS = (
    *(0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011),
)
BITS, BITS_STORED, SIGNED = 0x00280100, 0x00280101, 0x00280103
BURNED_IN, INTERCEPT, SLOPE = 0x00280301, 0x00281052, 0x00281053
# Sequences: what the frames of a multi-frame image share, each of them, and what is counted.
SHARED_GROUPS, FRAME_GROUPS, DIMENSIONS = 0x52009229, 0x52009230, 0x00209222
_GROUPS = (
    *(0x00209113, 0x00209116, 0x00209111),  # plane position, plane orientation, frame content
    *(0x00189115, 0x00189118, 0x00189226),  # modifier, cardiac synchronisation, frame type
    0x00189114,  # echo
    *(0x00289110, 0x00289145, 0x2005140F),  # pixel measures, value transformation, Philips' own
)
ENTERED = frozenset((SHARED_GROUPS, FRAME_GROUPS, DIMENSIONS, *_GROUPS))
WANTED = frozenset(
    (
        *(CHARSET, IMAGE_TYPE, FRAME_TYPE, COMPONENT, SOP_CLASS, SOP_UID, STUDY, SERIES),
        *(ACCESSION, PATIENT_ID, MODALITY, CONVERSION_TYPE, SERIES_DESCRIPTION, SERIES_NUMBER),
        ACQUISITION,
        *(INSTANCE, POSITION, ORIENTATION, SPACING, TRIGGER, TRIGGER_DELAY, ACTUAL_TRIGGER_DELAY),
        *(TEMPORAL_POSITION, TEMPORAL_INDEX, PHILIPS_CREATOR, PHILIPS_PHASE, DIMENSION_POINTER),
        *(DIMENSION_VALUES, INVERSION_TIME, INVERSION_TIMES, SAMPLES, PHOTOMETRIC, FRAMES, ROWS),
        *(COLUMNS, BITS, BITS_STORED, SIGNED, BURNED_IN, INTERCEPT, SLOPE),
        *(MANUFACTURER, FIELD_STRENGTH, ECHO_TIME, EFFECTIVE_ECHO_TIME, ECHO_NUMBER),
        *(NOMINAL_INTERVAL, HEART_RATE, RR_INTERVAL, THICKNESS),
        *(*IDENTIFYING, ISSUER, *SEQUENCES),
        *OVERLAYS,  # of these and the next only that they are there
        *CURVES,
    )
)
# What is not text: the letters are those of `struct`.
BINARY = {
    **dict.fromkeys((SAMPLES, ROWS, COLUMNS, BITS, BITS_STORED, SIGNED), "H"),
    **dict.fromkeys((TEMPORAL_INDEX, DIMENSION_VALUES), "I"),
    **dict.fromkeys((TRIGGER_DELAY, ACTUAL_TRIGGER_DELAY, INVERSION_TIMES), "d"),
    **dict.fromkeys((EFFECTIVE_ECHO_TIME, RR_INTERVAL), "d"),
}
UTF8 = b"ISO_IR 192"
_LATIN = (b"", b"ISO_IR 6", b"ISO_IR 100")  # also what is said where nobody cared
_WINDOWS = ("latin-1", "cp1252", "cp1250", "cp1251")


@lru_cache(maxsize=1 << 14)
def text(value: bytes, charset: bytes = b"") -> str:
    """A text without its padding.

    Args:
        value: as it stands in the file.
        charset: SpecificCharacterSet, as it stands in the file.
    """
    charset = charset.strip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        found = value.decode("ascii")
    elif charset == UTF8:
        found = value.decode("utf-8", "replace")
    elif charset in _LATIN:  # no other encoding's text is UTF-8, too, but by chance
        found = _utf8(value) or value.decode("latin-1")
    else:
        try:
            names = [part.strip() for part in charset.decode("ascii").split("\\")]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # their text quotes the file
                found = decode_bytes(value, convert_encodings(names), set(b"\\^="))
        except Exception:  # a damaged charset raises whatever it likes
            found = value.decode("latin-1")
    return found.strip("\0 ")


def readings(value: bytes, charset: bytes = b"") -> tuple[str, ...]:
    """Every text that bytes may be, the likeliest first: charsets are often wrong, or not said.

    Args:
        value: as it stands in the file.
        charset: SpecificCharacterSet, as it stands in the file.
    """
    found = [text(value, charset)]
    if value.isascii():
        return tuple(found)
    said, utf8 = charset.strip(b"\0 "), _utf8(value)
    if utf8:
        found.append(utf8.strip("\0 "))
    if said in _LATIN or (said == UTF8 and not utf8):
        for name in _WINDOWS[:1] if utf8 else _WINDOWS:
            with suppress(UnicodeDecodeError):
                found.append(value.decode(name).strip("\0 "))
    return tuple(dict.fromkeys(found))


def _utf8(value: bytes) -> str:
    """Bytes as UTF-8, the last character cut off or not; empty where they are none beyond ASCII."""
    try:
        found, _ = codecs.utf_8_decode(value)
    except UnicodeDecodeError:
        return ""
    return "" if found.isascii() else found


@lru_cache(maxsize=1 << 14)
def numbers(value: bytes) -> tuple[float, ...]:
    """The numbers of a decimal or integer string; none at all where one is no number."""
    try:
        return tuple(float(part) for part in value.rstrip(b"\0 ").split(b"\\") if part.strip())
    except ValueError:
        return ()


def first(found: Sequence[float], otherwise: float = math.nan) -> float:
    """The first of some numbers, if there is one and it is finite."""
    return found[0] if found and math.isfinite(found[0]) else otherwise


def binary(tag: int, value: bytes) -> tuple[float, ...]:
    """The numbers of an element that holds them in binary."""
    kind = BINARY[tag]
    return struct.unpack_from(f"<{len(value) // struct.calcsize(f'<{kind}')}{kind}", value)
