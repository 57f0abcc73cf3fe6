"""Finding people's names in a report however they are written, and telling them from its words."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html.entities import codepoint2name

from cmrjax.data.deid.fold import fold, spellings
from cmrjax.data.deid.rule import AFTER, BEFORE, MARKER, KnownRule, any_of, spelled
from cmrjax.data.deid.words import (
    COMMON_WORDS,
    EPONYMS,
    PARTICLES,
    PLACE_WORDS,
    SHORT_WORDS,
    TITLES,
)

WEAK = COMMON_WORDS | EPONYMS | PARTICLES | SHORT_WORDS
_SENTENCE_START = re.compile(r"(?:^|[.!?:;\n\u2022(-])\s*$")
# What may stand between the letters of a name: a line's end behind a hyphen, or a joint.
_JOINT = r"(?:-\s{1,4}|[-'_]| {1,3}|\. ?)?"
_CUE = re.compile(
    r"\b(?:patient(?:in|en|e)?|pt|pat|name|herrn?|frau|mrs?|ms|miss|mme)\b[.:]?\s{1,3}$",
    re.IGNORECASE,
)
_VERBS = frozenset("may will left rose had has is was did in on no be".split())  # noqa: SIM905
_NEAR = 24  # characters that hold the word before
_LONG_NAME = 6  # letters of a name that an initial beside it makes no other word


def is_strong(word: str) -> bool:
    """Whether a folded word is a name wherever it stands: no report uses it as a word."""
    return len(word) > 2 and word not in WEAK


def words_of(text: str) -> list[str]:
    """The words of a header's name."""
    words = [w.strip("'.-()\"") for w in re.split(r"[\s,;^=\\_/&.]+", text)]
    # What folds to no letter at all is no name.
    return [w for w in words if fold(w).text[:1].isalpha() and not any(c.isdigit() for c in w)]


def name_rules(texts: Sequence[str]) -> list[KnownRule]:
    """Rules for the names that header texts give."""
    parts: set[str] = set()
    strong: set[str] = set()
    for text in texts:
        for component in re.split(r"[\^=]+", text):
            words = words_of(component)
            if len(words) > 1 and len(words[0]) > 1:
                parts.add(" ".join(words))  # "van der Berg" is one name, "van" is none
                if any(is_strong(fold(word).text) for word in words):
                    strong.update(spellings("".join(words)))  # "Mc Donald" is McDonald
            elif len(words) == 1 and fold(words[0]).text in PARTICLES:
                parts.add(words[0])  # "Le^An" is called Le
        words = words_of(text)
        for word in words + [half for w in words if "-" in w for half in w.split("-")]:
            folded = fold(word).text
            if folded in TITLES or folded in PARTICLES or (len(word) < 2 and word.isascii()):
                continue
            parts.add(word)
            if is_strong(folded):
                strong.add(folded)
        # "Müller2" is another Müller, and "Control01" a word: never more than a weak name.
        glued = re.findall(r"(?<![^\W_])([^\W\d_]{3,})\d{1,2}(?![^\W_])", text)
        parts.update(word for word in glued if fold(word).text not in TITLES | PARTICLES)
    if not parts:
        return []
    unit = f"(?:{any_of(spelled(part) for part in parts)}){AFTER}"
    initials = "".join(sorted({f[0] for p in parts for f in spellings(p) if f[0].isalpha()}))
    initial = rf"(?:[{re.escape(initials)}]\.[ -]?)+{AFTER}(?<![ -])"
    between = r"(?:\s*[,.^_/-]\s*|\s+)"
    particle = rf"(?:(?:{any_of(PARTICLES - {'and', 'the', 'y', 'e', 's'})})\s+)?"
    pattern = re.compile(
        rf"{BEFORE}(?:[{re.escape(initials)}]\.[\s-]?){{0,3}}{unit}"
        rf"(?:{between}{particle}{unit}|{between}?{initial})*(?:,\s?[{initials}](?![\w.]))?"
    )
    named = [part for part in parts if any(is_strong(fold(w).text) for w in part.split())]
    rules = [
        KnownRule("name", pattern, _NameCheck(frozenset(strong))),
        *_broken_rules(named),
        *_glued_rules(parts, named),
    ]
    eastern = [c for t in texts for c in t.split("=") if c and not c.isascii()]
    joined = {re.escape(fold(re.sub(r"[\s^]+", "", c)).text) for c in eastern}
    if joined:  # family and given name without a space, within a sentence without spaces
        rules.insert(0, KnownRule("name", re.compile(any_of(j for j in joined if j) or r"(?!)")))
    return rules


def _letters_of(words: Iterable[str]) -> set[str]:
    """The folded spellings of words, letters alone."""
    return {re.sub(r"[\W\d_]+", "", form) for word in words for form in spellings(word)}


def _broken_rules(named: Iterable[str]) -> list[KnownRule]:
    """Names with joints of their own (`Anne-Marie`), lines' ends, spaces, or a number behind."""
    forms = {form for form in _letters_of(named) if len(form) >= 4}
    broken = {_JOINT.join(map(re.escape, form)) for form in forms}
    # A digit is no letter: "Testperson2" is a file's name for Testperson.
    pattern = rf"(?<![^\W\d_]){MARKER}(?:{any_of(broken)})\d{{0,4}}(?![^\W\d_])"
    return [KnownRule("name", re.compile(pattern), _is_broken_name)] if broken else []


def _is_broken_name(text: str, start: int, end: int) -> bool:
    """Whether a name's letters with something between them are the name: "as her" is not Asher."""
    found = re.sub(r"-\s+", "-", text[start:end].rstrip("0123456789"))
    pieces = [piece for piece in re.split(r"(?:_|[^\w\u0300-\u036f])+", found) if piece]
    if len(pieces) < 2 or all(len(piece) == 1 for piece in pieces):
        return True
    words = {fold(piece).text for piece in pieces}
    if words <= WEAK | PLACE_WORDS:
        return False
    if not re.search(r"[\s.]", found):
        return True
    capital = pieces[0][0].isupper() and pieces[-1][0].isupper()
    return capital and len(pieces) <= 3 and not (found.isupper() and words & SHORT_WORDS)


def _glued_rules(parts: Iterable[str], named: Iterable[str]) -> list[KnownRule]:
    """Names without anything between them, as names of files and users have them."""
    forms = {form for form in _letters_of(parts) if len(form) >= 3}
    whole = _letters_of(named)
    if not forms or not whole:
        return []
    first = f"[{re.escape(''.join(sorted({form[0] for form in forms})))}]{{1,2}}"
    long = any_of(form for form in whole if len(form) >= _LONG_NAME) or r"(?!)"
    glued = rf"(?:{any_of(forms)}){{2,4}}|{first}(?:{long})|(?:{long}){first}"
    pattern = rf"(?<![^\W\d_]){MARKER}(?:{glued})\d{{0,4}}(?![^\W\d_])"

    def holds_strong(text: str, start: int, end: int) -> bool:
        folded = fold(text[start:end]).text
        return folded not in WEAK | PLACE_WORDS and any(name in folded for name in whole)

    return [KnownRule("name", re.compile(pattern), holds_strong)]


def garbled_rules(texts: Iterable[str]) -> list[KnownRule]:
    """Names in the wrong encoding (`MÃ¼ller`), or with a mark for what was lost (`M\ufffdller`).

    No word of a report is spelled so: these need no look at what is around them.
    """
    words = {w for t in texts for w in words_of(unicodedata.normalize("NFC", t)) if len(w) > 1}
    cased = {form for w in words for form in (w, w.lower(), w.upper(), w.title())}
    garbled: set[str] = set()
    for word in cased:
        if word.isascii():
            continue
        for encoding in ("cp1252", "latin-1"):
            garbled.add(re.escape(fold(word.encode().decode(encoding, "replace")).text))
        garbled.update(re.escape(form.lower()) for form in _escaped(word))
        plain = sum(c.isascii() for c in word)
        # Of "?se" too little is left to tell it from a question.
        lost = "[\ufffd?]" if plain > 2 else "\ufffd"
        if plain:
            parts = (re.escape(c.lower()) if c.isascii() else f"{lost}{{1,3}}" for c in word)
            garbled.add("".join(parts))
    pattern = f"{BEFORE}(?:{any_of(garbled)}){AFTER}"
    return [KnownRule("name", re.compile(pattern))] if garbled else []


def _escaped(word: str) -> set[str]:
    """A word as mail, addresses, JSON, and remains of RTF and HTML spell its letters."""

    def spell(character: Callable[[str], str]) -> str:
        return "".join(c if c.isascii() else character(c) for c in word)

    def coded(mark: str, encoding: str) -> str:
        return spell(lambda c: "".join(f"{mark}{b:02x}" for b in c.encode(encoding, "replace")))

    found = {coded(m, encoding) for m in ("=", "%", "\\'") for encoding in ("cp1252", "utf-8")}
    found.add(spell(lambda c: f"\\u{ord(c):04x}"))
    found.add(spell(lambda c: f"&{codepoint2name.get(ord(c), f'#{ord(c)}')}"))
    return found


@dataclass(frozen=True)
class _NameCheck:
    """Whether a match is a name: its words may be a report's own words, too."""

    strong: frozenset[str]

    def __call__(self, text: str, start: int, end: int) -> bool:
        found = text[start:end]
        words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", found))
        if any(form in self.strong for word in words for form in spellings(word)):
            return True
        whole = fold(found).text
        if any(fold(re.sub(r"\W+", "", found)).text == re.sub(r"\W+", "", s) for s in self.strong):
            return True
        capital = [word for word in words if word[0].isupper()]
        if len({word.lower() for word in words}) > 1:  # two of their names, or one and an initial
            return len(capital) == len(words)
        if not capital or whole in EPONYMS:
            return False
        if (
            found.isupper()
            and len(found) > 1
            and (cue := _CUE.search(text[max(0, start - _NEAR) : start]))
        ):
            # "Patient LI", "PATIENT WALL HAS"; but "THE PATIENT MAY"
            return not (cue[0].strip(" .:").isupper() and whole in _VERBS | SHORT_WORDS)
        if whole in PARTICLES:
            return False
        if len(whole) <= 2:
            return whole not in SHORT_WORDS and found[1:].islower()
        return found[1:].islower() and not _SENTENCE_START.search(text[:start])


def widened(text: str, start: int, end: int) -> tuple[int, int]:
    """A name's span with what a hyphen joins to it: `Testperson-Meier` is one name."""
    while (after := _JOINED_AFTER.match(text, end)) and not _is_term(after[1]):
        end = after.end()
    while (before := _JOINED_BEFORE.search(text[max(0, start - _NEAR) : start])) and not _is_term(
        before[1]
    ):
        start -= len(before[0])
    return start, end


_HYPHEN = r"[-\u2010\u2011]"
_JOINED_AFTER = re.compile(rf"{_HYPHEN}([^\W\d_]{{2,24}})(?![^\W_])")
_JOINED_BEFORE = re.compile(rf"(?<![^\W_])([^\W\d_]{{2,22}}){_HYPHEN}$")


def _is_term(word: str) -> bool:
    return not word[0].isupper() or fold(word).text in WEAK | PLACE_WORDS
