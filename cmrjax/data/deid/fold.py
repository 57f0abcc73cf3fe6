"""Text without case, accents, typographic marks and what no eye sees, with the way back."""

import unicodedata
from dataclasses import dataclass

# What decomposition leaves whole, or what is written in several ways.
_LETTERS = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ı": "i",
    "\u2018": "'",
    "\u2019": "'",
    "\u02bc": "'",
    "`": "'",
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "-",
}
_TWO_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}


@dataclass(frozen=True)
class Folded:
    """A folded text.

    Args:
        text: the folded text.
        origin: for each character of it, the number of the original's character that it is of, and
            the original's length at the end; nothing when both are the same.
    """

    text: str
    origin: tuple[int, ...] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original that a part of the folded text stands for."""
        if self.origin is None:
            return start, end
        first, after = self.origin[start], self.origin[end]
        # Half of a character that became two is the whole of it.
        return first, max(after, self.origin[end - 1] + 1) if end > start else first


def _letters(character: str) -> str:
    lower = character.lower()
    if lower in _LETTERS:
        return _LETTERS[lower]
    plain = unicodedata.normalize("NFKD", lower)
    # Soft hyphens, zero-width characters and marks of direction are within words and no part of it.
    seen = (c for c in plain if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    return "".join(_LETTERS.get(c, c) for c in seen)


def fold(text: str) -> Folded:
    """Folds a text.

    Example:
        >>> folded = fold('Groß, MÜLLER')
        >>> folded.text, folded.span(7, 13)
        ('gross, muller', (6, 12))
        >>> fold('Mül\u00adler').text
        'muller'
    """
    if text.isascii():
        return Folded(text.lower().replace("`", "'"), None)
    parts, origin = [], []
    for i, character in enumerate(text):
        letters = _letters(character)
        parts.append(letters)
        origin += [i] * len(letters)
    return Folded("".join(parts), (*origin, len(text)))


def spellings(word: str) -> frozenset[str]:
    """The folded ways to write a word: Müller is Muller and Mueller, and Mueller is Muller.

    Example:
        >>> sorted(spellings('Müller')), sorted(spellings('Mueller'))
        (['mueller', 'muller'], ['mueller', 'muller'])
    """
    lower = unicodedata.normalize("NFC", word).lower()
    plain = fold(lower).text
    long = fold("".join(_TWO_LETTERS.get(c, c) for c in lower)).text
    short = long
    for pair in ("ae", "oe", "ue", "aa"):
        short = short.replace(pair, pair[0])
    return frozenset(filter(None, (plain, long, short)))
