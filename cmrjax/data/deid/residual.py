"""What still looks as if it identified somebody after every rule: such a report is not used.

The rules replace what they are sure of. Here a suspicion is enough, because the price of being
wrong is one report and not somebody's name.
"""

import re
from collections import Counter
from collections.abc import Collection

from cmrjax.data.deid.fold import fold
from cmrjax.data.deid.forms import BLANKS, LETTER, UPPER
from cmrjax.data.deid.words import (
    AFTER_MR,
    CLINICAL_WORDS,
    COMMON_WORDS,
    EPONYMS,
    GIVEN_NAMES,
    PLACE_WORDS,
)

_CAPITAL = rf"{UPPER}{LETTER}{{1,40}}"  # bounded: U+FFFD begins a word anywhere
_TITLE = r"(?:Dr|DR|Prof|PROF|[Dd]octor|[Pp]rofessor|Mr|Mrs|MRS|Ms|Miss)"
# "L.V. Function" and "U.K. Biobank", but no "L.V. Kowalski".
_NO_SURNAME = CLINICAL_WORDS - COMMON_WORDS | AFTER_MR
_ABBREVIATED = (
    r"(?:[LR]\.[ ]?[VA]|U\.[ ]?[KS])\.[ ]?"
    rf"(?i:(?:{'|'.join(sorted(_NO_SURNAME))}|\w+(?:ction|sion|graphy|trophy))\b)"
)
_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("long_number", re.compile(r"(?<![\w.,])\d{6,}(?![.,]?\d)")),
    ("mail", re.compile(r"\w ?@ ?\w|https?:|\bwww\b", re.IGNORECASE)),
    ("date", re.compile(r"(?<!\d)\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d(?!\d)")),
    # Sizes (45x32x28mm) and variants of genes (c.100185delG) are no codes.
    (
        "code",
        re.compile(
            r"\b(?!N[MPC]_|rs\d|ENS)(?!\d{1,3}(?:[xX\u00d7]\d{1,3}){1,3}(?:mm|cm|px)?\b)"
            r"(?!(?<=\b[cgmnr]\.)\d+(?:_\d+)?(?:del|dup|ins|inv)[ACGT]{0,30}\b)"
            r"(?=\w*[A-Za-z])(?=(?:[A-Za-z]*\d){5})\w{8,}\b"
        ),
    ),
    (
        "title",
        re.compile(
            rf"\b{_TITLE}\b(?:\.?\s{{1,3}}|\.)(?!{_TITLE}\b)"
            rf"(?:{UPPER}(?:\.[-{BLANKS}]?|[-{BLANKS}])){{0,3}}{_CAPITAL}"
        ),
    ),
    (
        "label",
        re.compile(
            r"\b(?:patient name|full name|surname|last name|first name|forename|maiden name|dob"
            r"|d\.o\.b\.?|date of birth|born on|birth ?date|mrn|patient id|hospital (?:no|number)"
            r"|nhs (?:no|number)|ssn"
            r"|home address|address|post ?code|zip(?: code)?|telephone|e-?mail)\b\s*[:#=]\s*"
            r"(?!\[|$|not |none|unknown|n/a|withheld|removed|-)[^\s,.;]",
            re.IGNORECASE,
        ),
    ),
    (
        "initials",
        re.compile(
            rf"(?<![\w.])(?!{_ABBREVIATED}){UPPER}\.[ ]?{UPPER}\.[ ]?(?!\[){_CAPITAL}"
        ),
    ),
)  # fmt: skip
_PAIR = re.compile(rf"(?<![\w\[])({_CAPITAL})[,{BLANKS}]{{1,2}}(?=({_CAPITAL})\b)")
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_REPORTED = COMMON_WORDS | EPONYMS | PLACE_WORDS
_LEAST = 6  # letters from which one wrong letter in a name is a slip and not another word


def signs(text: str, names: Collection[str] = ()) -> Counter[str]:
    """Counts what still looks identified in a cleaned report, by kind of sign.

    Args:
        text: the report after every rule.
        names: folded names of the headers that are no common words.

    Example:
        >>> dict(signs('Seen with Anna Kowalski.')), dict(signs('Tetralogy of Fallot, EF 45 %.'))
        ({'full_name': 1}, {})
    """
    found = Counter({kind: len(pattern.findall(text)) for kind, pattern in _SIGNS})
    found["full_name"] = sum(
        first.lower() in GIVEN_NAMES
        and second.lower() not in _REPORTED
        and not (len(second) <= 4 and second.isupper())  # "Martin LV"
        for first, second in _PAIR.findall(text)
    )
    found["near_name"] = _near_names(text, names)
    return +found


def _near_names(text: str, names: Collection[str]) -> int:
    """Words that are a header's name but for one letter, written as names are."""
    long = [name for name in names if len(name) >= _LEAST]
    if not long:
        return 0
    count = 0
    for match in _WORD.finditer(text):
        word = match[0]
        if len(word) < _LEAST - 1 or not word[0].isupper():
            continue
        folded = fold(word).text
        if folded not in _REPORTED and any(_one_apart(folded, name) for name in long):
            # The first word of a sentence has a capital whatever it is.
            before = text[max(0, match.start() - 4) : match.start()]
            count += not re.search(r"(?:^|[.!?:;\n])\s*$", before)
    return count


def _one_apart(a: str, b: str) -> bool:
    """Whether two words differ by one letter, or by two neighbours changing places."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    start = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
        return rest_a[1:] == rest_b[1:] or swapped
    return rest_a[1:] == rest_b if len(a) > len(b) else rest_a == rest_b[1:]
