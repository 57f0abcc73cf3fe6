"""Radiology reports as text: their sections, their sentences, and when two say the same."""

import re
from collections.abc import Sequence

# Headings as they are written, and the one name that each has here.
_HEADINGS = {
    "history": "history|clinical history|clinical information|clinical details",
    "indication": "indications?|reason for (?:exam|examination|study)|clinical question",
    "technique": "technique|protocol|procedure|method",
    "comparison": "comparison|prior studies",
    "findings": "findings?|results?|report|description",
    "impression": "impressions?|conclusions?|summary|opinion|interpretation",
}
_HEADING = re.compile(
    r"(?:^|(?<=[.;\n]))[ \t]*(?:"
    + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _HEADINGS.items())
    + r")[ \t]*(?::|(?=\n))",
    re.IGNORECASE | re.MULTILINE,
)
# A full stop ends a sentence when white space and no lower-case letter follow, unless what stands
# before it is an abbreviation; "3.5 cm" has no white space after its point.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z])|\n{2,}")
_ABBREVIATION = re.compile(
    r"(?:^|\s)(?:dr|prof|mr|mrs|ms|st|approx|ca|cf|vs|e\.g|i\.e|no|fig)\.$", re.IGNORECASE
)
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*\u2022]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def sections(report: str) -> dict[str, str]:
    """Splits a report at its headings.

    Returns:
        Section name ('history', 'indication', 'technique', 'comparison', 'findings',
        'impression') -> its text. Text before the first heading is 'findings' when no heading
        gives findings, otherwise 'history'; sections met twice are joined.

    Example:
        >>> sections('History: Dyspnoea. Findings: Normal LV.')
        {'history': 'Dyspnoea.', 'findings': 'Normal LV.'}
    """
    marks = list(_HEADING.finditer(report))
    found: dict[str, str] = {}
    head = report[: marks[0].start()] if marks else report
    names = {mark.lastgroup for mark in marks}
    parts = [("history" if "findings" in names else "findings", head)]
    for i, mark in enumerate(marks):
        end = marks[i + 1].start() if i + 1 < len(marks) else len(report)
        parts.append((str(mark.lastgroup), report[mark.end() : end]))
    for name, text in parts:
        if text := text.strip():
            found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def split_sentences(text: str) -> list[str]:
    """Splits free text into sentences, white space collapsed, decimals and list marks minded.

    Example:
        >>> split_sentences('Wall of 3.5 cm. No effusion.')
        ['Wall of 3.5 cm.', 'No effusion.']
    """
    out: list[str] = []
    for piece in _SENTENCE_END.split(_LIST_MARK.sub("\n\n", text)):
        sentence = " ".join(piece.split())
        if out and _ABBREVIATION.search(out[-1]):
            out[-1] = f"{out[-1]} {sentence}"
        elif re.search(r"\w", sentence):
            out.append(sentence)
    return out


def sentences(report: str, sections: Sequence[str] = ("findings", "impression")) -> list[str]:
    """The sentences of some sections of a report, each once, in order.

    Args:
        report: the report's text.
        sections: names of the sections to read, in this order.
    """
    found = _sections(report)
    listed = [s for name in sections for s in split_sentences(found.get(name, ""))]
    return list(dict.fromkeys(listed))


_sections = sections  # the argument above has the same name


def near_key(sentence: str) -> str:
    """A key that is equal for two wordings of one statement that differ in numbers or marks alone.

    Example:
        >>> near_key('LVEF is 55 %.') == near_key('LVEF is 48.5%')
        True
    """
    text = _NUMBER.sub("#", sentence.lower())
    return " ".join(re.sub(r"[^\w#]+", " ", text).replace("#", " # ").split())
