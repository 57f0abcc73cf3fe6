"""Patterns of streets, postcodes and hospitals."""

import re

from cmrjax.data.deid.forms import LETTER, PROPER, UNIT, UPPER, any_case
from cmrjax.data.deid.people import is_clinical
from cmrjax.data.deid.words import EPONYMS, PLACE_WORDS

_HOUSE = (
    r"(?:Hospital|Infirmary|Medical Cent(?:er|re)|Heart Cent(?:er|re)|Clinic|Hospice|Klinikum"
    r"|Krankenhaus|NHS(?: Foundation)? Trust)"
)
# In capitals a sentence has no names to tell: its small words end one.
_SENTENCE_END = (
    r"(?:(?:FROM|TO|IN|INTO|AT|OF|OFF|THE|A|AN|AND|OR|FOR|BY|WITH|ON|THIS|THAT|OUR|YOUR|HIS|HER|IS|WAS"
    r"|NO|NOT|ADMITTED|DISCHARGED|REFERRED|TRANSFERRED|TREATED|SEEN|LEFT|PRIOR|PREVIOUS|SINCE"
    r"|DURING|AFTER|BEFORE|PATIENT|PATIENTS|INPATIENT)\b)"
)
_CAPITALS = rf"(?!{_SENTENCE_END}){UPPER}(?:{UPPER}|['\u2019-](?={UPPER})){{1,30}}"
_HOUSE_CAPITALS = r"(?:HOSPITAL|INFIRMARY|MEDICAL CENT(?:ER|RE)|KLINIKUM|KRANKENHAUS)"
# Houses that are named after what follows.
_MAISON = (
    r"(?:(?:Universit\u00e4ts|Kreis|St\u00e4dtisches |Uni)?(?:[Kk]linikum|[Kk]rankenhaus)|Uniklinik"
    r"|Universit\u00e4tsklinik|Herzzentrum|Spital|H\u00f4pital|H[o\u00f4]pitaux|CHU|CHRU|Clinique|Cl\u00ednica"
    r"|Ospedale|Policlinico|Hospital(?= (?:de|del|St|San|Santa|Cl[i\u00ed]nic|Universitario)\b))"
)
_PARTICLE = r"(?:(?:de|del|des|du|la|las|los|le|les|di|der|am|im|in|of|St\.?|Cl[i\u00ed]nic) ){0,3}"
_STREET = (
    r"(?:Street|Road|Avenue|Ave|Lane|Drive|Close|Court|Crescent|Boulevard|Blvd|Terrace|Gardens"
    r"|Square|Highway|Parkway|St|Rd|Ln|Way|Grove|Place|Mews)"
)
# "CLOSE TO", "ST ELEVATION", "PARK", "WAY" are words in capitals, too.
_STREET_CAPITALS = (
    r"(?:STREET|ROAD|AVENUE|LANE|DRIVE|CRESCENT|BOULEVARD|TERRACE|GARDENS|HIGHWAY|PARKWAY|GROVE"
    r"|MEWS)"
)
_STRASSE = r"(?:Stra\u00dfe|Strasse|Str\.|Weg|Platz|Gasse|Allee|Damm|Ufer)"
_RUE = (
    r"(?:rue|avenue|av\.|boulevard|bd\.?|chemin|impasse|quai|place|all\u00e9e|Rue|Avenue|Boulevard)"
)
_CALLE = r"(?:Rue|Via|Viale|Piazza|Calle|Avda\.?|Avenida|Plaza|Paseo|C/)"
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
    words = _WORDY.findall(match[0])
    any_place = PLACE_WORDS | _ANY_PLACE
    if words[-1] == "Clinic":  # of a disease, an organ or a device, often by its letters
        any_place |= EPONYMS | _ANY_CLINIC
        words = [word for word in words if not (word.isupper() and len(word) <= _ABBREVIATION)]
    return all(word.lower() in any_place or is_clinical(word) for word in words)


_ANY_PLACE = frozenset(
    """outside referring local other another our your nhs current same at in
    infirmary klinikum krankenhaus klinik herzzentrum uniklinik spital clinique hospice
    verdacht zustand status aufnahme entlassung anamnese nach mit ohne bei im am in""".split()  # noqa: SIM905
)
_ANY_CLINIC = frozenset(
    """rapid access pain inherited conditions aortopathy marfan joint preoperative pre assessment
    follow up new one stop virtual nurse led adult transition sarcoid sarcoidosis amyloid lipid
    rheumatology fabry icc achd guch hf rhythm pacing monitoring discharge telephone review
    disease diseases family obesity electrophysiology renal cancer sleep weight anticoagulation
    warfarin smoking specialist transplant trial muscle neuromuscular aneurysm obstetric antenatal
    maternal fetal athletes sports hypertension weekly monthly morning afternoon combined
    palpitation syncope seen attends attended referred he she st""".split()  # noqa: SIM905
)
_ABBREVIATION = 4  # letters, as in "ACHD Clinic"
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
    (
        "address",
        re.compile(
            rf"\b\d{{1,5}}[a-zA-Z]?,? (?:(?:St\. ?)?{PROPER} ){{1,3}}"
            rf"(?:{_STREET}|{_STREET_CAPITALS})\b\.?"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b{UPPER}{LETTER}{{0,30}}(?:stra\u00dfe|strasse|str\.|weg|platz|gasse|allee)\s\d{{1,4}}[a-z]?\b"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b(?:{PROPER} ){{0,2}}{PROPER}[ -]{_STRASSE}\s\d{{1,4}}[a-z]?\b{UNIT}"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b(?:{PROPER} ){{1,3}}(?:Street|Road|Avenue|Lane|Drive|Square),? \d{{1,5}}\b"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b\d{{1,4}}(?: ?(?:bis|ter))?,? {_RUE}(?: (?:d[eu]|la|les?|des)){{0,3}} "
            rf"(?:[dl]['\u2019])?{PROPER}(?: {PROPER})?"
        ),
    ),
    (
        "address",
        re.compile(rf"\b{_CALLE}(?: (?:d[eu]|la|del)){{0,3}} ?{PROPER},? \d{{1,4}}\b"),
    ),
    ("address", any_case(r"\bP\.? ?O\.? ?Box \d+")),
    ("postcode", re.compile(rf"\b{_AREA}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{{2}}\b")),
    # Joined, five characters would be a lead or a slice, too.
    ("postcode", re.compile(rf"\b(?=\w{{6,7}}\b){_AREA}\d[A-Z\d]?\d[ABD-HJLNP-UW-Z]{{2}}\b")),
    ("postcode", re.compile(rf"\b{_STATE},? \d{{5}}(?:-\d{{4}})?\b")),
    ("postcode", re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b")),
    (
        "postcode",
        re.compile(
            rf"\b(?:[A-Z]{{1,2}}-)?\d{{5}} (?P<town>{UPPER}[a-z\u00df-\u00ff]{{3,}})\b"
        ),
    ),
    ("place", re.compile(rf"\b(?:(?:St\.? |{PROPER} (?:of |for |and )?)){{1,4}}{_HOUSE}\b")),
    ("place", re.compile(rf"\b(?:{_CAPITALS} (?:OF )?){{1,4}}{_HOUSE_CAPITALS}\b")),
    ("place", re.compile(rf"\b{_MAISON} {_PARTICLE}(?:[dl]['\u2019])?{PROPER}(?: {PROPER})?")),
    ("place", re.compile(rf"\b(?:University )?Hospital (?:of |in ){PROPER}(?: {PROPER})?")),
)  # fmt: skip
