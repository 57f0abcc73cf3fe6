"""The frames of a multi-frame image, each as if it had a header of its own.

An enhanced image says once what its frames share, and of each frame what is its own, in functional
groups: sequences of one item, nested in a sequence with an item for each frame (PS3.3 C.7.6.16).
"""

import struct

from cmrjax.data.dicom import tags
from cmrjax.data.dicom.walk import Values
from cmrjax.data.reasons import Reason, Rejected

# What the index numbers of frames may count, for one place: times.
_TIMES = frozenset((tags.TRIGGER_DELAY, tags.TEMPORAL_INDEX))
PHILIPS = b"Philips Imaging DD 001"
Flat = dict[int, bytes]


def flat(values: Values) -> Flat:
    """The elements that are no sequences."""
    out = values.copy()
    for tag in tags.ENTERED:
        out.pop(tag, None)
    return out


def split_frames(values: Values, count: int) -> list[Flat]:
    """What is known of each frame.

    Args:
        values: the header of the file.
        count: how many frames it claims.

    Raises:
        Rejected: it does not say where each of them lies.
    """
    groups = _items(values, tags.FRAME_GROUPS)
    if len(groups) != count:
        raise Rejected(Reason.NO_FRAMES)
    shared = flat(values)
    for item in _items(values, tags.SHARED_GROUPS)[:1]:
        shared |= _merged(item)
    times = _time_dimension(_items(values, tags.DIMENSIONS))
    return [_frame(shared | _merged(group), times) for group in groups]


def has_frames(values: Values) -> bool:
    """Whether a header tells of frames; some write the sequence with nothing in it."""
    return any(_items(values, tags.FRAME_GROUPS)[:1])


def _items(values: Values, tag: int) -> list[Values]:
    value = values.get(tag, [])
    return value if isinstance(value, list) else []


def _merged(group: Values) -> Flat:
    """The functional groups of one frame as one: their tags do not collide."""
    out = flat(group)
    for value in group.values():
        if isinstance(value, list) and value:
            out |= flat(value[0])
    return out


def _time_dimension(dimensions: list[Values]) -> int | None:
    """Which of a frame's index numbers counts times."""
    for i, item in enumerate(dimensions):
        pointer = item.get(tags.DIMENSION_POINTER, b"")
        if isinstance(pointer, bytes) and len(pointer) == 4:
            group, element = struct.unpack("<HH", pointer)
            if group << 16 | element in _TIMES:
                return i
    return None


def _frame(own: Flat, times: int | None) -> Flat:
    """Says a frame's type and times where a single image says them."""
    if tags.FRAME_TYPE in own:
        own[tags.IMAGE_TYPE] = own[tags.FRAME_TYPE]
    if tags.TRIGGER_DELAY in own:  # what the file says of itself is of all frames
        own.pop(tags.TRIGGER, None)
    index = tags.binary(tags.DIMENSION_VALUES, own.get(tags.DIMENSION_VALUES, b""))
    if times is not None and tags.PHILIPS_PHASE not in own and times < len(index):
        own[tags.PHILIPS_CREATOR] = PHILIPS
        own[tags.PHILIPS_PHASE] = str(index[times]).encode()
    return own
