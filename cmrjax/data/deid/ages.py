"""Ages over 89 of somebody whom the headers say to be so old, by the words around them."""

import re
from collections.abc import Iterable
from datetime import date

_OLD = 90
_OLDEST = 130
_AGE = re.compile(r"0*(\d{1,3})\s*y?", re.IGNORECASE)
_NO_UNIT = r"(?![\w%/])(?!\s?(?:%|ml|mm|ms|cm|kg|bpm|mmhg|g\b|/))(?![.,]\d)(?!-\d)"
_WHO = (
    r"(?:she|he|they|her|his|this|the (?:patient|lady|gentleman|man|woman)|er|sie|elle|il|ella|el)"
)
_PAST = r"(?: (?:now|already|just|currently|aged|age|a|an|jetzt|nun|bereits))?"
_CUES = (
    rf"\b(?:at|when|with|mit|a)(?: the age of| age)? (?P<it>N){_NO_UNIT}(?=,? {_WHO}\b)",
    r"\b(?:aged?|alter|edad)(?:/\w{1,10}| at \w{1,12})?(?: of| von| de| is| was)?\s?[:=]?\s{0,2}"
    rf"(?P<it>N){_NO_UNIT}",
    rf"\b(?:{_WHO}|patient(?:in)?|who) (?:is|was|turned|turns|ist|wird){_PAST} (?P<it>N){_NO_UNIT}",
    r"(?<![\w.,])(?P<it>N)(?=[ -]{0,2}(?:years?|yrs?|y\.? ?/?o|yo|jahre?n?|jae?hrig\w{0,2}|j\.|ans"
    r"|anos|anni)(?![^\W_]))",
    r"(?<![\w.,])(?P<it>N)(?:st|nd|rd|th|\.)? (?:birthday|geburtstag)\b",
)


def oldest(ages: Iterable[str], births: Iterable[date], days: Iterable[date]) -> int:
    """The highest age that headers give a patient, 0 where they give none.

    Args:
        ages: texts of PatientAge.
        births: days of birth.
        days: days of anything else.

    Example:
        >>> oldest(['097Y', '011M'], [], []), oldest([], [date(1920, 1, 1)], [date(2015, 5, 1)])
        (97, 95)
    """
    found = [int(match[1]) for text in ages if (match := _AGE.fullmatch(text.strip()))]
    latest = max(days, default=None)
    if latest:
        found += [latest.year - birth.year for birth in births]
    return max((age for age in found if age <= _OLDEST), default=0)


def age_pattern(age: int) -> re.Pattern[str] | None:
    """What finds ages from 90 up to this one in a folded text, as the one group that matches."""
    if age < _OLD:
        return None
    numbers = f"(?:{'|'.join(str(n) for n in range(_OLD, age + 2))})"  # a birthday later
    cues = (cue.replace("<it>N", f"<it{i}>{numbers}") for i, cue in enumerate(_CUES))
    return re.compile("|".join(cues))
