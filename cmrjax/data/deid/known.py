"""Finding in a report what its study's headers say: people, numbers, dates and places."""

import re
from collections.abc import Iterable
from datetime import date

from cmrjax.data.deid.ages import age_pattern, oldest
from cmrjax.data.deid.fold import fold
from cmrjax.data.deid.headers import BIRTH_DATE, LOOKED_FOR, Identifier, day_of
from cmrjax.data.deid.known_names import garbled_rules, is_strong, name_rules, words_of
from cmrjax.data.deid.rule import AFTER, BEFORE, KnownRule, any_of, spelled
from cmrjax.data.deid.terms import is_nobody
from cmrjax.data.deid.words import EPONYMS, MONTHS, PLACE_WORDS

_HOUSES = frozenset(("hospital", "university", "clinic", "institute", "infirmary", "klinikum"))
_LONG_ID = 7  # characters from which an id is found with marks between its digits, too


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
        name_rules(people + [t for t in texts["id"] if _lettered(t) and not is_nobody(t)]),
        garbled_rules(people),
    )
    return tuple(rule for rules in made for rule in rules)


def strong_names(identifiers: Iterable[Identifier]) -> frozenset[str]:
    """Folded parts of names that no report uses as words: what a misspelling is compared with."""
    held = [text for tag, text in identifiers if LOOKED_FOR[tag] == "name"]
    texts = [part for text in held for part in text.split("\\") if not is_nobody(part)]
    words = {fold(word).text for text in texts for word in words_of(text)}
    return frozenset(word for word in words if is_strong(word))


def _lettered(text: str) -> bool:
    return not any(c.isdigit() for c in text) and len(text.strip()) >= 5


# Numbers and codes.


def _codes(text: str) -> list[str]:
    """What trials write in a name's place (`HEART-0042`, `PT 17`): its parts that hold digits."""
    parts = re.split(r"[\^=]+", text)
    parts += [word for part in parts for word in re.split(r"[\s,;]+", part)]
    return [part for part in parts if any(c.isdigit() for c in part)]


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
        rules.append(rf"(?<![a-z0-9])(?<!\d[.,])(?:{any_of(alone)})(?![a-z0-9])")
    if cued:
        cue = r"(?:mrn|pid|patient(?: id| no| number)?|id|accession(?: no| number)?|case)\b"
        rules.append(rf"{BEFORE}{cue}[\s.:#-]{{1,3}}(?:{any_of(cued)})(?![a-z0-9])")
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
            phrases.add(r"[\s,.'-]+".join(spelled(w) for w in words))
        mixed = any(c.islower() for c in text)
        single |= {spelled(w) for w, f in own if len(f) >= 4 or (mixed and len(f) == 3)}
    rules = []
    if phrases:
        rules.append(KnownRule("place", re.compile(f"{BEFORE}(?:{any_of(phrases)}){AFTER}")))
    if single:
        pattern = re.compile(f"{BEFORE}(?:{any_of(single)}){AFTER}")
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
    return [KnownRule("date", re.compile(any_of(p for day in found for p in _written(day))))]


def _written(day: date) -> list[str]:
    """Patterns of the ways to write one day."""
    d, m = rf"0?{day.day}", rf"0?{day.month}"
    year, short = f"{day.year}", f"{day.year % 100:02d}"
    any_year, mark = rf"(?:{year}|'?{short})", r"\s?[-./_,]\s?"
    nth = r"(?:st|nd|rd|th|er|\.|o)?"
    month = rf"(?:{any_of(MONTHS[day.month - 1])})\b\.?"
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
        rf"{d}(?:{any_of(MONTHS[day.month - 1])}){any_year}",
    ]
    return [rf"(?<![\w.])(?:{form})(?!\w)" for form in forms]
