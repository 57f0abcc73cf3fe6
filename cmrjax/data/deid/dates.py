"""Patterns of dates and times of day."""

import re

from cmrjax.data.deid.forms import UNIT, any_case
from cmrjax.data.deid.words import MONTHS

_MONTH = rf"(?:{'|'.join(sorted({m for ms in MONTHS for m in ms[:2]}, key=lambda m: -len(m)))})"
_NTH = r"(?:st|nd|rd|th|\.)?"
_DAY, _MON, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d{2}"
# "segments 10/11/12" is no day.
_NO_DIGIT = r"(?<![\d./-])(?<!segment )(?<!segments )(?<!seg )(?<!seg. )"
_ANY_YEAR = r"(?:(?:19|20)\d{2}|\d{2})"
_FULL_MONTH = rf"(?:{'|'.join(names[0].title() for names in MONTHS)})"

DATES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("date", re.compile(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6})?\b")),
    ("date", re.compile(rf"\b{_YEAR}\s?([-/.])\s?{_MON}\s?\1\s?{_DAY}(?:T[\d:.]+Z?)?\b")),
    ("date", re.compile(rf"{_NO_DIGIT}{_DAY}\s?([-/.])\s?{_MON}\s?\1\s?{_ANY_YEAR}\b{UNIT}")),
    ("date", re.compile(rf"{_NO_DIGIT}{_MON}\s?([-/.])\s?{_DAY}\s?\1\s?{_ANY_YEAR}\b{UNIT}")),
    ("date", re.compile(rf"(?<![\d./-]){_MON}[/.-]{_YEAR}\b")),
    (
        "date",
        any_case(
            rf"\b{_DAY}{_NTH}[ -]?(?:of )?{_MONTH}\b[ ,.-]*(?:of )?"
            rf"(?:{_YEAR}|'?\d{{2}}\b(?![\d.,]*\s?(?:%|mm|ml)))"
        ),
    ),
    ("date", any_case(rf"\b{_MONTH}[.,]?[ -]{_DAY}(?:st|nd|rd|th)?[ ,-]+{_YEAR}\b")),
    ("date", any_case(rf"\b{_MONTH}\.?,?[ -](?:of )?'?{_YEAR}\b")),
    ("date", re.compile(rf"\b{_DAY}(?:st|nd|rd|th)?(?: of)? {_FULL_MONTH}\b")),
    ("date", re.compile(rf"\b{_FULL_MONTH} {_DAY}(?:st|nd|rd|th)?\b(?![.]?\d)")),
    (
        "date",
        any_case(
            rf"(?P<keep>\b(?:dated|performed on|done on|acquired on|scanned on|seen on"
            r"|examination of"
            rf"|exam of|scan of|study of|mri of|cmr of|from the|on the)\s)"
            rf"{_DAY}[/.]{_MON}\b(?![/.]?\d)(?!\s?(?:%|mm|cm|ml|segment|of))"
        ),
    ),
    ("time", any_case(r"(?<![\d:])(?:[01]?\d|2[0-3])[:.][0-5]\d(?::[0-5]\d)?\s?[ap]\.?m\b\.?")),
    ("time", re.compile(r"(?<![\d:.])(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?![\d:])")),
    (
        "time",
        any_case(r"(?P<keep>\b(?:at|time:?) )(?:[01]?\d|2[0-3])[:h][0-5]\d(?: ?h(?:rs|ours)?)?\b"),
    ),
    ("time", any_case(r"\b(?:[01]\d|2[0-3])[0-5]\d ?(?:hrs|hours)\b")),
)  # fmt: skip
