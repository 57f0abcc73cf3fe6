"""Patterns of dates and times of day."""

import re

from cmrjax.data.deid.forms import DASH, SPACE, UNIT, any_case
from cmrjax.data.deid.words import MONTHS

_NAMES = sorted({name for names in MONTHS for name in names}, key=lambda name: (-len(name), name))
# Abbreviations that are a report's words: data sets, generations, MRT 2019, s/p AVR 2015.
_ALSO_WORDS = frozenset({"set", "gen", "ago", "mag", "avr", "mrt", "ott", "lug"})
# The table is folded, the report is not.
_ACCENTS = {"a": "[a\u00e4]", "e": "[e\u00e9]", "u": "[u\u00fb]"}


def _any_of(names: list[str]) -> str:
    """One of the names, as it is or with the accents of its language, composed or not."""
    spelt = ("".join(_ACCENTS.get(c, c) + "[\u0301\u0302\u0308]?" * (c in _ACCENTS) for c in name)
             for name in names)  # fmt: skip
    return rf"(?:{'|'.join(spelt)})(?![^\W\d_])"


_MONTH = _any_of(_NAMES)
_SURE_MONTH = _any_of([name for name in _NAMES if name not in _ALSO_WORDS])
# Without a year only as months are written: "14 Mar", "le 14 mars", not "12 may be", "2 OCT scans".
_LONE = [name for name in _NAMES if name not in _ALSO_WORDS]
_LONE_MONTH = "|".join((
    _any_of([name.title() for name in _LONE]),
    _any_of([name for name in _LONE if len(name) > 3 and name not in ("march", "sept")]),
    _any_of([name.upper() for name in _LONE if name not in ("may", "oct", "sep", "mars")]),
))  # fmt: skip
_LONE_MONTH = f"(?:{_LONE_MONTH})"
_NTH = r"(?:st|nd|rd|th|er|\.|\u00ba)?"
_DAY, _MON, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d{2}(?!\d)"
_OF = r"(?:of |de |del |d['\u2019])?"
_DAYS = rf"{_DAY}{_NTH}(?:\s?(?:{DASH}|[/&,]|to|and|until|bis|und|et|au|al?|y)\s?{_DAY}{_NTH})?"
_START = r"(?<![^\W_])"
_BETWEEN = rf"(?:\s?(?:{DASH}|[-/._,])\s?|\s{{1,2}})?"
_NO_DIGIT = r"(?<![\d./-])"
_ALONE = rf"{_NO_DIGIT}(?<!\d,){_START}"
_ANY_YEAR = r"(?:(?:19|20)\d{2}|\d{2})"
_PARTED = rf"([_,]|{SPACE})"
_SAME = rf"\s?([/.]|{DASH})\s?"
_SEGMENTS = re.compile(
    r"(?:\bseg(?:ment(?:s|e|en)?)?|\baha)\b[.:]?\s?"
    r"(?:(?:\d{1,2}(?!\d)|and|und|to|bis|or|mid|basal|apical|[-&,/+()\u2013])\s?){0,20}$",
    re.IGNORECASE,
)
_NEAR = 64  # characters that hold a list of segments


def of_segments(match: re.Match[str]) -> bool:
    """Whether "10/11/12" are segments of the heart, by the word before the list it stands in."""
    numbers = [int(number) for number in re.findall(r"\d+", match[0])]
    before = match.string[max(0, match.start() - _NEAR) : match.start()]
    return max(numbers) <= 17 and bool(_SEGMENTS.search(before))


DATES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("date", re.compile(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6})?\b")),
    ("date", re.compile(rf"{_START}{_YEAR}{_SAME}{_MON}\s?\1\s?{_DAY}(?!\d)(?:T[\d:.]+Z?)?")),
    (
        "date",
        re.compile(rf"{_START}{_YEAR}{_PARTED}(?:0[1-9]|1[0-2])\1{_DAY}(?![^\W_]){UNIT}"),
    ),
    (
        "date",
        re.compile(
            rf"{_NO_DIGIT}{_DAY}{_SAME}{_MON}\s?\1\s?(?P<year>{_ANY_YEAR})\b"
            rf"(?:\s?{DASH}\s?{_DAY}\1{_MON}\1{_ANY_YEAR}\b|{UNIT})"
        ),
    ),
    (
        "date",
        re.compile(
            rf"{_NO_DIGIT}{_MON}{_SAME}{_DAY}\s?\1\s?(?P<year>{_ANY_YEAR})\b"
            rf"(?:\s?{DASH}\s?{_MON}\1{_DAY}\1{_ANY_YEAR}\b|{UNIT})"
        ),
    ),
    # Marks that part other numbers, too, ask for a whole year.
    ("date", re.compile(rf"{_ALONE}{_DAY}{_PARTED}{_MON}\1{_YEAR}(?![^\W_]){UNIT}")),
    ("date", re.compile(rf"{_ALONE}{_MON}{_PARTED}{_DAY}\1{_YEAR}(?![^\W_]){UNIT}")),
    ("date", re.compile(rf"{_NO_DIGIT}{_MON}(?:[/.]|{DASH}){_YEAR}\b")),
    ("date", any_case(rf"{_START}{_DAYS}{_BETWEEN}{_OF}{_MONTH}[ ,.-]*{_BETWEEN}{_OF}{_YEAR}")),
    (
        "date",
        any_case(
            rf"{_START}{_DAYS}{_BETWEEN}{_OF}{_SURE_MONTH}[ ,.-]*(?:of )?"
            r"'?\d{2}\b(?![\d.,]*\s?(?:%|mm|ml))"
        ),
    ),
    ("date", any_case(rf"{_START}{_YEAR}{_BETWEEN}{_SURE_MONTH}{_BETWEEN}{_DAY}\b{UNIT}")),
    ("date", any_case(rf"\b{_SURE_MONTH}[.,]?{_BETWEEN}{_DAYS}[ ,-]+{_YEAR}")),
    ("date", any_case(rf"\b{_SURE_MONTH}\.?,?(?:[ _-]|{SPACE}|{DASH}){_OF}'?{_YEAR}")),
    ("date", any_case(rf"\b{_DAYS} de {_SURE_MONTH}")),
    ("date", re.compile(rf"{_START}(?<!\d[.,]){_DAYS}(?: of)?[ -]?{_LONE_MONTH}(?!\.?\d)")),
    ("date", re.compile(rf"\b{_LONE_MONTH}\.? {_DAYS}\b(?![.]?\d){UNIT}")),
    (
        "date",
        any_case(
            r"(?P<keep>\b(?:dated|performed on|done on|acquired on|scanned on|seen on"
            r"|examination of"
            r"|exam of|scan of|study of|mri of|cmr of|from the|on the)\s)"
            rf"{_DAY}[/.]{_MON}\b(?![/.]?\d)(?!\s?(?:%|mm|cm|ml|segment|of))"
            r"(?![\s-]?T(?:esla)?\b)"
        ),
    ),
    ("time", any_case(r"(?<![\d:])(?:[01]?\d|2[0-3])[:.][0-5]\d(?::[0-5]\d)?\s?[ap]\.?m\b\.?")),
    ("time", re.compile(r"(?<![\d:.])(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?![\d:])")),
    (
        "time",
        any_case(
            r"(?P<keep>\b(?:at|time:?) )(?:[01]?\d|2[0-3])[:h][0-5]\d(?: ?h(?:rs|ours)?)?\b"
        ),
    ),
    ("time", any_case(r"\b(?:[01]\d|2[0-3])[0-5]\d ?(?:hrs|hours)\b")),
)  # fmt: skip
