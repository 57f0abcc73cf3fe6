"""What identifies people in any report, whoever they are: rules in the order they are applied.

A rule is written against what it must not eat, too: `120 ml`, `12/min`, `1.5 T`, `grade 2/4`,
`5/17 segments`, `T1 2CH`, `1:10`, `MR` and `MS` are a report's daily words. Where both cannot be
had, a rule asks for a cue ("Tel", "MRN", "aged", a title, a street's name).
"""

import re
from functools import partial

from cmrjax.data.deid.words import AFTER_MR, BEFORE_MR, MONTHS, PLACE_WORDS

_MONTH = rf"(?:{'|'.join(sorted({m for ms in MONTHS for m in ms[:2]}, key=lambda m: -len(m)))})"
_NTH = r"(?:st|nd|rd|th|\.)?"
_DAY, _MON, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d{2}"
# "segments 10/11/12" is no day.
_NO_DIGIT = r"(?<![\d./-])(?<!segment )(?<!segments )(?<!seg )(?<!seg. )"
_ANY_YEAR = r"(?:(?:19|20)\d{2}|\d{2})"
_FULL_MONTH = rf"(?:{'|'.join(names[0].title() for names in MONTHS)})"
_UNIT = r"(?!\s?(?:mm|cm|ml|ms|m\b|s\b|%|kg|g\b|bpm|mmhg|l\b|/|x\s?\d|[-.]\d))"
# U+FFFD stands where a byte was damaged: of a name, as of a word.
_LETTER = r"(?:[^\W\d_]|\ufffd)"
_EXTENDED = "".join(c for c in map(chr, range(0x100, 0x180)) if c.isupper())  # as in Łódź
_UPPER = rf"[A-Z\u00c0-\u00de\ufffd{_EXTENDED}]"
_TITLE = (
    r"(?:[Dd]r|DR|Drs|[Pp]rof|PROF|Professor|Mr|[Mm]rs|MRS|Ms|Miss|Mx|Doctor"
    r"|Herrn?|HERRN?|Frau|FRAU|Fr\u00e4ulein"
    r"|Monsieur|Madame|Mademoiselle|M(?:me|lle)s?|MME|Docteure?|Dre|Professeure?"
    r"|Se\u00f1or(?:a|ita)?|Sra|SRA|Srta|Dra|DRA|Do\u00f1a|Doctora|Profesora?)"
)
# In capitals these are mitral regurgitation, magnetic resonance and mitral stenosis, too.
_CAPITAL_TITLE = r"(?:MR|MS|MISS)"
# Bounded: time, not taste.
_PROPER = rf"{_UPPER}(?:{_LETTER}|['\u2019-](?={_LETTER})){{1,30}}"
# No title is a person's name: "by Dr [name]" and "Consultant: Dr S Kumar" have theirs after it.
_NAME = rf"(?!{_TITLE}\b|{_CAPITAL_TITLE}\b\.? ?\[){_PROPER}"
_LINK = (
    r"(?:(?:van|von|der|den|de|del|di|da|dos|du|la|le|al|el|bin|ibn|ben|zu|zur|zum|ter|ten|St\.)[ ]"
    r"|d['\u2019]){0,3}"
)
_INITIALS = rf"(?:{_UPPER}(?:\.[ -]?|[ -])){{0,3}}"  # "J. K.", "J.K.", "J K", "J-P"
_PERSON = rf"{_INITIALS}{_LINK}{_NAME}(?:[ ]+{_INITIALS}{_LINK}{_NAME}){{0,2}}"
# "A Jones and B Smith", but not "A Jones and Reviewed by B Smith".
_OTHERS = rf"(?:(?:[ ]?/[ ]?|[ ](?:&|and|und)[ ]){_PERSON}\b(?![ ]by\b)){{0,3}}"
# "Smith, John" after a label; a comma after a title ends the name.
_LISTED = rf"{_PERSON}(?:,[ ]?(?:{_PERSON}|{_UPPER}\b\.?))?{_OTHERS}"
# Before "MR." these tell a person from a sentence that ends with a valve.
_MET = (
    r"\b(?i:(?:seen|met|reviewed|examined|discussed|referred|requested|performed|operated|attended"
    r"|treated|spoken|copied|sent) (?:by|with|to|under|on))"
)
# "Sr" is a senior, too: of a family after the name, of a ward before its post.
_POSTS = (
    r"(?:Consultant|Resident|Registrar|Fellow|Physician|Cardiologist|Radiologist|Radiographer"
    r"|Technologist|Technician|Nurse|Lecturer|Staff|Scientist)"
)
# "Der Patient", "la patiente", "el paciente": none of it is English, where "Patient Position" is a
# heading. German writes every noun with a capital: these may follow in a note.
_PATIENT = (
    r"(?:Patientin|[Dd](?:er|em|en|es) Patient(?:en)?|(?:[Ll][ae]|[Ee]l|[Dd]el|[Dd]u) pa[tc]iente?)"
)
_NOTED = (
    r"(?:Verdacht|Zustand|Status|Ausschluss|Nachweis|Hinweis|Anamnese|Untersuchung|Aufnahme"
    r"|Bekannte\w*|Keine?|Nach|Vor|Mit|Ohne|Bei|In|Im|Am)"
)
_DEGREES = r"(?:MD|M\.D\.|PhD|Ph\.D\.|MBBS|MBChB|FRCR|FRCP|MRCP|FACC|FSCMR|FESC|Dipl\.-Ing)"
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
# What follows "Patient:" or "Reader:" when it is no name.
_OPENERS = (
    r"(?:Known|Male|Female|History|Status|Previous|Prior|New|No|None|Normal|Not|Suspected|Suspicion"
    r"|Referred|Presenting|Presented|Asymptomatic|Symptomatic|Recent|Chest|Dyspnoea|Dyspnea|Family|Supine|The|An"
    r"|See|As|In|On|Good|Poor|With|Without|Post|Abnormal|Mild|Moderate|Severe|Cardiology|Cardiac|Radiology|Unknown)"
)
_WORDY = re.compile(r"[^\W\d_]+")


def _i(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _own_word(match: re.Match[str]) -> bool:
    """Whether a place's name says more than "outside hospital" does."""
    words = (w.lower() for w in _WORDY.findall(match[0]))
    return any(w not in PLACE_WORDS and w not in _ANY_PLACE for w in words)


_ANY_PLACE = frozenset(
    """outside referring local other another our your nhs current same at in
    infirmary klinikum krankenhaus""".split()  # noqa: SIM905
)


def _of_a_valve(match: re.Match[str]) -> bool:
    """Whether "MR" is what a heart or a scan has: by the word before it, or the one after it."""
    before = _WORDY.findall(match.string[max(0, match.start() - _NEAR) : match.start()])
    # A full stop or a colon between them parts the two.
    joined = match.start() > 0 and match.string[match.start() - 1] in " /-"
    return (joined and bool(before) and before[-1].lower() in BEFORE_MR) or bool(
        _SAID_OF_MR.fullmatch(match["first"])
    )


_NEAR = 16  # characters that hold the word before
# Words of the list, words as science makes them, and abbreviations, which have no vowel.
_SAID_OF_MR = _i(
    rf"(?:{'|'.join(sorted(AFTER_MR))}|\w+(?:tion|sion|graph(?:y|ie)|gram|scop(?:y|ie))s?"
    r"|[b-df-hj-np-tv-xz]+)"
)


def _replace(match: re.Match[str], *, kind: str) -> str:
    found = match.groupdict()
    if (kind == "place" and not _own_word(match)) or (found.get("first") and _of_a_valve(match)):
        return match[0]
    # A label or a title stays, so that the sentence still reads.
    kept = found.get("keep") or ""
    return f"{kept}[{kind}]"


_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64} ?@ ?[\w-]+(?:\.[\w-]+)+\b")),
    ("url", _i(r"\b(?:https?://|www\.)[^\s\])>]+")),
    ("uid", re.compile(r"\b\d+(?:\.\d+){5,}\b")),
    ("date", re.compile(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6})?\b")),
    ("date", re.compile(rf"\b{_YEAR}\s?([-/.])\s?{_MON}\s?\1\s?{_DAY}(?:T[\d:.]+Z?)?\b")),
    ("date", re.compile(rf"{_NO_DIGIT}{_DAY}\s?([-/.])\s?{_MON}\s?\1\s?{_ANY_YEAR}\b{_UNIT}")),
    ("date", re.compile(rf"{_NO_DIGIT}{_MON}\s?([-/.])\s?{_DAY}\s?\1\s?{_ANY_YEAR}\b{_UNIT}")),
    ("date", re.compile(rf"(?<![\d./-]){_MON}[/.-]{_YEAR}\b")),
    (
        "date",
        _i(
            rf"\b{_DAY}{_NTH}[ -]?(?:of )?{_MONTH}\b[ ,.-]*(?:of )?"
            rf"(?:{_YEAR}|'?\d{{2}}\b(?![\d.,]*\s?(?:%|mm|ml)))"
        ),
    ),
    ("date", _i(rf"\b{_MONTH}[.,]?[ -]{_DAY}(?:st|nd|rd|th)?[ ,-]+{_YEAR}\b")),
    ("date", _i(rf"\b{_MONTH}\.?,?[ -](?:of )?'?{_YEAR}\b")),
    ("date", re.compile(rf"\b{_DAY}(?:st|nd|rd|th)?(?: of)? {_FULL_MONTH}\b")),
    ("date", re.compile(rf"\b{_FULL_MONTH} {_DAY}(?:st|nd|rd|th)?\b(?![.]?\d)")),
    (
        "date",
        _i(
            rf"(?P<keep>\b(?:dated|performed on|done on|acquired on|scanned on|seen on"
            r"|examination of"
            rf"|exam of|scan of|study of|mri of|cmr of|from the|on the)\s)"
            rf"{_DAY}[/.]{_MON}\b(?![/.]?\d)(?!\s?(?:%|mm|cm|ml|segment|of))"
        ),
    ),
    ("time", _i(r"(?<![\d:])(?:[01]?\d|2[0-3])[:.][0-5]\d(?::[0-5]\d)?\s?[ap]\.?m\b\.?")),
    ("time", re.compile(r"(?<![\d:.])(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?![\d:])")),
    ("time", _i(r"(?P<keep>\b(?:at|time:?) )(?:[01]?\d|2[0-3])[:h][0-5]\d(?: ?h(?:rs|ours)?)?\b")),
    ("time", _i(r"\b(?:[01]\d|2[0-3])[0-5]\d ?(?:hrs|hours)\b")),
    (
        "phone",
        _i(
            r"(?P<keep>\b(?:tel(?:ephone)?|phone|fax|mobile|cell|ext(?:ension)?|bleep|pager|hotline)\b"
            r"(?: no| number)?[ .:#]{0,3})\+?[\d(][\d ()./-]{2,}\d"
        ),
    ),
    ("phone", re.compile(r"(?:\+|\b00)\d[\d ()./-]{7,}\d\b")),
    ("phone", re.compile(rf"\(?\b\d{{3}}\)?[ .-]\d{{3}}[ .-]\d{{4}}\b{_UNIT}")),
    ("phone", re.compile(r"\(?\b0\d{2,5}\)?[ /-]{1,3}\d{3,4}[ -]?\d{2,6}\b")),
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    (
        "number",
        _i(
            r"(?P<keep>\b(?:mrn|m\.r\.n\.|pid|uhid|ssn|nhs|chi|"
            r"(?:patient|hospital|study|exam|case|order|episode|visit|record|chart|unit|accession|nhs"
            r"|account|insurance|report|reference|social security|identity|passport)"
            r"[ -]?(?:id|no|nr|number|identifier|code|#)|accession|dob)"
            r"\b(?: no| number| id)?[ .:#]{0,3})(?=[\w/-]*\d)[A-Z]{0,6}[-/]?\d[\w/-]*"
        ),
    ),
    # "ID 32 mm" is an inner diameter and "acc 2" an acceleration: numbers there must be long.
    ("number", _i(r"(?P<keep>\b(?:id|acc|ref|reg)\b[ .:#]{0,3})[A-Z]{0,6}[-/]?\d{4}[\w/-]*")),
    ("number", re.compile(r"(?<![\w.,])[A-Z]{0,4}[-/]?\d{7,}(?![\w]*[.,]\d)\w{0,3}\b")),
    ("number", re.compile(r"(?<![\w.,-])[A-Z]{1,4}[-/]?\d{5,}[A-Z]?\b")),
    ("number", re.compile(rf"(?<![\w.,-])(?=(?:-?\d){{7}})\d{{2,4}}-\d{{2,6}}-\d{{2,6}}\b{_UNIT}")),
    ("age", _i(r"\b(?:9\d|1[0-2]\d)(?=[ -]?(?:years?|yrs?)[ -]?old\b|[ -]?y[/.]?o\b|-year-old)")),
    ("age", _i(r"(?P<keep>\b(?:aged?|age:)[ :]{1,2}(?:of )?)(?:9\d|1[0-2]\d)\b(?!\s?(?:%|ml|mm))")),
    ("address", re.compile(rf"\b\d{{1,5}}[a-zA-Z]?,? (?:{_PROPER} ){{1,3}}{_STREET}\b\.?")),
    (
        "address",
        re.compile(
            rf"\b{_UPPER}{_LETTER}{{0,30}}(?:stra\u00dfe|strasse|str\.|weg|platz|gasse|allee)\s\d{{1,4}}[a-z]?\b"
        ),
    ),
    (
        "address",
        re.compile(
            rf"\b(?:{_PROPER} ){{1,3}}(?:Street|Road|Avenue|Lane|Drive|Square),? \d{{1,5}}\b"
        ),
    ),
    ("address", re.compile(rf"\b\d{{1,4}},? rue(?: (?:d[eu]|la|des))* {_PROPER}(?: {_PROPER})?")),
    ("address", re.compile(rf"\b(?:Rue|Via|Calle)(?: (?:d[eu]|la|del))* {_PROPER},? \d{{1,4}}\b")),
    ("address", _i(r"\bP\.? ?O\.? ?Box \d+")),
    ("postcode", re.compile(rf"\b{_AREA}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{{2}}\b")),
    ("postcode", re.compile(rf"\b{_STATE},? \d{{5}}(?:-\d{{4}})?\b")),
    ("postcode", re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b")),
    ("postcode", re.compile(rf"\b(?:[A-Z]{{1,2}}-)?\d{{5}} {_UPPER}[a-z\u00df-\u00ff]{{3,}}\b")),
    ("place", re.compile(rf"\b(?:(?:St\.? |{_PROPER} (?:of |for |and )?)){{1,4}}{_HOUSE}\b")),
    ("place", re.compile(rf"\b(?:University )?Hospital (?:of |in ){_PROPER}(?: {_PROPER})?")),
    ("name", re.compile(rf"(?P<keep>\b(?:Drs|Dr['\u2019]s)\b\.?\s){_LISTED}")),
    (
        "name",
        re.compile(
            rf"(?P<keep>\b{_TITLE}\b\.?(?: ?(?:{_TITLE}|med|hab|rer|nat)\b\.?){{0,6}}"
            rf"(?::?\s{{1,3}}|(?<=\.))){_PERSON}(?:,? {_DEGREES}\b)*"
        ),
    ),
    # "MR. Smith" opens a line or is met by somebody; else the point ends a sentence ("Mild MR. Thin
    # leaflets.").
    (
        "name",
        re.compile(
            rf"(?P<keep>\b{_CAPITAL_TITLE} {{1,2}}|(?:(?m:^)[ ]*|{_MET} ){_CAPITAL_TITLE}\. ?)"
            rf"(?={_INITIALS}(?P<first>{_NAME})){_PERSON}"
        ),
    ),
    (
        "name",
        re.compile(
            rf"(?P<keep>\bSr\b\.?\s)(?!(?:{_OPENERS}|{_POSTS}|{_TITLE})\b){_PERSON}"
        ),
    ),
    (
        "name",
        re.compile(rf"(?P<keep>\b{_PATIENT}\s)(?!(?:{_NOTED}|{_TITLE})\b){_PERSON}"),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>\b(?i:patientin|patiente|paciente|nachname|vorname|apellidos?|nombre)\s?:\s*)"
            rf"(?!\[|(?:{_NOTED}|{_TITLE})\b){_LISTED}"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>\b(?:dr|mrs|prof)\b(?:\.? |\.))(?!and\b|or\b|who\b|of\b)"
            r"(?:[a-z](?:\. ?| )){0,3}[a-z][a-z'-]{2,}"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>(?i:\b(?:reported|signed|dictated|verified|approved|referred|read|reviewed|typed"
            r"|authori[sz]ed|performed|supervised|interpreted|co-?signed|transcribed|requested"
            r"|electronically)(?: electronically| and \w+| off)? by)"
            r"(?:[ :]+|[ :]*\n[ ]*(?![^\n]{0,40}:)))"
            rf"(?!(?i:the|an|our|this|your|A {_POSTS})\b)(?:{_CAPITAL_TITLE}\b\.? )?{_LISTED}"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>(?i:\b(?:patient(?:'s)? name|name of patient|patient|surname|first name"
            r"|last name|forename|name|radiologist|cardiologist|consultant|referrer|physician"
            r"|attending|reader|operator|radiographer|technologist|technician|author|signature"
            r"|signed|consultants|reporter|verified|approved|dictated|cc"
            r"|copy to|next of kin|gp|re)\s?:)\s*)"
            rf"(?!\[)(?:(?:{_TITLE}|{_CAPITAL_TITLE})\b\.? )?"
            rf"(?!{_OPENERS}\b|A (?:{_OPENERS}|{_POSTS})\b){_LISTED}"
        ),
    ),
    # Without a colon an initial tells a name from "Signed Copy".
    ("name", re.compile(rf"(?P<keep>\b(?:[Ss]igned|[Gg]ez\.) )(?={_UPPER}[. -]){_PERSON}")),
    (
        "name",
        re.compile(
            r"(?P<keep>\b(?i:befundet (?:von|durch)|(?:arzt|\u00e4rztin|oberarzt|chefarzt|befunder"
            r"|unterschrift|radiologin?|m[\u00e9e]decin|radiologue) ?:) *)"
            rf"(?!\[|{_NOTED}\b){_LISTED}"
        ),
    ),
    (
        "name",
        re.compile(
            rf"\b{_PERSON}(?:,? {_TITLE}\b\.?){{0,2}}"
            rf",? {_DEGREES}(?!\w)(?:,? {_DEGREES}(?!\w))*"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>(?i:\b(?:sincerely|regards|gr(?:\u00fc|ue)(?:\u00df|ss)en?),?)\s+)"
            rf"{_PERSON}"
        ),
    ),
)  # fmt: skip
RULES = tuple((kind, pattern, partial(_replace, kind=kind)) for kind, pattern in _RULES)
