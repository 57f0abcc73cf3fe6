"""What an image says as nearly all of its series do: read once, for all that say the same.

Enhanced MR keeps these elements apart from those of a frame, as shared functional groups; single
images repeat them file by file. The raw values are compared, and only what is new is worked out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cmrjax.data.deid.headers import Identifier
from cmrjax.data.deid.pixels import dropped_planes, text_in_pixels
from cmrjax.data.deid.vocabulary import field_strength_of, vendor_of
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.component import Component, component_of
from cmrjax.data.reasons import Reason, Rejected

_DICOMDIR = "1.2.840.10008.1.3.10"
_SPACING_MM = (0.05, 50.0)
# What a heart can do; two statements of it that differ by more than this share are none.
_BEAT_MS, _BEATS_DIFFER = (250.0, 3000.0), 0.25
_MOST_SLOPE, _MOST_INTERCEPT = 1e6, 1e9  # beyond them float32 loses the image
_KIND = (
    *(tags.CHARSET, tags.MODALITY, tags.SOP_CLASS, tags.IMAGE_TYPE, tags.BURNED_IN),
    *(tags.CONVERSION_TYPE, tags.SERIES_DESCRIPTION),
)
_TAGS = (
    *(tags.CHARSET, tags.IMAGE_TYPE, tags.SERIES, tags.SERIES_DESCRIPTION, tags.SERIES_NUMBER),
    *(tags.ACQUISITION, tags.INVERSION_TIME, tags.INVERSION_TIMES, tags.ORIENTATION, tags.SPACING),
    *(tags.SLOPE, tags.INTERCEPT, tags.PHOTOMETRIC, tags.MANUFACTURER, tags.FIELD_STRENGTH),
    *(tags.COMPONENT, tags.ECHO_TIME, tags.EFFECTIVE_ECHO_TIME, tags.ECHO_NUMBER),
    *(tags.NOMINAL_INTERVAL, tags.RR_INTERVAL, tags.HEART_RATE, tags.THICKNESS),
)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the images of a series have in common, as a rule.

    Lengths are mm, times ms; NaN where the file says nothing. `beat` is from one R wave to the
    next. `identifiers` are header texts that identify people, kept in memory alone to find them in
    the report. `dropped` names planes beside the pixels, which are never read; `quarantine` says
    why the pixels may hold text. `vendor` and `field_strength_t` are of closed lists, 'unknown' and
    0 where the file says nothing.
    """

    series_uid: str
    series_description: str
    series_number: float
    acquisition: float
    inversion_time: float
    component: Component
    echo_time: float
    echo_number: float
    beat: float
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float
    slope: float
    intercept: float
    inverted: bool
    vendor: str
    field_strength_t: float
    identifiers: tuple[Identifier, ...]
    dropped: tuple[str, ...]
    quarantine: str | None


def shared_of(
    own: Mapping[int, bytes], identifiers: tuple[Identifier, ...], quarantine: str | None
) -> Shared:
    """What the elements of one image say that it shares with its series.

    Args:
        own: tag -> value of the image: of a frame, with what its file says of all frames.
        identifiers: of its file.
        quarantine: of its file.

    Raises:
        Rejected: it lies nowhere in a patient, or its intensities cannot be.
    """
    return _shared(identifiers, quarantine, dropped_planes(own), *map(own.get, _TAGS))


def quarantine_of(file: Mapping[int, bytes]) -> str | None:
    """Why there may be text in the pixels of a file.

    Raises:
        Rejected: it is no MR image.
    """
    reason, quarantine = _verdict(*map(file.get, _KIND))
    if reason:
        raise Rejected(reason)
    return quarantine


@lru_cache(maxsize=1 << 10)
def _shared(
    identifiers: tuple[Identifier, ...],
    quarantine: str | None,
    dropped: tuple[str, ...],
    *raw: bytes | None,
) -> Shared:
    said = {tag: value or b"" for tag, value in zip(_TAGS, raw, strict=True)}
    charset = said[tags.CHARSET]
    orientation = tags.numbers(said[tags.ORIENTATION])
    spacing = tags.numbers(said[tags.SPACING])
    if not _measured(orientation, spacing):
        raise Rejected(Reason.NO_GEOMETRY)
    slope = tags.first(tags.numbers(said[tags.SLOPE]), 1.0)
    intercept = tags.first(tags.numbers(said[tags.INTERCEPT]), 0.0)
    if not (0 < abs(slope) <= _MOST_SLOPE and abs(intercept) <= _MOST_INTERCEPT):
        raise Rejected(Reason.BAD_PIXELS)
    return Shared(
        series_uid=tags.text(said[tags.SERIES]),
        series_description=tags.text(said[tags.SERIES_DESCRIPTION], charset),
        series_number=tags.first(tags.numbers(said[tags.SERIES_NUMBER])),
        acquisition=tags.first(tags.numbers(said[tags.ACQUISITION])),
        inversion_time=_time(said, tags.INVERSION_TIMES, tags.INVERSION_TIME),
        component=component_of((*_types(said[tags.IMAGE_TYPE]), *_types(said[tags.COMPONENT]))),
        echo_time=_time(said, tags.EFFECTIVE_ECHO_TIME, tags.ECHO_TIME),
        echo_number=tags.first(tags.numbers(said[tags.ECHO_NUMBER])),
        beat=_beat(said),
        orientation=orientation,
        spacing=spacing,
        thickness=tags.first(tags.numbers(said[tags.THICKNESS])),
        slope=slope,
        intercept=intercept,
        inverted=said[tags.PHOTOMETRIC].strip(b"\0 ") == b"MONOCHROME1",
        vendor=vendor_of(tags.text(said[tags.MANUFACTURER], charset)),
        field_strength_t=field_strength_of(tags.first(tags.numbers(said[tags.FIELD_STRENGTH]))),
        identifiers=identifiers,
        dropped=dropped,
        quarantine=quarantine,
    )


@lru_cache(maxsize=1 << 10)
def _verdict(charset: bytes | None, *kind: bytes | None) -> tuple[Reason | None, str | None]:
    """Why what the elements of `_KIND` say is no MR image; and why one may have text in it."""
    modality, sop_class, image_type, burned_in, conversion, description = (
        tags.text(value or b"", charset or b"") for value in kind
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


def _measured(orientation: tuple[float, ...], spacing: tuple[float, ...]) -> bool:
    """Whether they are directions, and a size that a pixel can have."""
    if (len(orientation), len(spacing)) != (6, 2):
        return False
    if not all(map(math.isfinite, (*orientation, *spacing))):
        return False
    return _SPACING_MM[0] <= min(spacing) and max(spacing) <= _SPACING_MM[1]


def _types(value: bytes) -> list[str]:
    return [part.strip() for part in tags.text(value).split("\\") if part.strip()]


def _time(said: Mapping[int, bytes], enhanced: int, plain: int) -> float:
    """A time that enhanced images say in an element of their own."""
    time = tags.first(tags.binary(enhanced, said[enhanced]))
    return tags.first(tags.numbers(said[plain])) if math.isnan(time) else time


def _beat(said: Mapping[int, bytes]) -> float:
    """From one R wave to the next; NaN where what is said of it contradicts itself or cannot be."""
    rate = tags.first(tags.numbers(said[tags.HEART_RATE]))
    interval = _time(said, tags.RR_INTERVAL, tags.NOMINAL_INTERVAL)
    beats = [interval, 60_000.0 / rate if rate else math.nan]
    likely = [beat for beat in beats if _BEAT_MS[0] <= beat <= _BEAT_MS[1]]
    agree = likely and max(likely) <= (1 + _BEATS_DIFFER) * min(likely)
    return likely[0] if agree else math.nan
