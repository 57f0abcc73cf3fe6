"""Patterns of UIDs, of phones, of numbers that tell people apart, and of ages over 89."""

import re

from cmrjax.data.deid.forms import DASH, SPACE, UNIT, any_case

_LABELS = (
    r"(?:mrn|m\.r\.n\.?|pid|uhid|ssn|nhs|chi|kvnr|nhc|dni|nie|ipp|accession|dob"
    r"|med(?:ical)? rec(?:ord)?|historia cl[i\u00ed]nica"
    r"|(?:patient|hosp(?:ital)?|study|exam|case|order|episode|encounter|visit|(?:medical )?record"
    r"|chart|unit|accession|nhs|account|insurance|policy|report|reference|requisition|req|acc|mr"
    r"|med(?:ical)? rec|social security|identity|passport|licen[cs]e|serial|device|gmc|npi)"
    r"\.?[ -]?(?:(?:id|no|nr|number|identifier|code)\b|#))"
)
# "Fallnummer", "Pat.-Nr.", "Patienten-ID".
_COMPOUND = (
    r"(?:[^\W\d_]{2,20}\.?-?(?:nummer|nr)|(?:fall|pat(?:ienten)?|akten|auftrags)\.?-?(?:id|no)"
    r"|(?:n\u00b0|n\u00ba|num[\u00e9e]ro) ?(?:de |du )?(?:dossier|patient|historia|expediente))"
)
_THEN = rf"(?:[ .]{{0,2}}\b(?:no|nr|number|id|is|was)\b){{0,2}}(?:[.:#=(\[]|{DASH}|\s){{0,5}}"
_LAST = r"(?!\s?(?:ms|segments?|years?|yrs?|y/?o|of|x|\u00d7|patients?|phases?|slices?)\b)"
# "123 4567": what follows in groups, unless a measure does.
_MORE = rf"(?:{SPACE}\d{{2,4}}(?![\w.,/]*\d){UNIT}{_LAST})*"
_VALUE = r"(?=[\w/-]*\d)[A-Z]{0,6}[-/]?\d(?:[\w/]|-(?=\w)|\.(?=\d))*+"
_CALL = (
    r"(?:tel(?:e(?:phon(?:e|o)?|fon[eo]?|fax)|\u00e9fono)?|t[e\u00e9]l(?:[e\u00e9]phone)?|tlfn?o?"
    r"|telefono|phone|fax|mob(?:ile|il)?|m[o\u00f3]vil|portable|cell|handy|durchwahl|piepser|dect"
    r"|ext(?:ension)?|bleep|pager|hotline)"
)
_OLD = r"(?:0?9\d|1[0-2]\d)"
_GAP = rf"(?:\s|{DASH}){{0,2}}"
_PERCENT = rf"(?!\s?(?:%|m[lm]\b)|[.,]?\d|{DASH}\d+\s?%)"

UIDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("uid", re.compile(r"\b\d+(?:\.\d+){5,}\b")),
    ("uid", re.compile(r"(?<![\d.])(?:2\.25|1\.2\.\d{3}|1\.3\.6\.1)(?:\.\d+)+")),
    # The look ahead is of the whole number, once: it starts where one does.
    ("uid", re.compile(r"(?<!\d)(?<!\d\.)(?=[\d.]*\d{8})\d+(?:\.\d+)+")),
)
DIGITS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "phone",
        any_case(
            rf"(?P<keep>\b{_CALL}\b\.?(?: no\b| number| nr\b)?(?:[.:#]|{DASH}|{SPACE}){{0,3}})"
            rf"\+?[\d(](?:[\d()./]|{DASH}|{SPACE}){{2,}}\d"
        ),
    ),
    ("phone", re.compile(rf"(?:\+|\b00)\d(?:[\d()./]|{DASH}|{SPACE}){{7,}}\d\b")),
    ("phone", re.compile(rf"\(?\b\d{{3}}\)?[ .-]\d{{3}}[ .-]\d{{4}}\b{UNIT}")),
    (
        "phone",
        re.compile(
            rf"\(?\b0\d{{2,5}}\)?(?:/|{DASH}|{SPACE}){{1,3}}\d{{3,4}}(?:{DASH}|{SPACE})?\d{{2,6}}\b"
        ),
    ),
    ("phone", re.compile(rf"(?<![\d.,])0\d(?:(?:[./]|{DASH}|{SPACE})\d{{2}}){{4}}\b{UNIT}")),
    # "950-1050" is a range: what begins with 0 is none, and what somebody calls.
    ("phone", re.compile(rf"(?<![\w.,/-])\d{{3}}{DASH}0\d{{3}}\b{UNIT}")),
    (
        "phone",
        any_case(
            rf"(?P<keep>\b(?:call|calls|dial|ring|rang|text|reached (?:at|on)|contact(?: no)?)[ :]"
            rf"{{1,2}})\d{{3}}{DASH}\d{{4}}\b{UNIT}"
        ),
    ),
    ("number", re.compile(rf"\b\d{{3}}{DASH}\d{{2}}{DASH}\d{{4}}\b")),
    ("number", any_case(rf"(?P<keep>\b{_LABELS}{_THEN}){_VALUE}{_MORE}")),
    (
        "number",
        any_case(
            rf"(?P<keep>\b{_COMPOUND}{_THEN})(?=(?:[A-Z/-]{{0,6}}\d){{3}}){_VALUE}{_MORE}"
        ),
    ),
    # "ID 32 mm" is an inner diameter, "acc 2" an acceleration, S/N a signal's: numbers there must
    # be long, and no range of a measure.
    (
        "number",
        any_case(
            r"(?P<keep>\b(?:id|acc|ref|reg|s/n|sn|fin|csn|har)\b[ .:#]{0,3})"
            rf"(?:[A-Z]{{1,6}}(?=(?:[/-]?\d){{4}})|[-/]?(?=\d{{4}}))[\w/-]++(?:\s?{DASH}\s?\d+)?+{UNIT}"
        ),
    ),
    ("number", re.compile(r"(?<![\w.,])[A-Z]{0,4}[-/]?\d{7,}(?![\w]*[.,]\d)\w{0,3}\b")),
    ("number", re.compile(r"(?<![\w.,-])[A-Z]{1,4}[-/]?\d{5,}[A-Z]?\b")),
    ("number", re.compile(rf"(?<![\w.,-])(?=(?:-?\d){{7}})\d{{2,4}}-\d{{2,6}}-\d{{2,6}}\b{UNIT}")),
    (
        "age",
        any_case(
            rf"\b{_OLD}(?={_GAP}(?:years?|yrs?|jahre?n?|j[\u00e4a]e?hrig\w*|ans|a\u00f1os|anni)\b"
            rf"|{_GAP}j\.|{_GAP}y(?:{_GAP}|[/.])\s?o\b|\s?y\b(?!\s?\d)"
            rf"|{_GAP}(?:male|female|man|woman|lady|gentleman)\b)"
        ),
    ),
    ("age", re.compile(rf"\b{_OLD}(?=[MF]\b)")),
    (
        "age",
        any_case(
            rf"(?P<keep>\b(?:aged?|alter|edad|\u00e2ge|\u00e2g\u00e9e? de)\b"
            rf"(?: ?/ ?(?:sex|gender))?[ :=(]{{1,3}}(?:of |is )?){_OLD}\b{_PERCENT}"
        ),
    ),
    ("age", any_case(r"(?P<keep>\bin (?:his|her|their) )(?:9\d|1[0-2]\d)(?:st|nd|rd|th)(?= year)")),
    ("age", any_case(rf"\b(?:ninety|(?:one|a) hundred)(?:{_GAP}\w{{3,9}})?(?={_GAP}year)")),
    ("age", any_case(r"\b(?:nonagen|centen)arians?\b")),
)  # fmt: skip
