"""What a header says of people, to find the same in the report."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from cmrjax.data.deid.headers import IDENTIFYING, OTHERWISE, Identifier
from cmrjax.data.dicom import tags


def identifiers_of(values: Mapping[int, bytes]) -> tuple[Identifier, ...]:
    """The texts of a header that say who somebody is."""
    return _identifiers(values.get(tags.CHARSET, b""), *map(values.get, IDENTIFYING))


@lru_cache(maxsize=1 << 10)
def _identifiers(charset: bytes, *raw: bytes | None) -> tuple[Identifier, ...]:
    said = zip(IDENTIFYING, raw, strict=True)
    found = (pair for tag, value in said if value for pair in _read(tag, value, charset))
    return tuple(dict.fromkeys(found))


def _read(tag: int, value: bytes, charset: bytes) -> Iterator[Identifier]:
    """An element's text under its tag, and what else its bytes may say as something further."""
    first, *others = tags.readings(value, charset)
    if first:
        yield tag, first
    for text in others:
        yield OTHERWISE[IDENTIFYING[tag]], text
