"""Damages DICOM files in the ways that lead parsers and decoders astray; seeded."""

import struct
from collections.abc import Callable

import numpy as np

_EXTREMES = (0, 1, 2, 7, 8, 9, 15, 16, 31, 32, 255, 256, 4096, 32767, 32768, 65534, 65535)
_LENGTHS = (0, 1, 2, 8, 12, 0xFE, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)
# Rows, columns, samples, planes, bits, signs, frames: what sizes are worked out from.
_SIZES = (0x0010, 0x0011, 0x0002, 0x0006, 0x0100, 0x0101, 0x0102, 0x0103, 0x0008)
_HEADS = 4096
_GROUPS, _ITEM = (0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x7FE0), 0xFFFE


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        kind: Callable[[bytearray, np.random.Generator], bytearray] = _KINDS[
            int(rng.integers(len(_KINDS)))
        ]
        out = kind(out, rng) or bytearray(b"\0")
    return bytes(out)


def _place(out: bytearray, rng: np.random.Generator) -> int:
    """Anywhere, half of the time near the front, where the headers are."""
    end = min(len(out), _HEADS) if rng.random() < 0.5 else len(out)
    return int(rng.integers(end))


def _flip(out: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 30))):
        out[_place(out, rng)] ^= 1 << int(rng.integers(8))
    return out


def _overwrite(out: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = _place(out, rng), int(rng.integers(1, 64))
    out[at : at + size] = rng.bytes(min(size, len(out) - at))
    return out


def _truncate(out: bytearray, rng: np.random.Generator) -> bytearray:
    return out[: _place(out, rng)]


def _cut(out: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(out, rng)
    del out[at : at + int(rng.integers(1, 200))]
    return out


def _repeat(out: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = _place(out, rng), int(rng.integers(1, 400))
    out[at:at] = out[at : at + size] * int(rng.integers(1, 5))
    return out


def _elements(out: bytearray) -> list[int]:
    """Where something like an explicit or implicit element of groups 2 to 7FE0 begins."""
    words = np.frombuffer(out, "<u2", max(0, len(out) - 11) // 2)
    near = np.flatnonzero(np.isin(words[: 1 << 14], _GROUPS))
    items = np.flatnonzero(words == _ITEM)
    return (np.concatenate([near, items]) * 2).tolist()[: 1 << 12]


def _forge_length(out: bytearray, rng: np.random.Generator) -> bytearray:
    if places := _elements(out):
        at = places[int(rng.integers(len(places)))]
        length = int(_LENGTHS[int(rng.integers(len(_LENGTHS)))])
        if rng.random() < 0.5:
            struct.pack_into("<I", out, at + (4 if rng.random() < 0.5 else 8), length)
        else:
            struct.pack_into("<H", out, at + 6, length & 0xFFFF)
    return out


def _forge_kind(out: bytearray, rng: np.random.Generator) -> bytearray:
    if places := _elements(out):
        at = places[int(rng.integers(len(places)))]
        kinds = (b"SQ", b"UN", b"OB", b"US", b"FD", b"DS", b"PN", b"AT", b"XX", b"\0\0")
        out[at + 4 : at + 6] = kinds[int(rng.integers(len(kinds)))]
    return out


def _swap_tags(out: bytearray, rng: np.random.Generator) -> bytearray:
    if len(places := _elements(out)) > 1:
        a, b = (places[int(i)] for i in rng.integers(len(places), size=2))
        out[a : a + 4], out[b : b + 4] = out[b : b + 4], out[a : a + 4]
    return out


def _forge_size(out: bytearray, rng: np.random.Generator) -> bytearray:
    tag = struct.pack("<HH", 0x0028, _SIZES[int(rng.integers(len(_SIZES)))])
    if (at := out.find(tag)) >= 0 and at + 12 <= len(out):
        value = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
        if tag[2] == 0x08:
            out[at + 8 : at + 12] = b"%4d" % (value % 10000)
        else:
            struct.pack_into("<H", out, at + 8, value)
    return out


def _forge_stream(out: bytearray, rng: np.random.Generator) -> bytearray:
    """Sizes inside a compressed frame: JPEG's, JPEG-LS's and JPEG 2000's headers, RLE's offsets."""
    magics = (b"\xff\xd8", b"\xff\xc3", b"\xff\xf7", b"\xff\x4f\xff\x51", b"\xfe\xff\x00\xe0")
    places = [at for magic in magics if (at := out.rfind(magic)) >= 0]
    if places:
        at = places[int(rng.integers(len(places)))] + int(rng.integers(2, 80))
        out[at : at + 2] = _EXTREMES[int(rng.integers(len(_EXTREMES)))].to_bytes(2, "big")
    return out


_KINDS = (
    *(_flip, _overwrite, _truncate, _cut, _repeat, _forge_length, _forge_length),
    *(_forge_kind, _swap_tags, _forge_size, _forge_size, _forge_stream),
)
