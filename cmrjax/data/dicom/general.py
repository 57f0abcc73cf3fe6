"""Reading by pydicom, for files that the walk does not read and pixels that must be decoded.

Runs in the guard's process alone.
"""

import io
import struct
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import STR_VR

from cmrjax.data import files
from cmrjax.data.deid.headers import SEQUENCES, WITHIN
from cmrjax.data.dicom import codecs, tags
from cmrjax.data.dicom.header import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PIXEL_TAGS,
    data_set,
)
from cmrjax.data.dicom.walk import Short, Unusual
from cmrjax.data.reasons import Reason, Rejected

MAX_FILE_BYTES = 512 << 20


def warm_up() -> None:
    """Loads what decoding needs, before memory is limited."""
    codecs.register()


def _parse(path: str) -> tuple[pydicom.Dataset, str, int]:
    """The whole data set, its transfer syntax, and the bytes that it took."""
    try:
        data, size = files.read(path, MAX_FILE_BYTES)
    except OSError:
        raise Rejected(Reason.UNREADABLE) from None
    if size > MAX_FILE_BYTES:
        raise Rejected(Reason.TOO_LARGE)
    try:
        inner, at, syntax = data_set(data)
    except (Short, Unusual):
        syntax = ""
    if syntax == DEFLATED:  # pydicom would inflate it without a limit
        source = io.BytesIO(inner)
        source.seek(at)
        return read_dataset(source, False, True), EXPLICIT, len(inner)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    told = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    return dataset, told or _guessed(dataset), size


def _guessed(dataset: pydicom.Dataset) -> str:
    """The transfer syntax of a file that does not say: as it was read."""
    implicit, little = dataset.original_encoding
    if implicit:
        return IMPLICIT
    return EXPLICIT if little else BIG_ENDIAN


def header(path: str, wanted: Collection[int], entered: Collection[int]) -> dict[str, Any]:
    """The wanted elements of a file, as JSON values.

    Returns:
        'values': tag -> text, or a list of such objects; 'syntax'; 'pixels', the pixel element's
        tag or 0; 'length', its bytes; 'size', the file's.
    """
    dataset, syntax, size = _parse(path)
    values = _values(dataset, frozenset(wanted), frozenset(entered))
    pixels = next((tag for tag in PIXEL_TAGS if tag in dataset), 0)
    length = len(dataset[pixels].value or b"") if pixels else 0
    return {
        "values": values,
        "syntax": syntax,
        "pixels": pixels if length else 0,
        "length": length,
        "size": size,
    }


def _values(
    dataset: pydicom.Dataset, wanted: frozenset[int], entered: frozenset[int]
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118  (iterating a data set converts its values)
        number = int(tag)
        if number not in wanted and number not in entered:
            continue
        try:
            if number not in SEQUENCES | entered and (raw := _raw(dataset, tag)) is not None:
                out[str(number)] = raw
                continue
            value = dataset[tag].value
            if isinstance(value, pydicom.Sequence):
                if number in entered:
                    out[str(number)] = [_values(item, wanted, entered) for item in value]
                elif number in SEQUENCES:
                    out[str(number)] = _packed(value).decode("latin-1")
            elif value is not None and number in wanted:
                out[str(number)] = _text(number, value)
        except MemoryError:
            raise
        except Exception:  # damaged values raise whatever they like; the others may be good
            continue
    return out


def _packed(items: pydicom.Sequence) -> bytes:
    """The elements of a sequence of people, implicit little endian, one after the other."""
    out = bytearray()
    for item in items:
        for tag in item.keys():  # noqa: SIM118
            number = int(tag)
            if number in SEQUENCES:
                out += _packed(item[tag].value)
            elif number == tags.CHARSET or number in WITHIN:
                value = (_raw(item, tag) or _text(number, item[tag].value)).encode("latin-1")
                out += struct.pack("<HHI", number >> 16, number & 0xFFFF, len(value)) + value
    return bytes(out)


def _raw(dataset: pydicom.Dataset, tag: BaseTag) -> str | None:
    """A text's bytes as they stand in the file, one character each: its charset may be wrong."""
    element = dataset.get_item(tag)
    if int(tag) in tags.BINARY or int(tag) == tags.DIMENSION_POINTER:
        return None
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return None
    if element.VR not in (None, "UN", *STR_VR):
        return None
    return element.value.decode("latin-1")


def _text(tag: int, value: Any) -> str:
    """A value as the walk would have found it in the file, one character a byte."""
    many: list[Any] = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    kind = tags.BINARY.get(tag)
    if kind is not None:
        number = float if kind == "d" else int
        return struct.pack(f"<{len(many)}{kind}", *map(number, many)).decode("latin-1")
    if tag == tags.DIMENSION_POINTER:
        return struct.pack("<HH", many[0] >> 16, many[0] & 0xFFFF).decode("latin-1")
    return "\\".join(map(str, many)).encode().decode("latin-1")


def frames(
    path: str, wanted: Sequence[int], shape: Sequence[int]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Decodes frames of a file.

    Args:
        path: reference of the file, see `files`.
        wanted: numbers of the frames, from 0.
        shape: rows, columns and samples, as the header says.

    Returns:
        'dtype' and 'bytes' of all frames together, and the frames.
    """
    dataset, syntax, _ = _parse(path)
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise Rejected(Reason.UNSUPPORTED) from None
    if not decoder.is_available:
        raise Rejected(Reason.NEEDS_CODECS)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    if UID(syntax).is_encapsulated:
        codecs.check_size(dataset, wanted, shape)
    try:
        decoded = [
            np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            for array, _ in decoder.iter_array(dataset, indices=list(wanted))
        ]
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever they like
        raise Rejected(codecs.why_not(syntax)) from None
    if len({array.dtype for array in decoded}) != 1 or len(decoded) != len(wanted):
        raise Rejected(Reason.BAD_PIXELS)
    return {"dtype": decoded[0].dtype.str, "bytes": sum(a.nbytes for a in decoded)}, decoded
