"""Decoders of compressed pixels: which are there, and whether a stream is what its header says.

pydicom brings its own for RLE and finds those of Pillow, pylibjpeg and pyjpegls. Lossless and
12-bit JPEG are added here, by libjpeg-turbo as `imagecodecs` (BSD) carries it; the other decoder
of them that pydicom knows is under the GPL, and GDCM ends the process on damaged frames.
"""

import importlib.util
from collections.abc import Sequence

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from cmrjax.data.reasons import Reason, Rejected

# What pydicom asks of a plugin: this name, `is_available` and the decoding function.
DECODER_DEPENDENCIES = dict.fromkeys(
    (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit), ("imagecodecs",)
)
# What the extra brings for syntaxes of which a part is read without it.
_BETTER_DECODERS: dict[str, str] = {
    **dict.fromkeys(DECODER_DEPENDENCIES, "imagecodecs"),
    **dict.fromkeys((JPEG2000, JPEG2000Lossless), "openjpeg"),
}
# JPEG frame headers: start-of-frame markers, of which C4, C8 and CC are something else.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG, _JPEG_LS_FRAME, _J2K = b"\xff\xd8", 0xF7, b"\xff\x4f\xff\x51"


def is_available(uid: str) -> bool:
    """Whether `decode_frame` can decode a transfer syntax here."""
    return uid in DECODER_DEPENDENCIES and _is_installed("imagecodecs")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def register() -> None:
    """Adds the decoder of lossless and 12-bit JPEG to pydicom's; to be called once."""
    for uid in DECODER_DEPENDENCIES:
        get_decoder(uid).add_plugin("imagecodecs", (__name__, "decode_frame"))


def why_not(uid: str) -> Reason:
    """Why a frame of a transfer syntax could not be decoded.

    Returns:
        `NEEDS_CODECS` as long as the extra holds a decoder that was not asked, for a damaged frame
        too: which of the two it is, only that decoder can tell.
    """
    better = _BETTER_DECODERS.get(uid)
    lacking = better is not None and not _is_installed(better)
    return Reason.NEEDS_CODECS if lacking else Reason.UNDECODABLE


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Decodes one frame of JPEG, lossless or of more than 8 bits."""
    import imagecodecs  # type: ignore[import-not-found]  # an extra

    pixels: np.ndarray = imagecodecs.jpeg8_decode(source)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return pixels.tobytes()


def coded_size(stream: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples that a JPEG, JPEG-LS or JPEG 2000 stream says it has.

    Returns:
        Nothing where it does not say.

    Example:
        >>> coded_size(bytes.fromhex('ffd8 ffc3000b08 0010 0020 01 000000'))
        (16, 32, 1)
    """
    if stream.startswith(_J2K) and len(stream) >= 42:
        right, bottom, left, top = (
            int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20)
        )
        return bottom - top, right - left, int.from_bytes(stream[40:42], "big")
    at = 2 if stream.startswith(_JPEG) else len(stream)
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _START_OF_FRAME or marker == _JPEG_LS_FRAME:
            rows, columns = (int.from_bytes(stream[i : i + 2], "big") for i in (at + 5, at + 7))
            return rows, columns, stream[at + 9]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None


def check_size(dataset: pydicom.Dataset, wanted: Sequence[int], shape: Sequence[int]) -> None:
    """Compares what the streams say with the header, before a decoder believes either.

    Raises:
        Rejected: they differ, or a frame is missing.
    """
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    for index in wanted:
        try:
            stream = get_frame(dataset.PixelData, index, number_of_frames=count)
        except Exception:  # damaged fragments raise whatever they like
            raise Rejected(Reason.UNDECODABLE) from None
        if (said := coded_size(stream)) is not None and said != tuple(shape):
            raise Rejected(Reason.BAD_PIXELS)
