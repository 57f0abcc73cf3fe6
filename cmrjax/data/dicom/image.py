"""The images of a file as cardiac MR: what they show, when, and where in the patient."""

import math
from dataclasses import dataclass, replace
from typing import Any

from cmrjax.data.deid.headers import Identifier
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.frames import PHILIPS, Flat, flat, has_frames, split_frames
from cmrjax.data.dicom.header import PIXELS, Header, read_header
from cmrjax.data.dicom.layout import Layout, layout_of
from cmrjax.data.dicom.people import identifiers_of
from cmrjax.data.dicom.shared import Shared, quarantine_of, shared_of
from cmrjax.data.reasons import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Image:
    """One MR image, a file's only one or a frame of it: what `prepare` needs, and no more.

    Args:
        layout: where its pixels are.
        frame: its number in its file.
        shared: what it says as nearly all of its series do.
        sop_uid: of its file.
        instance: InstanceNumber. This and the next three are NaN where the file says nothing.
        trigger: ms after the R wave.
        phase: a vendor's number of the cardiac phase.
        temporal: number of its time.
        position: of the centre of its first pixel, mm, `[3]`.
    """

    layout: Layout
    frame: int
    shared: Shared
    sop_uid: str
    instance: float
    trigger: float
    phase: float
    temporal: float
    position: tuple[float, ...]

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

    def in_series(self, **said: Any) -> "Image":
        """The image as if its header said something else that it shares with its series.

        Args:
            said: fields of `Shared`.
        """
        return replace(self, shared=replace(self.shared, **said))


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
    return identifiers_of(file)


def images_of(path: str, header: Header) -> tuple[Image, ...]:
    """The images that a header describes.

    Raises:
        Rejected: they are not MR images with a place in the patient.
    """
    values = header.values
    several = tags.FRAME_GROUPS in values and has_frames(values)
    file = flat(values) if tags.FRAME_GROUPS in values else values
    quarantine = quarantine_of(file)
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
    people = identifiers_of(file)
    return tuple(
        _image(layout, i, frame, shared_of(frame, people, quarantine))
        for i, frame in enumerate(frames)
    )


def _image(layout: Layout, frame: int, own: Flat, shared: Shared) -> Image:
    get = own.get
    position = tags.numbers(get(tags.POSITION, b""))
    if len(position) != 3 or not all(map(math.isfinite, position)):
        raise Rejected(Reason.NO_GEOMETRY)
    philips = get(tags.PHILIPS_CREATOR, b"").strip() == PHILIPS
    return Image(
        layout=layout,
        frame=frame,
        shared=shared,
        sop_uid=tags.text(get(tags.SOP_UID, b"")),
        instance=tags.first(tags.numbers(get(tags.INSTANCE, b""))),
        trigger=_trigger(own),
        phase=tags.first(tags.numbers(get(tags.PHILIPS_PHASE, b""))) if philips else math.nan,
        temporal=_temporal(own),
        position=position,
    )


def _trigger(own: Flat) -> float:
    """Milliseconds after the R wave."""
    time = tags.first(tags.numbers(own.get(tags.TRIGGER, b"")))
    for tag in (tags.TRIGGER_DELAY, tags.ACTUAL_TRIGGER_DELAY):
        if math.isnan(time) and tag in own:
            time = tags.first(tags.binary(tag, own[tag]))
    return time


def _temporal(own: Flat) -> float:
    if tags.TEMPORAL_INDEX in own:
        index = tags.first(tags.binary(tags.TEMPORAL_INDEX, own[tags.TEMPORAL_INDEX]))
        if not math.isnan(index):
            return index
    return tags.first(tags.numbers(own.get(tags.TEMPORAL_POSITION, b"")))
