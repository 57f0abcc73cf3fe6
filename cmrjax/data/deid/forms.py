"""Pieces that patterns are made of."""

import re


def _ranges(letters: list[str]) -> str:
    """Letters as the inside of a character class."""
    spans: list[list[int]] = []
    for code in sorted(map(ord, letters)):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(rf"\u{a:04x}-\u{b:04x}" for a, b in spans)


BLANKS = r" \u00a0\u2007\u2009\u202f"
SPACE = rf"[{BLANKS}]"
DASH = r"[-\u2010-\u2015\u2212]"
UNIT = r"(?!\s?(?:mm|cm|ml|ms|m\b|s\b|%|kg|g\b|bpm|mmhg|l\b|/|x\s?\d|[-.]\d))"
# U+FFFD stands where a byte was damaged: of a name, as of a word. Marks may follow their letter.
LETTER = r"(?:[^\W\d_]|[\ufffd\u0300-\u036f])"
# Capitals of every alphabet, and the letters of those that have none.
_CAPITALS = [c for c in map(chr, range(0x10000)) if c.isupper()]
UPPER = (
    rf"[\ufffd{_ranges(_CAPITALS)}"
    r"\u05d0-\u05ea\u0620-\u064a\u0900-\u0dff\u0e00-\u0e7f\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
)
# Bounded: time, not taste.
PROPER = rf"{UPPER}(?:{LETTER}|['\u2019-](?={LETTER})){{1,30}}"


def any_case(pattern: str) -> re.Pattern[str]:
    """A pattern that takes capitals for small letters."""
    return re.compile(pattern, re.IGNORECASE)
