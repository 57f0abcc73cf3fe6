"""The pixels of images: taken from the file as they lie, or decoded by the guard."""

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from cmrjax.data import files
from cmrjax.data.deid.pixels import mask_unused_bits
from cmrjax.data.dicom import guard
from cmrjax.data.dicom.header import DEFLATED, MAX_FILE_BYTES, data_set
from cmrjax.data.dicom.image import Image
from cmrjax.data.dicom.layout import Layout
from cmrjax.data.dicom.walk import Short, Unusual
from cmrjax.data.reasons import Reason, Rejected

MAX_CINE_BYTES = 512 << 20


def stored_pixels(layout: Layout, frames: Sequence[int]) -> np.ndarray:
    """Some frames of a file, as pydicom's `pixel_array` gives them.

    Returns:
        Integers, `[t, h, w]`, or `[t, h, w, c]` of a colour image.

    Raises:
        Rejected: they cannot be read or decoded.
    """
    if len(frames) * layout.shape.frame_bytes > MAX_CINE_BYTES:
        raise Rejected(Reason.TOO_LARGE)
    if not layout.direct:
        return guard.frames(layout, frames)
    out = np.empty((len(frames), layout.shape.rows, layout.shape.columns), layout.shape.dtype)
    _fill_all(list(out), layout, frames)
    return _value_bits(out, layout.shape.bits_stored)


def _fill_all(into: Sequence[np.ndarray], layout: Layout, frames: Sequence[int]) -> None:
    """Puts frames of one file where they belong; what must be inflated is inflated once."""
    source, begins = None, 0
    if layout.syntax == DEFLATED:
        source = _inflated(layout.path)
    elif len(frames) > 1 and "\0" in layout.path:
        size = layout.shape.frame_bytes
        begins = layout.offset + min(frames) * size
        try:
            source, _ = files.read(layout.path, (max(frames) + 1 - min(frames)) * size, begins)
        except OSError:
            raise Rejected(Reason.UNREADABLE) from None
    for one, frame in zip(into, frames, strict=True):
        _fill(one, layout, frame, source, begins)


def _inflated(path: str) -> bytes:
    try:
        return data_set(files.read(path, MAX_FILE_BYTES)[0])[0]
    except (OSError, Short, Unusual):  # it could be read a moment ago
        raise Rejected(Reason.UNREADABLE) from None


def _fill(into: np.ndarray, layout: Layout, frame: int, source: bytes | None, begins: int) -> None:
    """Puts one frame where it belongs, from its file or from a part that was read already.

    Args:
        into: `[h, w]`.
        layout: of the file.
        frame: its number.
        source: bytes of the data set, or nothing.
        begins: where in the data set they begin.
    """
    start, size = layout.offset + frame * layout.shape.frame_bytes, layout.shape.frame_bytes
    try:
        if source is not None:
            data = source[start - begins : start - begins + size]
        elif "\0" in layout.path:
            data, _ = files.read(layout.path, size, start)
        else:
            descriptor = os.open(layout.path, os.O_RDONLY)
            try:
                data = None if os.preadv(descriptor, [into.data], start) == size else b""
            finally:
                os.close(descriptor)
    except OSError:
        raise Rejected(Reason.UNREADABLE) from None
    if data is not None:
        if len(data) != size:
            raise Rejected(Reason.TRUNCATED)
        into[...] = np.frombuffer(data, into.dtype).reshape(into.shape)


def _value_bits(pixels: np.ndarray, bits_stored: int) -> np.ndarray:
    """Without what lies in the bits above the value, where a look at the range shows any."""
    top = bits_stored - (pixels.dtype.kind == "i")
    if bits_stored < pixels.dtype.itemsize * 8 and (
        int(pixels.max()) >= 1 << top or int(pixels.min()) < (-1 << top if top < bits_stored else 0)
    ):
        return mask_unused_bits(pixels, bits_stored=bits_stored)
    return pixels


def read_stored(images: Sequence[Image]) -> np.ndarray:
    """The pixels of images of one size as their files hold them, integers `[t, h, w]`.

    Raises:
        Rejected: some cannot be read or decoded.
    """
    first = images[0].layout.shape
    if len(images) * first.frame_bytes > MAX_CINE_BYTES:
        raise Rejected(Reason.TOO_LARGE)
    if all(i.layout.shape is first and i.layout.direct for i in images):
        out = np.empty((len(images), first.rows, first.columns), first.dtype)
        of_file: dict[str, list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            of_file[image.path].append(i)
        for members in of_file.values():
            frames = [images[i].frame for i in members]
            _fill_all([out[i] for i in members], images[members[0]].layout, frames)
        return _value_bits(out, first.bits_stored)
    parts = [
        stored_pixels(layout, [image.frame for image in members])
        for layout, members in groupby(images, key=lambda image: image.layout)
    ]
    if any(part.shape[1:] != (first.rows, first.columns) for part in parts):
        raise Rejected(Reason.BAD_PIXELS)
    return np.concatenate(parts)


def rescale(stored: np.ndarray, images: Sequence[Image]) -> np.ndarray:
    """Stored values as what they stand for, float32 `[t, h, w]`; bright is more, always."""
    pixels = stored.astype(np.float32)
    for frame, image in zip(pixels, images, strict=True):
        if (image.shared.slope, image.shared.intercept) != (1.0, 0.0):
            frame *= np.float32(image.shared.slope)
            frame += np.float32(image.shared.intercept)
        if image.shared.inverted:
            np.negative(frame, out=frame)
    return pixels


def read_pixels(images: Sequence[Image]) -> np.ndarray:
    """The pixels of images of one size, rescaled once, float32 `[t, h, w]`.

    Raises:
        Rejected: some cannot be read or decoded.
    """
    return rescale(read_stored(images), images)
