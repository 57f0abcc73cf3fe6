"""What a header says of people, to find the same in the report.

Sequences are kept as bytes, and all is read once for the files that say the same.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from cmrjax.data.deid.headers import (
    IDENTIFYING,
    ISSUER,
    OTHERWISE,
    SEQUENCES,
    WITHIN,
    Identifier,
    issued,
)
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.walk import UNDEFINED, Unusual, head_of

_PLAIN, _SEQUENCES = tuple(IDENTIFYING), tuple(sorted(SEQUENCES))
_READ = (ISSUER, *_PLAIN, *_SEQUENCES)
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_DELIMITERS = 0xFFFE


def identifiers_of(values: Mapping[int, bytes]) -> tuple[Identifier, ...]:
    """The texts of a header that say who somebody is."""
    return _identifiers(values.get(tags.CHARSET, b""), *map(values.get, _READ))


@lru_cache(maxsize=1 << 6)  # a structured report is long, and those of a study come together
def _identifiers(charset: bytes, *raw: bytes | None) -> tuple[Identifier, ...]:
    issuer, said = tags.text(raw[0] or b"", charset), raw[1:]
    found: dict[Identifier, None] = {}
    for tag, value in zip(_PLAIN, said, strict=False):
        if value:
            found.update(dict.fromkeys(_plain(tag, value, charset)))
    for value in said[len(_PLAIN) :]:
        if value:
            found.update(dict.fromkeys(_nested(value, charset)))
    patient = next((text for tag, text in found if tag == tags.PATIENT_ID), "")
    if issuer and patient:
        found[issued(patient, issuer)] = None
    return tuple(found)


def _plain(tag: int, value: bytes, charset: bytes) -> Iterator[Identifier]:
    """An element's text under its tag, and what else its bytes may say as something further."""
    first, *others = tags.readings(value, charset)
    if first:
        yield tag, first
    for text in others:
        yield OTHERWISE[IDENTIFYING[tag]], text


def _nested(items: bytes, charset: bytes) -> tuple[Identifier, ...]:
    """What a sequence's items say, in the file's charset and in their own."""
    found: dict[Identifier, None] = {}
    charsets = {charset: None}
    for tag, value in elements(items):
        if tag == tags.CHARSET:
            charsets[value] = None
        for used in charsets if tag in WITHIN else ():
            texts = filter(None, tags.readings(value, used))
            found.update(dict.fromkeys((OTHERWISE[WITHIN[tag]], text) for text in texts))
    return tuple(found)


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a sequence's items, and of the sequences of people within, one by one.

    Where the bytes make no sense any more, it ends: what was found stays found.
    """
    at, closed = 0, 0  # the latter: how many open sequences are of no interest
    while at + 8 <= len(data):
        tag, length = _head(data[at : at + 8])
        entered = tag in SEQUENCES
        at += 12 if length < 0 else 8
        if length < 0:
            length = int.from_bytes(data[at - 4 : at], "little")
        if tag >> 16 == _DELIMITERS:
            closed -= tag == _SEQUENCE_END and closed > 0
            skipped = tag == _ITEM and closed and length != UNDEFINED
            at += length if skipped else 0
        elif length == UNDEFINED:
            closed += bool(closed) or not entered
        elif closed or not entered:
            if not closed and (tag == tags.CHARSET or tag in WITHIN):
                yield tag, data[at : at + length]
            at += length


def _head(head: bytes) -> tuple[int, int]:
    """An element's tag and its length, -1 when four more bytes hold it.

    Whether elements say their value representation may differ from one item to the next.
    """
    try:
        return head_of(head, explicit=True)[:2]
    except Unusual:
        return head_of(head, explicit=False)[:2]
