"""Finding in a report what its study's headers say: people, numbers, dates and places."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from cmrjax.data.deid.ages import age_pattern, oldest
from cmrjax.data.deid.fold import fold, spellings
from cmrjax.data.deid.headers import BIRTH_DATE, LOOKED_FOR, Identifier, day_of
from cmrjax.data.deid.terms import is_nobody
from cmrjax.data.deid.words import (
    COMMON_WORDS,
    EPONYMS,
    MONTHS,
    PARTICLES,
    PLACE_WORDS,
    SHORT_WORDS,
    TITLES,
)

_WEAK = COMMON_WORDS | EPONYMS | PARTICLES | SHORT_WORDS
_HOUSES = frozenset(("hospital", "university", "clinic", "institute", "infirmary", "klinikum"))
_SENTENCE_START = re.compile(r"(?:^|[.!?:;\n\u2022(-])\s*$")
# Not what stands in a text for what was found. An underscore is a mark like others.
_MARKER = r"(?!(?<=\[)(?:name|id|date|age|place|uid)\])"
_BEFORE, _AFTER = rf"(?<![^\W_]){_MARKER}", r"(?![^\W_])"
# What may stand between the letters of a name: a line's end behind a hyphen, or a joint.
_JOINT = r"(?:-\s{1,4}|[-'_]| {1,3}|\. ?)?"
_CUE = re.compile(
    r"\b(?:patient(?:in|en|e)?|pt|pat|name|herrn?|frau|mrs?|ms|miss|mme)\b[.:]?\s{1,3}$",
    re.IGNORECASE,
)
_VERBS = frozenset("may will left rose had has is was did in on no be".split())  # noqa: SIM905
_NEAR = 24  # characters that hold the word before
_LONG_NAME = 6  # letters of a name that an initial beside it makes no other word
_LONG_ID = 7  # characters from which an id is found with marks between its digits, too


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


def known_rules(identifiers: Iterable[Identifier]) -> tuple[KnownRule, ...]:
    """The rules that a study's headers give, in the order to apply them."""
    identifiers = tuple(identifiers)
    texts: dict[str, list[str]] = {kind: [] for kind in sorted({*LOOKED_FOR.values()})}
    births = {day for tag, text in identifiers if tag == BIRTH_DATE and (day := day_of(text))}
    for tag, text in identifiers:
        texts[LOOKED_FOR[tag]] += [part for part in text.split("\\") if part.strip()]
    days = {day for text in texts["date"] if (day := day_of(text))}
    old = age_pattern(oldest(texts["age"], births, days - births))
    # A study's name or a clinic's in a person's place would take its words from every report.
    people = [text for text in texts["name"] if not is_nobody(text)]
    made = (
        _uid_rules(texts["uid"]),
        [KnownRule("age", old)] if old else [],
        _id_rules(texts["id"] + [code for text in texts["name"] for code in _codes(text)]),
        _place_rules(texts["place"]),
        _date_rules(days),
        # An id of letters alone is a name for all that anybody can tell.
        _name_rules(people + [t for t in texts["id"] if _lettered(t) and not is_nobody(t)]),
        _garbled_rules(people),
    )
    return tuple(rule for rules in made for rule in rules)


def strong_names(identifiers: Iterable[Identifier]) -> frozenset[str]:
    """Folded parts of names that no report uses as words: what a misspelling is compared with."""
    held = [text for tag, text in identifiers if LOOKED_FOR[tag] == "name"]
    texts = [part for text in held for part in text.split("\\") if not is_nobody(part)]
    words = {fold(word).text for text in texts for word in _words(text)}
    return frozenset(word for word in words if _is_strong(word))


def _is_strong(word: str) -> bool:
    return len(word) > 2 and word not in _WEAK


def _lettered(text: str) -> bool:
    return not any(c.isdigit() for c in text) and len(text.strip()) >= 5


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(sorted(set(patterns), key=lambda p: (-len(p), p)))


# Names.


def _words(text: str) -> list[str]:
    words = [w.strip("'.-()\"") for w in re.split(r"[\s,;^=\\_/&.]+", text)]
    # What folds to no letter at all is no name.
    return [w for w in words if fold(w).text[:1].isalpha() and not any(c.isdigit() for c in w)]


def _codes(text: str) -> list[str]:
    """What trials write in a name's place (`HEART-0042`, `PT 17`): its parts that hold digits."""
    parts = re.split(r"[\^=]+", text)
    parts += [word for part in parts for word in re.split(r"[\s,;]+", part)]
    return [part for part in parts if any(c.isdigit() for c in part)]


def _spelled(word: str) -> str:
    """A pattern of a word's spellings; what joins its parts may be missing or a space."""
    loose = (re.sub(r"[-' ]", "~", form) for form in spellings(word))
    marked = (re.escape(form).replace("\\~", "~").replace("~", "[-' ]?") for form in loose)
    return f"(?:{_any_of(marked)})"


def _name_rules(texts: Sequence[str]) -> list[KnownRule]:
    parts: set[str] = set()
    strong: set[str] = set()
    for text in texts:
        for component in re.split(r"[\^=]+", text):
            words = _words(component)
            if len(words) > 1 and len(words[0]) > 1:
                parts.add(" ".join(words))  # "van der Berg" is one name, "van" is none
                if any(_is_strong(fold(word).text) for word in words):
                    strong.update(spellings("".join(words)))  # "Mc Donald" is McDonald
            elif len(words) == 1 and fold(words[0]).text in PARTICLES:
                parts.add(words[0])  # "Le^An" is called Le
        words = _words(text)
        for word in words + [half for w in words if "-" in w for half in w.split("-")]:
            folded = fold(word).text
            if folded in TITLES or folded in PARTICLES or (len(word) < 2 and word.isascii()):
                continue
            parts.add(word)
            if _is_strong(folded):
                strong.add(folded)
        # "Müller2" is another Müller, and "Control01" a word: never more than a weak name.
        glued = re.findall(r"(?<![^\W_])([^\W\d_]{3,})\d{1,2}(?![^\W_])", text)
        parts.update(word for word in glued if fold(word).text not in TITLES | PARTICLES)
    if not parts:
        return []
    unit = f"(?:{_any_of(_spelled(part) for part in parts)}){_AFTER}"
    initials = "".join(sorted({f[0] for p in parts for f in spellings(p) if f[0].isalpha()}))
    initial = rf"(?:[{re.escape(initials)}]\.[ -]?)+{_AFTER}(?<![ -])"
    between = r"(?:\s*[,.^_/-]\s*|\s+)"
    particle = rf"(?:(?:{_any_of(PARTICLES - {'and', 'the', 'y', 'e', 's'})})\s+)?"
    pattern = re.compile(
        rf"{_BEFORE}(?:[{re.escape(initials)}]\.[\s-]?){{0,3}}{unit}"
        rf"(?:{between}{particle}{unit}|{between}?{initial})*(?:,\s?[{initials}](?![\w.]))?"
    )
    named = [part for part in parts if any(_is_strong(fold(w).text) for w in part.split())]
    rules = [
        KnownRule("name", pattern, _NameCheck(frozenset(strong))),
        *_broken_rules(named),
        *_glued_rules(parts, named),
    ]
    eastern = [c for t in texts for c in t.split("=") if c and not c.isascii()]
    joined = {re.escape(fold(re.sub(r"[\s^]+", "", c)).text) for c in eastern}
    if joined:  # family and given name without a space, within a sentence without spaces
        rules.insert(0, KnownRule("name", re.compile(_any_of(j for j in joined if j) or r"(?!)")))
    return rules


def _letters_of(words: Iterable[str]) -> set[str]:
    """The folded spellings of words, letters alone."""
    return {re.sub(r"[\W\d_]+", "", form) for word in words for form in spellings(word)}


def _broken_rules(named: Iterable[str]) -> list[KnownRule]:
    """Names with joints of their own (`Anne-Marie`), lines' ends, spaces, or a number behind."""
    forms = {form for form in _letters_of(named) if len(form) >= 4}
    broken = {_JOINT.join(map(re.escape, form)) for form in forms}
    # A digit is no letter: "Testperson2" is a file's name for Testperson.
    pattern = rf"(?<![^\W\d_]){_MARKER}(?:{_any_of(broken)})\d{{0,4}}(?![^\W\d_])"
    return [KnownRule("name", re.compile(pattern), _is_broken_name)] if broken else []


def _is_broken_name(text: str, start: int, end: int) -> bool:
    """Whether a name's letters with something between them are the name: "as her" is not Asher."""
    found = re.sub(r"-\s+", "-", text[start:end].rstrip("0123456789"))
    pieces = [piece for piece in re.split(r"(?:_|[^\w\u0300-\u036f])+", found) if piece]
    if len(pieces) < 2 or all(len(piece) == 1 for piece in pieces):
        return True
    words = {fold(piece).text for piece in pieces}
    if words <= _WEAK | PLACE_WORDS:
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
    long = _any_of(form for form in whole if len(form) >= _LONG_NAME) or r"(?!)"
    glued = rf"(?:{_any_of(forms)}){{2,4}}|{first}(?:{long})|(?:{long}){first}"
    pattern = rf"(?<![^\W\d_]){_MARKER}(?:{glued})\d{{0,4}}(?![^\W\d_])"

    def holds_strong(text: str, start: int, end: int) -> bool:
        folded = fold(text[start:end]).text
        return any(name in folded for name in whole)

    return [KnownRule("name", re.compile(pattern), holds_strong)]


def _garbled_rules(texts: Iterable[str]) -> list[KnownRule]:
    """Names in the wrong encoding (`MÃ¼ller`), or with a mark for what was lost (`M\ufffdller`).

    No word of a report is spelled so: these need no look at what is around them.
    """
    words = {w for t in texts for w in _words(unicodedata.normalize("NFC", t)) if len(w) > 1}
    cased = {form for w in words for form in (w, w.lower(), w.upper(), w.title())}
    garbled: set[str] = set()
    for word in cased:
        if word.isascii():
            continue
        for encoding in ("cp1252", "latin-1"):
            garbled.add(re.escape(fold(word.encode().decode(encoding, "replace")).text))
        plain = sum(c.isascii() for c in word)
        # Of "?se" too little is left to tell it from a question.
        lost = "[\ufffd?]" if plain > 2 else "\ufffd"
        if plain:
            parts = (re.escape(c.lower()) if c.isascii() else f"{lost}{{1,3}}" for c in word)
            garbled.add("".join(parts))
    pattern = f"{_BEFORE}(?:{_any_of(garbled)}){_AFTER}"
    return [KnownRule("name", re.compile(pattern))] if garbled else []


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
    return not word[0].isupper() or fold(word).text in _WEAK | PLACE_WORDS


# Numbers and codes.


def _id_rules(texts: Iterable[str]) -> list[KnownRule]:
    alone, cued = set(), set()
    for text in texts:
        folded = fold(text).text
        core = re.sub(r"[\W_]+", "", folded)
        if not any(c.isdigit() for c in core):
            continue
        core = core.lstrip("0") or core
        letters = any(c.isalpha() for c in core)
        if len(core) >= _LONG_ID:
            alone.add("0*" + r"[-./ _]?".join(map(re.escape, core)))
        elif len(core) >= (4 if letters else 5):
            # A space may stand where the header has one, and nowhere else.
            spaced = re.sub(r"[\W_]+", " ", folded).lstrip(" 0") or core
            held = (r"[-/_]?".join(map(re.escape, piece)) for piece in spaced.split())
            alone.add("0*" + r"[-./ _]?".join(held))
        else:  # "12" is a number like any other unless something says that it is an id
            cued.add("0*" + re.escape(core))
    rules = []
    if alone:
        rules.append(rf"(?<![a-z0-9])(?<!\d[.,])(?:{_any_of(alone)})(?![a-z0-9])")
    if cued:
        cue = r"(?:mrn|pid|patient(?: id| no| number)?|id|accession(?: no| number)?|case)\b"
        rules.append(rf"{_BEFORE}{cue}[\s.:#-]{{1,3}}(?:{_any_of(cued)})(?![a-z0-9])")
    return [KnownRule("id", re.compile(rule)) for rule in rules]


_UID = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}(?!\w)")
_SHORTEST_UID = 8  # "1.2.3" numbers a paragraph


def _uid_rules(uids: Iterable[str]) -> list[KnownRule]:
    held = {uid for uid in uids if len(uid) >= _SHORTEST_UID}

    def is_known(text: str, start: int, end: int) -> bool:
        found = text[start:end]
        begins = len(found) > _SHORTEST_UID and any(uid.startswith(f"{found}.") for uid in held)
        return found in held or begins

    return [KnownRule("uid", _UID, is_known)] if held else []


# Places.


def _place_rules(texts: Iterable[str]) -> list[KnownRule]:
    phrases, single = set(), set()
    for text in texts:
        words = [w.strip("'.()") for w in re.split(r"[\s,;^=/&]+", text)]
        words = [w for w in words if fold(w).text.strip()]
        folded = [fold(w).text for w in words]
        own = [
            (w, f)
            for w, f in zip(words, folded, strict=True)
            if f not in PLACE_WORDS and f not in EPONYMS and not f.isdigit()
        ]
        named = any(len(f) >= 3 for _, f in own)
        if len(words) > 1 and (named or _HOUSES.intersection(folded)):
            phrases.add(r"[\s,.'-]+".join(_spelled(w) for w in words))
        mixed = any(c.islower() for c in text)
        single |= {_spelled(w) for w, f in own if len(f) >= 4 or (mixed and len(f) == 3)}
    rules = []
    if phrases:
        rules.append(KnownRule("place", re.compile(f"{_BEFORE}(?:{_any_of(phrases)}){_AFTER}")))
    if single:
        pattern = re.compile(f"{_BEFORE}(?:{_any_of(single)}){_AFTER}")
        rules.append(KnownRule("place", pattern, _capital))
    return rules


def _capital(text: str, start: int, end: int) -> bool:
    # Three letters are a site's initials in capitals, or any word at all.
    return text[start].isupper() and (end - start > 3 or text[start:end].isupper())


# Dates.


def _date_rules(days: Iterable[date]) -> list[KnownRule]:
    found = sorted(days)
    if not found:
        return []
    return [KnownRule("date", re.compile(_any_of(p for day in found for p in _written(day))))]


def _written(day: date) -> list[str]:
    """Patterns of the ways to write one day."""
    d, m = rf"0?{day.day}", rf"0?{day.month}"
    year, short = f"{day.year}", f"{day.year % 100:02d}"
    any_year, mark = rf"(?:{year}|'?{short})", r"\s?[-./_,]\s?"
    nth = r"(?:st|nd|rd|th|er|\.|o)?"
    month = rf"(?:{_any_of(MONTHS[day.month - 1])})\b\.?"
    gap = r"[\s,.'_-]*"
    of = r"(?:(?:of|de|di|den)\s+)?"
    forms = [
        rf"{d}{mark}{m}{mark}{any_year}",
        rf"{m}{mark}{d}{mark}{any_year}",
        rf"{year}{mark}{m}{mark}{d}",
        rf"{d} {m} {year}",
        rf"{year} {m} {d}",
        rf"{d}{nth}{gap}{of}{month}(?:{gap}{of}{any_year})?",
        rf"{month}{gap}(?:the )?{d}{nth}(?:{gap}{any_year})?",
        rf"{year}{gap}{month}{gap}{d}{nth}",
        rf"{year}{day.month:02d}{day.day:02d}(?:\d{{4}}|\d{{6}})?",
        rf"{day.day:02d}{day.month:02d}{year}",
        rf"{day.month:02d}{day.day:02d}{year}",
        rf"{short}{day.month:02d}{day.day:02d}",
        rf"{day.day:02d}{day.month:02d}{short}",
        rf"{d}(?:{_any_of(MONTHS[day.month - 1])}){any_year}",
    ]
    return [rf"(?<![\w.])(?:{form})(?!\w)" for form in forms]
