"""The images of a file as cardiac MR: what they show, when, and where in the patient."""

import math
from dataclasses import dataclass
from functools import lru_cache

from cmrjax.data.deid.headers import IDENTIFYING, Identifier
from cmrjax.data.deid.pixels import dropped_planes, text_in_pixels
from cmrjax.data.deid.vocabulary import field_strength_of, vendor_of
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.frames import PHILIPS, Flat, flat, has_frames, split_frames
from cmrjax.data.dicom.header import PIXELS, Header, read_header
from cmrjax.data.dicom.layout import Layout, layout_of
from cmrjax.data.reasons import Reason, Rejected

_DICOMDIR = "1.2.840.10008.1.3.10"
_SPACING_MM = (0.05, 50.0)
_MOST_SLOPE, _MOST_INTERCEPT = 1e6, 1e9  # beyond them float32 loses the image
_KIND = (
    *(tags.MODALITY, tags.SOP_CLASS, tags.IMAGE_TYPE, tags.BURNED_IN),
    *(tags.CONVERSION_TYPE, tags.SERIES_DESCRIPTION),
)


@dataclass(frozen=True, slots=True)
class Image:
    """One MR image, a file's only one or a frame of it: what `prepare` needs, and no more.

    Lengths are mm, times ms; NaN where the file says nothing. `identifiers` are header texts that
    identify people, kept in memory alone to find them in the report. `dropped` names planes beside
    the pixels, which are never read; `quarantine` says why the pixels may hold text. `vendor` and
    `field_strength_t` are of closed lists, 'unknown' and 0 where the file says nothing.
    """

    layout: Layout
    frame: int
    study_uid: str
    series_uid: str
    sop_uid: str
    patient_id: str
    accession: str
    series_description: str
    series_number: float
    acquisition: float
    instance: float
    trigger: float
    phase: float
    temporal: float
    inversion_time: float
    image_type: tuple[str, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    slope: float
    intercept: float
    inverted: bool
    vendor: str
    field_strength_t: float
    identifiers: tuple[Identifier, ...]
    dropped: tuple[str, ...]
    quarantine: str | None

    @property
    def path(self) -> str:
        """Reference of the file, see `files`."""
        return self.layout.path

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.layout.shape.rows

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.layout.shape.columns


def read_images(path: str) -> tuple[Image, ...]:
    """Reads the header of each image of a file.

    Args:
        path: reference of the file, see `files`.

    Raises:
        Rejected: they are not MR images with a place in the patient.
    """
    return images_of(path, read_header(path))


def people_of(path: str) -> tuple[Identifier, ...]:
    """What the header of any DICOM file says of people, be it an image of ours or not.

    A structured report or a screenshot of a study may name who read it where no image does.
    """
    try:
        file = read_header(path).values
    except Rejected:
        return ()
    return _identifiers(file.get(tags.CHARSET, b""), *map(file.get, IDENTIFYING))


def images_of(path: str, header: Header) -> tuple[Image, ...]:
    """The images that a header describes.

    Raises:
        Rejected: they are not MR images with a place in the patient.
    """
    values = header.values
    several = tags.FRAME_GROUPS in values and has_frames(values)
    file = flat(values) if tags.FRAME_GROUPS in values else values
    charset = file.get(tags.CHARSET, b"")
    reason, quarantine = _verdict(charset, *map(file.get, _KIND))
    if reason:
        raise Rejected(reason)
    layout = layout_of(path, header)
    grey = file.get(tags.PHOTOMETRIC, b"").startswith(b"MONOCHROME")
    if layout.shape.samples != 1 or not grey:
        raise Rejected(Reason.NOT_GREY)
    if header.pixels != PIXELS:
        raise Rejected(Reason.FLOAT_PIXELS)
    if layout.shape.bits not in (8, 16, 32):
        raise Rejected(Reason.BAD_PIXELS)
    count = layout.shape.frames
    frames = split_frames(values, count) if several or count > 1 else (file,)
    people = _identifiers(charset, *map(file.get, IDENTIFYING))
    return tuple(
        _image(layout, i, frame, charset, people, quarantine) for i, frame in enumerate(frames)
    )


@lru_cache(maxsize=1 << 10)
def _verdict(charset: bytes, *kind: bytes | None) -> tuple[Reason | None, str | None]:
    """Why what the elements of `_KIND` say is no MR image; and why one may have text in it."""
    modality, sop_class, image_type, burned_in, conversion, description = (
        tags.text(value or b"", charset) for value in kind
    )
    if sop_class == _DICOMDIR:
        return Reason.DICOMDIR, None
    if modality != "MR":
        return Reason.NOT_MR, None
    return None, text_in_pixels(
        sop_class=sop_class,
        image_type=image_type.split("\\"),
        burned_in=burned_in,
        conversion_type=conversion,
        series_description=description,
    )


@lru_cache(maxsize=1 << 10)
def _identifiers(charset: bytes, *raw: bytes | None) -> tuple[Identifier, ...]:
    texts = zip(IDENTIFYING, (tags.text(value or b"", charset) for value in raw), strict=True)
    return tuple((tag, text) for tag, text in texts if text)


@lru_cache(maxsize=1 << 10)
def _vendor(value: bytes, charset: bytes) -> str:
    return vendor_of(tags.text(value, charset))


@lru_cache(maxsize=1 << 10)
def _types(value: bytes) -> tuple[str, ...]:
    return tuple(part.strip() for part in tags.text(value).split("\\") if part.strip())


def _first(numbers: tuple[float, ...], otherwise: float = math.nan) -> float:
    return numbers[0] if numbers and math.isfinite(numbers[0]) else otherwise


def _image(
    layout: Layout,
    frame: int,
    own: Flat,
    charset: bytes,
    identifiers: tuple[Identifier, ...],
    quarantine: str | None,
) -> Image:
    get = own.get
    position, orientation = (
        tags.numbers(get(tags.POSITION, b"")),
        tags.numbers(get(tags.ORIENTATION, b"")),
    )
    spacing = tags.numbers(get(tags.SPACING, b""))
    if not _placed(position, orientation, spacing):
        raise Rejected(Reason.NO_GEOMETRY)
    slope = _first(tags.numbers(get(tags.SLOPE, b"")), 1.0)
    intercept = _first(tags.numbers(get(tags.INTERCEPT, b"")), 0.0)
    if not (0 < abs(slope) <= _MOST_SLOPE and abs(intercept) <= _MOST_INTERCEPT):
        raise Rejected(Reason.BAD_PIXELS)
    philips = get(tags.PHILIPS_CREATOR, b"").strip() == PHILIPS
    return Image(
        layout=layout,
        frame=frame,
        study_uid=tags.text(get(tags.STUDY, b"")),
        series_uid=tags.text(get(tags.SERIES, b"")),
        sop_uid=tags.text(get(tags.SOP_UID, b"")),
        patient_id=tags.text(get(tags.PATIENT_ID, b""), charset),
        accession=tags.text(get(tags.ACCESSION, b""), charset),
        series_description=tags.text(get(tags.SERIES_DESCRIPTION, b""), charset),
        series_number=_first(tags.numbers(get(tags.SERIES_NUMBER, b""))),
        acquisition=_first(tags.numbers(get(tags.ACQUISITION, b""))),
        instance=_first(tags.numbers(get(tags.INSTANCE, b""))),
        trigger=_trigger(own),
        phase=_first(tags.numbers(get(tags.PHILIPS_PHASE, b""))) if philips else math.nan,
        temporal=_temporal(own),
        inversion_time=_inversion(own),
        image_type=_types(get(tags.IMAGE_TYPE, b"")),
        position=position,
        orientation=orientation,
        spacing=spacing,
        slope=slope,
        intercept=intercept,
        inverted=get(tags.PHOTOMETRIC, b"").strip(b"\0 ") == b"MONOCHROME1",
        vendor=_vendor(get(tags.MANUFACTURER, b""), charset),
        field_strength_t=field_strength_of(_first(tags.numbers(get(tags.FIELD_STRENGTH, b"")))),
        identifiers=identifiers,
        dropped=dropped_planes(own),
        quarantine=quarantine,
    )


@lru_cache(maxsize=1 << 12)
def _placed(
    position: tuple[float, ...], orientation: tuple[float, ...], spacing: tuple[float, ...]
) -> bool:
    """Whether they are a place in the patient and a size that a pixel can have."""
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2):
        return False
    if not all(map(math.isfinite, (*position, *orientation, *spacing))):
        return False
    return _SPACING_MM[0] <= min(spacing) and max(spacing) <= _SPACING_MM[1]


def _trigger(own: Flat) -> float:
    """Milliseconds after the R wave."""
    time = _first(tags.numbers(own.get(tags.TRIGGER, b"")))
    for tag in (tags.TRIGGER_DELAY, tags.ACTUAL_TRIGGER_DELAY):
        if math.isnan(time) and tag in own:
            time = _first(tags.binary(tag, own[tag]))
    return time


def _temporal(own: Flat) -> float:
    index = _first(tags.binary(tags.TEMPORAL_INDEX, own.get(tags.TEMPORAL_INDEX, b"")))
    if not math.isnan(index):
        return index
    return _first(tags.numbers(own.get(tags.TEMPORAL_POSITION, b"")))


def _inversion(own: Flat) -> float:
    times = _first(tags.binary(tags.INVERSION_TIMES, own.get(tags.INVERSION_TIMES, b"")))
    if not math.isnan(times):
        return times
    return _first(tags.numbers(own.get(tags.INVERSION_TIME, b"")))
