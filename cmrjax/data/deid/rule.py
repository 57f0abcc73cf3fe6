"""What is looked for in a report for its study's headers, and how such patterns are written."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cmrjax.data.deid.fold import spellings

# Not what stands in a text for what was found. An underscore is a mark like others.
MARKER = r"(?!(?<=\[)(?:name|id|date|age|place|uid)\])"
BEFORE, AFTER = rf"(?<![^\W_]){MARKER}", r"(?![^\W_])"


@dataclass(frozen=True)
class KnownRule:
    """What to look for in a folded report.

    Args:
        kind: 'name', 'id', 'uid', 'date', 'age' or 'place'.
        pattern: over the folded text; where a group of it matches, that is what is found.
        accept: asked with the original text and the span; without it every match counts.
    """

    kind: str
    pattern: re.Pattern[str]
    accept: Callable[[str, int, int], bool] | None = None


def any_of(patterns: Iterable[str]) -> str:
    """One pattern of several, the longest first."""
    return "|".join(sorted(set(patterns), key=lambda p: (-len(p), p)))


def spelled(word: str) -> str:
    """A pattern of a word's spellings; what joins its parts may be missing or a space."""
    loose = (re.sub(r"[-' ]", "~", form) for form in spellings(word))
    marked = (re.escape(form).replace("\\~", "~").replace("~", "[-' ]?") for form in loose)
    return f"(?:{any_of(marked)})"
