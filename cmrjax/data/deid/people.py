"""Patterns of names: after titles and labels, in signatures, before degrees."""

import re

from cmrjax.data.deid.forms import BLANKS, PROPER, SPACE, UPPER, any_case
from cmrjax.data.deid.words import (
    AFTER_MR,
    BEFORE_MR,
    CLINICAL_WORDS,
    COMMON_WORDS,
    EPONYMS,
    GIVEN_NAMES,
)

_TITLE = (
    r"(?:[Dd]r|DR|Drs|Dres|[Pp]rof|PROF|[Pp]rofessor|Mr|[Mm]rs|MRS|Ms|Miss|Mx|[Dd]octor|Sir|Rev"
    r"|Ober(?:arzt|\u00e4rztin)|Hr(?=\.)|Frl|Dott(?:oressa|\.ssa)?|Herrn?|HERRN?|Frau|FRAU|Fr\u00e4ulein"
    r"|Monsieur|Madame|Mademoiselle|M(?:me|lle)s?|MME|Docteure?|Dre|Professeure?"
    r"|Se\u00f1or(?:a|ita)?|Sra|SRA|Srta|Dra|DRA|Do\u00f1a|Doctora|Profesora?)"
)
# As in "Dr. med. univ." and "Dr. h.c.".
_FACULTY = r"(?:med|hab(?:il)?|rer|nat|univ|dent|phil|vet|theol|sc|hum|biol|[ij]ur|h\.? ?c|mult)"
# In capitals these are mitral regurgitation, magnetic resonance and mitral stenosis, too.
_CAPITAL_TITLE = r"(?:MR|MS|MISS)"
# No title is a person's name: "by Dr [name]" and "Consultant: Dr S Kumar" have theirs after it.
_NAME = rf"(?!{_TITLE}\b|{_CAPITAL_TITLE}\b\.? ?\[){PROPER}"
_LINK = (
    r"(?:(?:van|von|der|den|de|del|di|da|dos|du|la|le|al|el|bin|ibn|ben|zu|zur|zum|ter|ten|af"
    r"|St\.)[ ]|d['\u2019]){0,3}"
)
_INITIALS = rf"(?:{UPPER}(?:\.[-{BLANKS}]?|[-{BLANKS}])){{0,3}}"  # "J. K.", "J.K.", "J K", "J-P"
_PERSON = rf"{_INITIALS}{_LINK}{_NAME}(?:{SPACE}+{_INITIALS}{_LINK}{_NAME}){{0,2}}"
# "A Jones and B Smith", but not "A Jones and Reviewed by B Smith".
_OTHERS = rf"(?:(?:[ ]?/[ ]?|[ ](?:&|and|und)[ ]){_PERSON}\b(?![ ]by\b)){{0,3}}"
# "Smith, John" after a label; a comma after a title ends the name.
_LISTED = rf"{_PERSON}(?:,[ ]?(?:{_PERSON}|{UPPER}\b\.?))?{_OTHERS}"
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
# What follows "Patient:" or "Reader:" when it is no name.
_OPENERS = (
    r"(?:Known|Male|Female|History|Status|Previous|Prior|New|No|None|Normal|Not|Suspected|Suspicion"
    r"|Referred|Presenting|Presented|Asymptomatic|Symptomatic|Recent|Chest|Dyspnoea|Dyspnea|Family|Supine|The|An"
    r"|See|As|In|On|Good|Poor|With|Without|Post|Abnormal|Mild|Moderate|Severe|Cardiology|Cardiac|Radiology|Unknown)"
)
_SMALL = r"(?=[^\W\d_A-Z])(?:[^\W\d_A-Z]|['-](?=[^\W\d_])){2,30}\b"
_WORDY = re.compile(r"[^\W\d_]+")


def of_a_valve(match: re.Match[str]) -> bool:
    """Whether "MR" is what a heart or a scan has: by the word before it, or the one after it."""
    before = _WORDY.findall(match.string[max(0, match.start() - _NEAR) : match.start()])
    # A full stop or a colon between them parts the two.
    joined = match.start() > 0 and match.string[match.start() - 1] in " /-"
    return (joined and bool(before) and before[-1].lower() in BEFORE_MR) or bool(
        _SAID_OF_MR.fullmatch(match["first"])
    )


def is_clinical(word: str) -> bool:
    """Whether a word is medicine's, and nobody's name."""
    return word.lower() in CLINICAL_WORDS or bool(_SCIENCE.fullmatch(word))


def _is_no_surname(word: str) -> bool:
    return bool(_SCIENCE.fullmatch(word)) or word.lower() not in COMMON_WORDS | EPONYMS


def is_no_person(match: re.Match[str]) -> bool:
    """Whether what stands where a person should is medicine: every word of it, or a method's.

    One that is a surname, too, is a person alone: "Patient: Root", not "Re: Heart Failure".
    """
    words = _WORDY.findall(match["who"].replace("\u2019s", "").replace("'s", ""))
    words = [word for word in words if word not in ("and", "und")]
    if all(map(is_clinical, words)) and any(map(_is_no_surname, words)):
        return True
    after = match.string[match.end() : match.end() + _NEAR]
    return bool(_METHOD.match(after)) and all(word.lower() in EPONYMS for word in words)


def names_nobody(match: re.Match[str]) -> bool:
    """Whether words in small letters hold no given name."""
    return not any(word in GIVEN_NAMES for word in _WORDY.findall(match["small"]))


_SCIENCE = any_case(
    r"\w{2,}(?:ology|ologist|[lctpns]ation|ension|graphy|opathy|omyopathy|trophy|trophic|otomy|plasty"
    r"|ectomy|ectasis|scopy|carditis|arteritis|vasculitis|stenosis|fibrosis|thrombosis|oidosis"
    r"|regurgitation|insufficiency|aneurysm|ischa?emia|tachycardia|effusion|function|section)"
)
_METHOD = re.compile(r" (?:rule|method|formula|equation|technique)\b")
_NEAR = 16  # characters that hold the word before
# Words of the list, words as science makes them, and abbreviations, which have no vowel.
_SAID_OF_MR = any_case(
    rf"(?:{'|'.join(sorted(AFTER_MR))}|\w+(?:tion|sion|graph(?:y|ie)|gram|scop(?:y|ie))s?"
    r"|[b-df-hj-np-tv-xz]+)"
)


NAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("name", re.compile(rf"(?P<keep>\b(?:Drs|Dr['\u2019]s)\b\.?\s){_LISTED}")),
    (
        "name",
        re.compile(
            rf"(?P<keep>\b{_TITLE}\b\.?(?:{SPACE}?(?:{_TITLE}|{_FACULTY})\b\.?){{0,6}}"
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
            rf"(?!(?i:the|an|our|this|your|A {_POSTS})\b)(?:{_CAPITAL_TITLE}\b\.? )?"
            rf"(?P<who>{_LISTED})"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>(?i:\b(?:patient(?:'s)? name|name of patient|patient|surname|first name"
            r"|last name|forename|name|radiologist|cardiologist|consultant|referrer|physician"
            r"|attending|reader|operator|radiographers?|tech(?:nologist|nician)?|author|signature"
            r"|(?:referring|ordering|requesting|reading|reporting) (?:md|do|dr|provider|clinician)"
            r"|request[eo]r|provider|fellow|resident|registrar|supervisor|pt"
            r"|signed|consultants|reporter|verified|approved|dictated|cc"
            r"|copy to|next of kin|gp|re)\s?:)\s*)"
            rf"(?!\[)(?:(?:{_TITLE}|{_CAPITAL_TITLE})\b\.? )?"
            rf"(?!{_OPENERS}\b|A (?:{_OPENERS}|{_POSTS})\b)(?P<who>{_LISTED})"
        ),
    ),
    # In small letters a name opens the line, or holds a given name.
    (
        "name",
        re.compile(
            r"(?P<keep>(?:(?m:^)|[|;.])[ \t]{0,8}(?i:name)\s?:[ \t]*)"
            r"(?!(?:not|none|unknown|withheld|removed|deleted|redacted|anonym\w*|see|as|the|no|n)\b)"
            rf"{_SMALL}(?:,? {_SMALL}){{0,2}}"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>\b(?i:patient|pt|re|cc)\s?:[ \t]*)"
            rf"(?P<small>{_SMALL},? {_SMALL}(?: {_SMALL})?)"
        ),
    ),
    ("name", re.compile(rf"(?P<keep>\b[Gg]ez\. ?){_PERSON}")),
    # Without a colon an initial tells a name from "Signed Copy".
    ("name", re.compile(rf"(?P<keep>\b(?:[Ss]igned|[Gg]ez\.) )(?={UPPER}[. -]){_PERSON}")),
    (
        "name",
        re.compile(
            r"(?P<keep>\b(?i:befundet (?:von|durch)|(?:befundet von|name des patienten"
            r"|arzt|\u00e4rztin|oberarzt|chefarzt|befunder"
            r"|unterschrift|radiologin?|m[\u00e9e]decin(?: r[\u00e9e]f[\u00e9e]rent)?|radiologue"
            r"|untersucher|zuweiser|\u00fcberweiser|nom|pr[\u00e9e]nom|m[\u00e9e]dico) ?:) *)"
            rf"(?!\[|{_NOTED}\b){_LISTED}"
        ),
    ),
    (
        "name",
        re.compile(
            rf"\b(?P<who>{_PERSON})(?:,? {_TITLE}\b\.?){{0,2}}"
            rf",? {_DEGREES}(?!\w)(?:,? {_DEGREES}(?!\w))*"
        ),
    ),
    (
        "name",
        re.compile(
            r"(?P<keep>(?i:\b(?:sincerely|regards|gr(?:\u00fc|ue)(?:\u00df|ss)en?),?)\s+)"
            rf"(?P<who>{_PERSON})"
        ),
    ),
)  # fmt: skip
