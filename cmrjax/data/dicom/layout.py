"""How an image's pixels lie in its file, and whether that can be true.

Everything is checked against the file's size before any memory is asked for.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cmrjax.data.dicom import tags
from cmrjax.data.dicom.header import DEFLATED, EXPLICIT, IMPLICIT, PIXELS, Header
from cmrjax.data.reasons import Reason, Rejected

MAX_FRAME_BYTES = 64 << 20
MAX_FRAMES = 1 << 16
_RLE = "1.2.840.10008.1.2.5"
_RLE_EXPANSION = 64  # two bytes of it can stand for 128 of the same


@dataclass(frozen=True, slots=True)
class Shape:
    """What the pixels of an image are.

    Args:
        rows: of a frame.
        columns: of a frame.
        samples: 1, or 3 for colour.
        bits: that a sample takes.
        bits_stored: of these, the lower ones, which hold the value.
        signed: whether samples may be negative.
        frames: images in the file.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    bits_stored: int
    signed: bool
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, unpacked."""
        return (self.rows * self.columns * self.samples * self.bits + 7) // 8

    @property
    def dtype(self) -> np.dtype:
        """Of grey samples as they lie in the file."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.bits // 8}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an image's pixels are.

    Args:
        path: reference of the file, see `files`.
        syntax: transfer syntax.
        offset: first byte of the pixels in the data set; -1 when only the guard can read them.
        shape: what they are.
    """

    path: str
    syntax: str
    offset: int
    shape: Shape

    @property
    def direct(self) -> bool:
        """Whether the pixels are grey numbers that can be taken as they lie in the file."""
        plain = self.syntax in (EXPLICIT, IMPLICIT, DEFLATED)
        grey = self.shape.samples == 1 and self.shape.bits in (8, 16, 32)
        return plain and grey and self.offset >= 0


_SHAPE = (tags.ROWS, tags.COLUMNS, tags.SAMPLES, tags.BITS, tags.BITS_STORED, tags.SIGNED)


def layout_of(path: str, header: Header) -> Layout:
    """The layout that a header claims.

    Raises:
        Rejected: there are no pixels, or the claim cannot be true, or would take too much memory.
    """
    if not header.pixels:
        raise Rejected(Reason.NO_PIXELS)
    get = header.values.get
    shape = _shape(get(tags.FRAMES), *map(get, _SHAPE))
    _check(shape, header)
    return Layout(path, header.syntax, header.offset if header.pixels == PIXELS else -1, shape)


@lru_cache(maxsize=1 << 10)
def _shape(frames: bytes | None, *numbers: bytes | None) -> Shape:
    """What the elements of `_SHAPE` say; refuses what no image can be."""
    rows, columns, samples, bits, stored, signed = (
        int.from_bytes(value[:2], "little") if value else None for value in numbers
    )
    count = 1
    if frames and frames.strip(b"\0 "):
        found = tags.numbers(frames)
        count = int(found[0]) if len(found) == 1 and 0 <= found[0] <= MAX_FRAMES else 0
    if not (rows and columns and count):
        raise Rejected(Reason.BAD_SIZE)
    samples = 1 if samples is None else samples
    if bits not in (1, 8, 16, 32, 64) or samples not in (1, 3, 4) or signed not in (None, 0, 1):
        raise Rejected(Reason.BAD_PIXELS)
    if (stored := stored or bits) > bits:
        raise Rejected(Reason.BAD_PIXELS)
    shape = Shape(rows, columns, samples, bits, stored, bool(signed), count)
    if shape.frame_bytes > MAX_FRAME_BYTES:
        raise Rejected(Reason.TOO_LARGE)
    return shape


def _check(shape: Shape, header: Header) -> None:
    """Compares with the file's size."""
    total = shape.frame_bytes * shape.frames
    if header.syntax == _RLE and total > _RLE_EXPANSION * header.size:
        raise Rejected(Reason.BAD_SIZE)
    if header.offset < 0 or header.syntax not in (EXPLICIT, IMPLICIT, DEFLATED):
        return
    if header.length < total or header.offset + total > header.size:
        raise Rejected(Reason.TRUNCATED)
