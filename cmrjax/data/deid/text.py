"""Removing identifiers from a report: what the headers name, then patterns, then a last look.

This lowers the risk; it promises nothing. A name that no header holds, no title announces and no
list knows stays (docs/deid.md).
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cmrjax.data.deid.fold import fold
from cmrjax.data.deid.headers import LOOKED_FOR, Identifier
from cmrjax.data.deid.known import known_rules, strong_names
from cmrjax.data.deid.known_names import widened
from cmrjax.data.deid.markup import Unreadable, plain_text
from cmrjax.data.deid.patterns import RULES
from cmrjax.data.deid.residual import signs
from cmrjax.data.deid.rule import KnownRule

_LONGEST = 100_000  # characters: nobody dictates more
_LONGEST_MARKED = 40 * _LONGEST  # of RTF, with fonts and pictures


@dataclass(frozen=True)
class Cleaned:
    """A report that may be stored.

    Args:
        text: the report with identifiers replaced by their kind in brackets; empty when it still
            looked identified.
        counts: how often each rule applied, never what it found: 'header.name', 'date', ...;
            'residual.*' says why a text was withheld.
        quarantined: whether it was withheld.
    """

    text: str
    counts: Counter[str] = field(default_factory=Counter)
    quarantined: bool = False


def clean(text: str, identifiers: Iterable[Identifier] = ()) -> Cleaned:
    """Removes identifiers from a report, and the marks of HTML and RTF.

    Args:
        text: the report.
        identifiers: what the study's headers say of people, (tag, text) as in
            `headers.LOOKED_FOR`; others are not looked for.

    Example:
        >>> clean('Seen by Dr. Jones on 3/4/2019. LVEF 55 %.').text
        'Seen by Dr. [name] on [date]. LVEF 55 %.'
    """
    if not text.strip():
        return Cleaned("")
    try:
        text = plain_text(text) if len(text) <= _LONGEST_MARKED else text
    except Unreadable:
        return Cleaned("", Counter({"residual.markup": 1}), quarantined=True)
    if len(text) > _LONGEST:
        return Cleaned("", Counter({"residual.too_long": 1}), quarantined=True)
    if not text.isascii():  # what no eye sees parts names for the rules below
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    held = tuple(pair for pair in identifiers if pair[0] in LOOKED_FOR)
    counts: Counter[str] = Counter()
    for rule in known_rules(held):
        text, found = _apply_known(text, rule)
        counts[f"header.{rule.kind}"] += found
    for kind, pattern, replace in RULES:
        before = text
        text = pattern.sub(replace, text)
        if text != before:
            counts[kind] += text.count(f"[{kind}]") - before.count(f"[{kind}]")
    if left := signs(text, strong_names(held)):
        counts.update({f"residual.{kind}": n for kind, n in left.items()})
        return Cleaned("", +counts, quarantined=True)
    return Cleaned(text, +counts)


def _apply_known(text: str, rule: KnownRule) -> tuple[str, int]:
    folded, parts, at, count = fold(text), [], 0, 0
    for match in rule.pattern.finditer(folded.text):
        start, end = folded.span(*match.span(match.lastindex or 0))
        if start < at or (rule.accept is not None and not rule.accept(text, start, end)):
            continue
        if rule.kind == "name":
            start, end = widened(text, start, end)
        parts += [text[at : max(at, start)], f"[{rule.kind}]"]
        at, count = end, count + 1
    return "".join((*parts, text[at:])), count
