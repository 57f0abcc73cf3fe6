"""Pieces that patterns are made of."""

import re

SPACE = r"[ \u00a0\u2007\u2009\u202f]"
DASH = r"[-\u2010-\u2015\u2212]"
UNIT = r"(?!\s?(?:mm|cm|ml|ms|m\b|s\b|%|kg|g\b|bpm|mmhg|l\b|/|x\s?\d|[-.]\d))"
# U+FFFD stands where a byte was damaged: of a name, as of a word.
LETTER = r"(?:[^\W\d_]|\ufffd)"
_EXTENDED = "".join(c for c in map(chr, range(0x100, 0x180)) if c.isupper())  # as in Łódź
UPPER = rf"[A-Z\u00c0-\u00de\ufffd{_EXTENDED}]"
# Bounded: time, not taste.
PROPER = rf"{UPPER}(?:{LETTER}|['\u2019-](?={LETTER})){{1,30}}"


def any_case(pattern: str) -> re.Pattern[str]:
    """A pattern that takes capitals for small letters."""
    return re.compile(pattern, re.IGNORECASE)
