"""Removing identifiers from report text: those the headers name first, then patterns.

This lowers the risk; it promises nothing. A name that no header holds and no title announces stays.
"""

import re
from collections import Counter
from collections.abc import Iterable

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_NTH = r"(?:st|nd|rd|th)"
_NAME = r"[A-Z][\w'\u2019-]+"
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("email", re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")),
    ("url", re.compile(r"\b(?:https?://|www\.)\S+", re.I)),
    ("uid", re.compile(r"\b\d+(?:\.\d+){5,}\b")),
    ("date", re.compile(r"\b\d{4}([-/.])\d{1,2}\1\d{1,2}\b")),
    ("date", re.compile(r"\b\d{1,2}([-/.])\d{1,2}\1(?:\d{4}|\d{2})\b")),
    (
        "date",
        re.compile(rf"\b\d{{1,2}}{_NTH}?[ -](?:of )?{_MONTH}[ ,.-]+\d{{2,4}}\b", re.I),
    ),
    ("date", re.compile(rf"\b{_MONTH}\.? \d{{1,2}}{_NTH}?,? \d{{4}}\b", re.I)),
    ("date", re.compile(rf"\b{_MONTH}\.?,? (?:19|20)\d{{2}}\b", re.I)),
    ("date", re.compile(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b")),
    ("time", re.compile(r"\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?: ?[ap]m)?\b", re.I)),
    ("phone", re.compile(r"(?:\+|\b00)\d[\d ()./-]{7,}\d\b|\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b")),
    (
        "number",
        re.compile(
            r"\b(?:mrn|pid|patient id|hospital (?:no|number)|nhs(?: no| number)?|accession"
            r"(?: no| number)?|acc)\b[ .:#]*[A-Z]{0,4}[-/]?\d[\w/-]*",
            re.I,
        ),
    ),
    ("number", re.compile(r"\b[A-Z]{0,3}\d{7,}\b")),
    (
        "name",
        re.compile(
            r"\b(?:Dr|Drs|Prof|Professor|Mr|Mrs|Ms|Miss|Doctor|Herr|Frau)\b\.? "
            rf"(?:[A-Z]\. ?)*{_NAME}(?:[ ]{_NAME})?"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?i:\b(?:reported|signed|dictated|verified|approved|referred|read)"
            rf"(?: electronically)? by:?) +(?:[A-Z]\. ?)*{_NAME}(?:[ ,]+{_NAME}){{0,2}}"
        ),
    ),
    ("name", re.compile(rf"(?i:\bpatient(?:'s)? name:?) +{_NAME}(?:[ ,^]+{_NAME}){{0,2}}")),
)
# Words that a header's name or institution field shares with every report.
_COMMON = frozenset(
    """hospital heart cardiac cardiology centre center clinic university medical radiology imaging
    department institute unknown anonymous anonymized patient research study test name normal left
    right ventricle phantom demo general royal national and the for""".split()  # noqa: SIM905
)


def _known_terms(identifiers: Iterable[str]) -> list[str]:
    terms: set[str] = set()
    for text in identifiers:
        whole = " ".join(re.split(r"[\^=\\\s]+", text)).strip()
        parts = re.split(r"[\^=\\\s,]+", text)
        terms.update(part for part in (whole, *parts) if len(part) >= 3)
    kept = (t for t in terms if t.lower() not in _COMMON and not re.fullmatch(r"\d{1,3}\D?", t))
    return sorted(kept, key=lambda t: (-len(t), t))


def scrub(text: str, identifiers: Iterable[str] = ()) -> tuple[str, Counter[str]]:
    """Replaces identifiers in a report by their kind in brackets.

    Args:
        text: the report.
        identifiers: texts of the study's headers that identify people.

    Returns:
        The text, and how often each rule applied (never what it found).

    Example:
        >>> scrub('Seen by Dr. Jones on 3/4/2019. LVEF 55 %.')[0]
        'Seen by [name] on [date]. LVEF 55 %.'
    """
    counts: Counter[str] = Counter()
    for term in _known_terms(identifiers):
        text, n = re.subn(rf"(?<!\w){re.escape(term)}(?!\w)", "[id]", text, flags=re.I)
        counts["header"] += n
    for rule, pattern in _RULES:
        text, n = pattern.subn(f"[{rule}]", text)
        counts[rule] += n
    return text, +counts
