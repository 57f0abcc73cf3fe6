"""Patterns of streets, postcodes and hospitals."""

import re

from cmrjax.data.deid.forms import LETTER, PROPER, UPPER, any_case
from cmrjax.data.deid.words import PLACE_WORDS

_HOUSE = (
    r"(?:Hospital|Infirmary|Medical Cent(?:er|re)|Klinikum|Krankenhaus|NHS(?: Foundation)? Trust)"
)
_STREET = (
    r"(?:Street|Road|Avenue|Ave|Lane|Drive|Close|Court|Crescent|Boulevard|Blvd|Terrace|Gardens"
    r"|Square|Highway|Parkway|St|Rd|Ln)"
)
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]"
    r"|T[NX]|UT|V[AT]|W[AIVY])"
)
# Areas of British postcodes: without them "T1 2CH" would be one.
_AREA = (
    r"(?:A[BL]|B[ABDHLNRST]?|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]?|F[KY]|GL?|G[UY]|H[ADGPRSUX]|I[GMPV]"
    r"|JE|K[ATWY]|L[ADELNSU]?|M[EKL]?|N[EGNPRW]?|O[LX]|P[AEHLOR]|R[GHM]|S[AEGKLMNOPRSTWY]?|T[ADFNQRSW]"
    r"|UB|W[ACDFNRSV]?|YO|ZE)"
)
_WORDY = re.compile(r"[^\W\d_]+")


def says_no_more_than_hospital(match: re.Match[str]) -> bool:
    """Whether a place's name says no more than "outside hospital" does."""
    words = (w.lower() for w in _WORDY.findall(match[0]))
    return all(w in PLACE_WORDS or w in _ANY_PLACE for w in words)


_ANY_PLACE = frozenset(
    """outside referring local other another our your nhs current same at in
    infirmary klinikum krankenhaus""".split()  # noqa: SIM905
)
# Of these, numbers are measured.
_MEASURED = re.compile(
    r"(?:BNP|CK|LDH|[Tt]roponin|[Ff]erritin|[Pp]latelets|[Cc]reatinine|CRP|[Ss]core)[ :=]{1,3}$"
)
_NEAR = 24  # characters that hold the word before


def is_measured(match: re.Match[str]) -> bool:
    """Whether a number before a capitalised word is a blood test's, and no town's."""
    before = match.string[max(0, match.start() - _NEAR) : match.start()]
    return bool(_MEASURED.search(before))


PLACES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("address", re.compile(rf"\b\d{{1,5}}[a-zA-Z]?,? (?:{PROPER} ){{1,3}}{_STREET}\b\.?")),
    (
        "address",
        re.compile(
            rf"\b{UPPER}{LETTER}{{0,30}}(?:stra\u00dfe|strasse|str\.|weg|platz|gasse|allee)\s\d{{1,4}}[a-z]?\b"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b(?:{PROPER} ){{1,3}}(?:Street|Road|Avenue|Lane|Drive|Square),? \d{{1,5}}\b"
        ),
    ),
    ("address", re.compile(rf"\b\d{{1,4}},? rue(?: (?:d[eu]|la|des))* {PROPER}(?: {PROPER})?")),
    ("address", re.compile(rf"\b(?:Rue|Via|Calle)(?: (?:d[eu]|la|del))* {PROPER},? \d{{1,4}}\b")),
    ("address", any_case(r"\bP\.? ?O\.? ?Box \d+")),
    ("postcode", re.compile(rf"\b{_AREA}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{{2}}\b")),
    ("postcode", re.compile(rf"\b{_STATE},? \d{{5}}(?:-\d{{4}})?\b")),
    ("postcode", re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b")),
    (
        "postcode",
        re.compile(
            rf"\b(?:[A-Z]{{1,2}}-)?\d{{5}} (?P<town>{UPPER}[a-z\u00df-\u00ff]{{3,}})\b"
        ),
    ),
    ("place", re.compile(rf"\b(?:(?:St\.? |{PROPER} (?:of |for |and )?)){{1,4}}{_HOUSE}\b")),
    ("place", re.compile(rf"\b(?:University )?Hospital (?:of |in ){PROPER}(?: {PROPER})?")),
)  # fmt: skip
