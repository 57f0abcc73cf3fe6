"""Reading DICOM: which study a file belongs to, its header, its pixels.

Uncompressed little-endian files, nearly all of an MR archive, are walked here: twenty times as fast
as a general parser, which every other file still goes to. Nothing but the wanted elements is kept.
"""

import logging
import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from cmrjax.data.deid.headers import IDENTIFYING, Identifier
from cmrjax.data.deid.pixels import (
    CURVES,
    OVERLAYS,
    dropped_planes,
    mask_unused_bits,
    text_in_pixels,
)

logging.getLogger("pydicom").propagate = False  # its warnings quote values of the file
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_PIXEL_BYTES = 256 << 20
_PIXELS = 0x7FE00010
_HEAD_BYTES = 8192
_LONG = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_CHARSET, _STUDY, _SYNTAX, _ACCESSION = 0x00080005, 0x0020000D, 0x00020010, 0x00080050
_TEXT = {
    "image_type": 0x00080008,
    "sop_class": 0x00080016,
    "sop_uid": 0x00080018,
    "accession": _ACCESSION,
    "modality": 0x00080060,
    "conversion_type": 0x00080064,
    "series_description": 0x0008103E,
    "patient_id": 0x00100020,
    "study_uid": _STUDY,
    "series_uid": 0x0020000E,
    "photometric": 0x00280004,
    "burned_in": 0x00280301,
}
_NUMBERS = {
    "trigger": 0x00181060,
    "inversion_time": 0x00180082,
    "series_number": 0x00200011,
    "instance": 0x00200013,
    "position": 0x00200032,
    "orientation": 0x00200037,
    "frames": 0x00280008,
    "spacing": 0x00280030,
    "intercept": 0x00281052,
    "slope": 0x00281053,
}
_SHORTS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits": 0x00280100,
    "bits_stored": 0x00280101,
    "signed": 0x00280103,
}
_WANTED = frozenset(
    (_CHARSET, *_TEXT.values(), *_NUMBERS.values(), *_SHORTS.values(), *IDENTIFYING)
)
_ASKED = _WANTED | OVERLAYS | CURVES  # of the last two only that they are there


class Rejected(Exception):  # noqa: N818  (a verdict on a file, counted, not a failure)
    """A file that is left out; its one argument is the reason that is counted."""

    @property
    def reason(self) -> str:
        """The reason's name."""
        return str(self.args[0])


class _Unusual(Exception):  # noqa: N818
    """The fast walk does not apply; the general parser decides."""


@dataclass(frozen=True, slots=True)
class Image:
    """The header of one single-frame MR image: what `prepare` needs, and no more.

    Lengths are mm, times ms; NaN where the file says nothing. `identifiers` are header texts that
    identify people, kept in memory alone to find them in the report. `dropped` names planes beside
    the pixels, which are never read; `quarantine` says why the pixels may hold text. `pixel_offset`
    is -1 when the general parser must read the pixels.
    """

    path: str
    study_uid: str
    series_uid: str
    sop_uid: str
    patient_id: str
    accession: str
    series_description: str
    series_number: float
    instance: float
    trigger: float
    inversion_time: float
    image_type: tuple[str, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    rows: int
    columns: int
    bits: int
    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    inverted: bool
    pixel_offset: int
    identifiers: tuple[Identifier, ...]
    dropped: tuple[str, ...]
    quarantine: str | None


def _walk(
    data: bytes, start: int, *, explicit: bool, wanted: frozenset[int], last: int
) -> tuple[dict[int, bytes], int, int]:
    """Collects wanted elements until `last` or the pixels; returns them and where it ended."""
    values: dict[int, bytes] = {}
    at, end, before = start, len(data), -1
    short, long = struct.Struct("<HH2sH").unpack_from, struct.Struct("<I").unpack_from
    while at + 8 <= end:
        group, element, vr, length = short(data, at)
        tag = group << 16 | element
        at += 8
        if not explicit:
            length = long(data, at - 4)[0]
        elif vr in _LONG:
            if at + 4 > end:
                break
            length = long(data, at)[0]
            at += 4
        elif not vr.isalpha():
            raise _Unusual
        if tag == _PIXELS:
            return values, at, length
        if length == 0xFFFFFFFF or tag <= before:
            raise _Unusual
        if at + length > end:
            break
        if tag in wanted:
            values[tag] = data[at : at + length]
        if tag >= last:
            return values, at, length
        at, before = at + length, tag
    return values, -1, 0


def _start(data: bytes) -> tuple[int, bool]:
    """Where the data set begins and whether its VRs are explicit."""
    if data[128:132] != b"DICM":
        raise _Unusual
    meta, at = {}, 132
    while data[at : at + 2] == b"\x02\x00":
        _, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        at += 8
        if vr in _LONG:
            length = struct.unpack_from("<I", data, at)[0]
            at += 4
        meta[element] = data[at : at + length]
        at += length
    syntax = meta.get(_SYNTAX & 0xFFFF, b"").rstrip(b"\0 ").decode("latin-1")
    if syntax == DEFLATED:
        raise Rejected("deflated")  # half a megabyte of it can ask for a gigabyte
    if syntax not in (EXPLICIT, IMPLICIT):
        raise _Unusual
    return at, syntax == EXPLICIT


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file's first bytes are a DICOM file's, with or without its preamble."""
    if head[128:132] == b"DICM":
        return True
    return len(head) >= 8 and head[:2] in (b"\x02\0", b"\x08\0") and head[3] == 0


def _general(path: str, **options) -> pydicom.Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text quotes values of the file
            dataset = pydicom.dcmread(path, force=True, **options)
    except Exception:  # damaged headers raise whatever they like; the file is left out
        raise Rejected("unreadable") from None
    if str(dataset.file_meta.get("TransferSyntaxUID", "")) == DEFLATED:
        raise Rejected("deflated")
    return dataset


def _raw(dataset: pydicom.Dataset) -> dict[int, bytes]:
    """The wanted elements of a parsed file, as the walk would have given them, texts in UTF-8.

    Raises:
        Rejected: a value cannot be parsed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _wanted_values(dataset)
    except Exception:  # values are parsed only now, and damaged ones raise whatever they like
        raise Rejected("unreadable") from None


def _wanted_values(dataset: pydicom.Dataset) -> dict[int, bytes]:
    values = {_CHARSET: b"ISO_IR 192"}
    values |= {tag: b"" for tag in OVERLAYS | CURVES if tag in dataset}
    for tag in _WANTED - {_CHARSET}:
        value = dataset[tag].value if tag in dataset else None
        if value is None:
            continue
        if isinstance(value, int) and tag in _SHORTS.values():
            values[tag] = struct.pack("<H", value & 0xFFFF)
        elif not isinstance(value, pydicom.Sequence):
            many = list(value) if isinstance(value, MultiValue) else [value]
            values[tag] = "\\".join(map(str, many)).encode()
    return values


def study_of(path: str) -> tuple[str, str]:
    """The StudyInstanceUID and the AccessionNumber of a file, from its first bytes if they do.

    Raises:
        Rejected: the file is not DICOM, or not readable, or of no study.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        raise Rejected("unreadable") from None
    if os.path.basename(path).startswith("._") or not looks_like_dicom(head):
        raise Rejected("not_dicom")
    wanted = frozenset((_STUDY, _ACCESSION))
    try:
        at, explicit = _start(head)
        values, _, _ = _walk(head, at, explicit=explicit, wanted=wanted, last=_STUDY)
        if _STUDY not in values:
            raise _Unusual
    except (_Unusual, struct.error):
        tags = [Tag(_STUDY), Tag(_ACCESSION)]
        values = _raw(_general(path, specific_tags=tags, stop_before_pixels=True))
    study = _text(values.get(_STUDY, b""))
    if not study:
        raise Rejected("no_study")
    return study, _text(values.get(_ACCESSION, b""))


def read_header(path: str) -> Image:
    """Reads the header of one image.

    Raises:
        Rejected: it is not a single-frame MR image with a place in the patient.
    """
    try:
        data = Path(path).read_bytes()
        at, explicit = _start(data)
        values, offset, length = _walk(data, at, explicit=explicit, wanted=_ASKED, last=_PIXELS)
        charset = _text(values.get(_CHARSET, b""))
        if charset not in ("", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192"):
            raise _Unusual
        if offset < 0:
            raise Rejected("no_pixels" if length == 0 else "truncated")
    except OSError:
        raise Rejected("unreadable") from None
    except (_Unusual, struct.error):
        values, offset, length = _raw(_general(path, stop_before_pixels=True)), -1, 0
        data = b""
    image = _image(path, values, offset)
    if offset >= 0:
        needed = image.rows * image.columns * image.bits // 8
        if length < needed or offset + needed > len(data):
            raise Rejected("truncated")
    return image


def _text(value: bytes, encoding: str = "latin-1") -> str:
    return value.decode(encoding, "replace").strip("\0 ")


def _floats(value: bytes) -> tuple[float, ...]:
    try:
        return tuple(float(v) for v in value.rstrip(b"\0 ").split(b"\\") if v.strip())
    except ValueError:
        return ()


def _image(path: str, values: Mapping[int, bytes], offset: int) -> Image:
    encoding = "utf-8" if _text(values.get(_CHARSET, b"")) == "ISO_IR 192" else "latin-1"
    text = {name: _text(values.get(tag, b""), encoding) for name, tag in _TEXT.items()}
    many = {name: _floats(values.get(tag, b"")) for name, tag in _NUMBERS.items()}
    one = {name: v[0] if v else float("nan") for name, v in many.items()}
    short = {
        name: int.from_bytes(values.get(tag, b"")[:2], "little") for name, tag in _SHORTS.items()
    }
    if text["modality"] != "MR":
        raise Rejected("not_mr")
    image_type = tuple(v.strip() for v in text["image_type"].split("\\"))
    if not np.isnan(one["frames"]) and one["frames"] > 1:
        raise Rejected("multi_frame")
    if short["samples"] != 1 or not text["photometric"].startswith("MONOCHROME"):
        raise Rejected("not_grey")
    if not 0 < short["rows"] * short["columns"] * 2 <= MAX_PIXEL_BYTES:
        raise Rejected("bad_size")
    if short["bits"] not in (8, 16):
        raise Rejected("bad_pixels")
    spacing, place = many["spacing"], (many["position"], many["orientation"])
    numbers = (*spacing, *place[0], *place[1])
    if (len(spacing), len(place[0]), len(place[1])) != (2, 3, 6) or not np.isfinite(numbers).all():
        raise Rejected("no_geometry")
    if not (min(spacing) >= 0.05 and max(spacing) <= 50):
        raise Rejected("no_geometry")
    people = ((tag, _text(values[tag], encoding)) for tag in IDENTIFYING if values.get(tag))
    return Image(
        path=path,
        study_uid=text["study_uid"],
        series_uid=text["series_uid"],
        sop_uid=text["sop_uid"],
        patient_id=text["patient_id"],
        accession=text["accession"],
        series_description=text["series_description"],
        series_number=one["series_number"],
        instance=one["instance"],
        trigger=one["trigger"],
        inversion_time=one["inversion_time"],
        image_type=image_type,
        position=place[0],
        orientation=place[1],
        spacing=spacing,
        rows=short["rows"],
        columns=short["columns"],
        bits=short["bits"],
        bits_stored=short["bits_stored"] or short["bits"],
        signed=bool(short["signed"]),
        slope=1.0 if np.isnan(one["slope"]) else one["slope"],
        intercept=0.0 if np.isnan(one["intercept"]) else one["intercept"],
        inverted=text["photometric"] == "MONOCHROME1",
        pixel_offset=offset,
        identifiers=tuple((tag, value) for tag, value in people if value),
        dropped=dropped_planes(values),
        quarantine=text_in_pixels(
            sop_class=text["sop_class"],
            image_type=image_type,
            burned_in=text["burned_in"],
            conversion_type=text["conversion_type"],
            series_description=text["series_description"],
        ),
    )


def read_pixels(image: Image) -> np.ndarray:
    """The pixels of one image, rescaled once, float32 `[h, w]`; bright is more, always.

    Raises:
        Rejected: they cannot be decoded, or have another shape than the header says.
    """
    shape = (image.rows, image.columns)
    if image.pixel_offset >= 0:
        kind = np.dtype(f"<{'i' if image.signed else 'u'}{image.bits // 8}")
        stored = np.fromfile(image.path, kind, count=shape[0] * shape[1], offset=image.pixel_offset)
        if stored.size != shape[0] * shape[1]:
            raise Rejected("truncated")
        stored = mask_unused_bits(stored.reshape(shape), bits_stored=image.bits_stored)
    else:
        dataset = _general(image.path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stored = dataset.pixel_array
        except Exception:  # decoders raise whatever they like
            raise Rejected("undecodable") from None
        if stored.shape != shape:
            raise Rejected("bad_pixels")
    pixels = stored.astype(np.float32)
    if (image.slope, image.intercept) != (1.0, 0.0):
        pixels = pixels * np.float32(image.slope) + np.float32(image.intercept)
    return -pixels if image.inverted else pixels
