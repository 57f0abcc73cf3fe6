"""Radiology reports as text: their sections, their sentences, and when two say the same."""

import re
from collections.abc import Sequence

# Headings as they are written, and the one name that each has here. What is not among them (LEFT
# VENTRICLE:, Valves:) is no new section: its text belongs to the one that it stands in.
_EXAM = r"(?:exam|examination|study|scan|test|referral|request|visit|mri|cmr)"
_ENGLISH = {
    "history": r"(?:(?:clinical|patient|relevant|past|cardiac|medical|past medical) )?history"
    r"|clinical (?:information|details|data|background|summary|context|note)|background",
    "indication": r"(?:clinical |study )?indications?|clinical question|question|referral question"
    rf"|(?:clinical )?reason for (?:the )?{_EXAM}|reason for referral",
    "technique": r"(?:imaging |scan |mri |cmr |scanning )?(?:technique|protocol|procedure|methods?)"
    rf"|sequences?|acquisition|(?:type of )?(?:{_EXAM})|procedure description",
    "comparison": r"comparisons?|(?:comparison|prior|previous) (?:study|studies|exams?|imaging"
    r"|examinations?)|priors?",
    "findings": r"(?:cardiac |imaging |image |mri? |cmr |cardiac mri? |key |main )?findings?"
    r"|results?|report|description|observations?|narrative|body of report",
    "impression": r"(?:final |overall |main )?(?:impressions?|conclusions?|summary|opinion"
    r"|interpretation|diagnos[ei]s|assessment)|in (?:summary|conclusion)|comments?",
    "recommendation": r"recommendations?|advice|management|suggestions?",
    "addendum": r"addend(?:um|a)|amendment|correction",
    "signature": r"(?:(?:electronically )?(?:signed|reported|dictated|verified|approved|read"
    r"|authori[sz]ed|reviewed|typed|transcribed)(?: electronically)? by|signature|radiologist"
    r"|cardiologist|consultant|reporting (?:doctor|physician)|disclaimer)",
}
# The same in German, French and Spanish. "Klinik" is where, too, and as a column nothing else.
_MRI = r"(?:(?:kardio|herz)[- ]?)?(?:mrt?|irm|rm)"
_FOREIGN = {
    "history": r"anamnese|vorgeschichte|klinische (?:angaben?|informationen|daten)"
    r"|ant[ée]c[ée]dents|histoire(?: de la maladie)?|renseignements cliniques|contexte clinique"
    r"|antecedentes(?: personales)?|historia(?: cl[ií]nica)?|datos cl[ií]nicos",
    "indication": r"(?:rechtfertigende )?indikation(?:sstellung)?|(?:klinische )?fragestellung"
    r"|zuweisungsgrund|(?:ü|ue)berweisungsgrund|motif(?: de l['\u2019]examen)?"
    r"|indication de l['\u2019]examen|indicaci[oó]n(?:es)?"
    r"|motivo(?: de(?: la| el|l)? (?:consulta|exploraci[oó]n|estudio))?",
    "technique": r"(?:untersuchungs|mrt?[- ]?)?(?:technik|protokoll)|untersuchung|methodik?"
    r"|sequenzen|technique d['\u2019]examen|protocole|t[ée]cnica|protocolo",
    "comparison": r"vergleich(?:suntersuchung(?:en)?|saufnahmen)?|voruntersuchung(?:en)?"
    r"|voraufnahmen|comparaison|examens? ant[ée]rieurs?|comparaci[oó]n|estudios? previos?",
    "findings": rf"(?:{_MRI}[- ]?)?befunde?|befund(?:text|bericht)|bericht|r[ée]sultats?"
    r"|constatations|compte[- ]rendu|hallazgos|resultados?|descripci[oó]n|informe",
    "impression": r"(?:zusammenfassende |abschlie(?:ß|ss)ende )?(?:gesamt)?beurteilung"
    r"|zusammenfassung|(?:haupt)?diagnosen?|ergebnis|fazit|synth[èe]se|en r[ée]sum[ée]|au total"
    r"|diagnostic|conclusi[oó]n(?:es)?|impresi[oó]n(?: diagn[oó]stica)?|resumen|diagn[oó]stico"
    r"|juicio (?:cl[ií]nico|diagn[oó]stico)",
    "recommendation": r"empfehlung(?:en)?|pro[cz]edere|recommandations?|conduite [àa] tenir"
    r"|recomendaci[oó]n(?:es)?",
    "addendum": r"nachtrag|erg[äa]nzung|korrektur|adenda",
    "signature": r"unterschrift|gezeichnet|befundet (?:von|durch)|befunder|m[ée]decin|firma(?:do)?"
    r"(?: por)?|radi[óo]log(?:ue|o|a|e|in)|arzt",
}
_HEADINGS = {name: f"{english}|{_FOREIGN[name]}" for name, english in _ENGLISH.items()}
SECTIONS = tuple(_HEADINGS)
_ANY = "|".join(_HEADINGS.values())
_HEADING = re.compile(
    r"(?:^|(?<=[.;\n]))[ \t]*(?:\d{1,2}[.)][ \t]*)?[*#_=]{0,4}[ \t]*(?:"
    + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _HEADINGS.items())
    + rf")(?:[ \t]*(?:/|&|,|and|und|et|y|e)[ \t]*(?:{_ANY}))?"
    + r"[ \t]*[*_]*[ \t]*(?::[*_]*|(?=\n)|(?<=\w)[ \t]+[-\u2013](?=\s))",
    re.IGNORECASE | re.MULTILINE,
)
# A full stop ends a sentence when white space and no lower-case letter follow, unless what stands
# before it is an abbreviation; "3.5 cm" has no white space after its point. A word may follow it
# at once ("effusion.No"), which "p.Arg502Trp" is not.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z])|\n{2,}|(?<=[a-z]{3}\.)(?=[A-Z][a-z]+\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:dr|prof|mr|mrs|ms|st|approx|ca|cf|vs|e\.g|i\.e|et al|resp|incl)\.$",
    re.IGNORECASE,
)
# These end sentences, too ("Thrombus: no."), but not before a number.
_BEFORE_NUMBER = re.compile(
    r"(?:^|[\s(])(?:nos?|nr|figs?|max|min|vol|segm?|ser|im|diam)\.$", re.IGNORECASE
)
_LONGEST = 16  # characters at a sentence's end that hold any of these
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*>\u2022\u2013\u00b7]|\(?\d{1,2}[.)])[ \t]+", re.MULTILINE)
_INLINE_MARK = re.compile(
    r"(?<=[.;:!?])(?<!(?i:fig|nos)\.)(?<!(?i:no|nr)\.)[ \t]+\(?\d{1,2}[.)][ \t]+(?=[A-Z])"
)
# A short line without a stop, and a capital after it: items of a list without marks.
_SHORT_LINE = re.compile(r"^([^\n]{1,59}[^\s.!?:;,\n])[ \t]*\n(?=[ \t]*[A-Z][a-z])", re.MULTILINE)
_BLANKS = re.compile(r"[ \t]+")  # long runs of them would cost the patterns above their time
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

_COLUMNS = {name: re.compile(rf"{name}|{_FOREIGN[name]}", re.IGNORECASE) for name in SECTIONS}


def section_of_column(column: str) -> str | None:
    """The section that a table's column is named after.

    An English name is taken to the letter, as a column `study` or `radiologist` is no text; so is
    that of a signature in every language.

    Example:
        >>> section_of_column('Findings'), section_of_column('Befund'), section_of_column('Arzt')
        ('findings', 'findings', None)
    """
    plain = " ".join(column.replace("_", " ").split())
    if plain.lower() in SECTIONS:
        return plain.lower()
    names = (name for name in SECTIONS if name != "signature")
    return next((name for name in names if _COLUMNS[name].fullmatch(plain)), None)


def sections(report: str) -> dict[str, str]:
    """Splits a report at its headings.

    Returns:
        Section name (one of `SECTIONS`) -> its text. Text before the first heading is 'findings'
        when no heading gives findings, otherwise 'history'; sections met twice are joined.

    Example:
        >>> sections('History: Dyspnoea. Findings: Normal LV.')
        {'history': 'Dyspnoea.', 'findings': 'Normal LV.'}
    """
    report = _BLANKS.sub(" ", report)
    marks = list(_HEADING.finditer(report))
    found: dict[str, str] = {}
    head = report[: marks[0].start()] if marks else report
    names = {mark.lastgroup for mark in marks}
    parts = [("history" if "findings" in names else "findings", head)]
    for i, mark in enumerate(marks):
        end = marks[i + 1].start() if i + 1 < len(marks) else len(report)
        parts.append((str(mark.lastgroup), report[mark.end() : end]))
    for name, text in parts:
        if text := text.strip():
            found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def split_sentences(text: str) -> list[str]:
    """Splits free text into sentences, white space collapsed, decimals and list marks minded.

    Example:
        >>> split_sentences('Wall of 3.5 cm. No effusion.')
        ['Wall of 3.5 cm.', 'No effusion.']
    """
    out: list[str] = []
    parted = _INLINE_MARK.sub("\n\n", _LIST_MARK.sub("\n\n", _BLANKS.sub(" ", text)))
    for piece in _SENTENCE_END.split(_SHORT_LINE.sub(r"\1\n\n", parted)):
        sentence = " ".join(piece.split())
        goes_on = out and (
            _ABBREVIATION.search(out[-1][-_LONGEST:])
            or (sentence[:1].isdigit() and _BEFORE_NUMBER.search(out[-1][-_LONGEST:]))
        )
        if goes_on:
            out[-1] = f"{out[-1]} {sentence}"
        elif re.search(r"\w", sentence):
            out.append(sentence)
    return out


def sentences(report: str, sections: Sequence[str] = ("findings", "impression")) -> list[str]:
    """The sentences of some sections of a report, each once, in order.

    Args:
        report: the report's text.
        sections: names of the sections to read, in this order.
    """
    found = _sections(report)
    listed = [s for name in sections for s in split_sentences(found.get(name, ""))]
    return list(dict.fromkeys(listed))


_sections = sections  # the argument above has the same name


def near_key(sentence: str) -> str:
    """A key that is equal for two wordings of one statement that differ in numbers or marks alone.

    Example:
        >>> near_key('LVEF is 55 %.') == near_key('LVEF is 48.5%')
        True
    """
    text = _NUMBER.sub("#", sentence.lower())
    return " ".join(re.sub(r"[^\w#]+", " ", text).replace("#", " # ").split())
