"""What identifies people in any report, whoever they are: rules in the order they are applied.

A rule is written against what it must not eat, too: `120 ml`, `12/min`, `1.5 T`, `grade 2/4`,
`5/17 segments`, `T1 2CH`, `1:10`, `MR` and `MS` are a report's daily words. Where both cannot be
had, a rule asks for a cue ("Tel", "MRN", "aged", a title, a street's name).
"""

import re
from functools import partial

from cmrjax.data.deid.dates import DATES, of_segments
from cmrjax.data.deid.digits import DIGITS, UIDS
from cmrjax.data.deid.forms import any_case
from cmrjax.data.deid.people import NAMES, is_no_person, names_nobody, of_a_valve
from cmrjax.data.deid.places import PLACES, is_measured, says_no_more_than_hospital

_WEB = (
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64} ?@ ?[\w-]+(?:\.[\w-]+)+\b")),
    ("url", any_case(r"\b(?:https?://|www\.)[^\s\])>]+")),
)


# What a group of a pattern holds, and when it is not what the pattern looks for.
_UNLESS = {
    "year": of_segments,
    "first": of_a_valve,
    "small": names_nobody,
    "who": is_no_person,
    "town": is_measured,
}


def _replace(match: re.Match[str], *, kind: str) -> str:
    found = match.groupdict()
    if kind == "place" and says_no_more_than_hospital(match):
        return match[0]
    if any(unless(match) for group, unless in _UNLESS.items() if found.get(group)):
        return match[0]
    # A label or a title stays, so that the sentence still reads.
    kept = found.get("keep") or ""
    return f"{kept}[{kind}]"


RULES = tuple(
    (kind, pattern, partial(_replace, kind=kind))
    for kind, pattern in (*_WEB, *UIDS, *DATES, *DIGITS, *PLACES, *NAMES)
)
