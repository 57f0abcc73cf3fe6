"""Patterns of phones, of numbers that tell people apart, and of ages over 89."""

import re

from cmrjax.data.deid.forms import UNIT, any_case

UIDS: tuple[tuple[str, re.Pattern[str]], ...] = (("uid", re.compile(r"\b\d+(?:\.\d+){5,}\b")),)
DIGITS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "phone",
        any_case(
            r"(?P<keep>\b(?:tel(?:ephone)?|phone|fax|mobile|cell|ext(?:ension)?|bleep|pager|hotline)\b"
            r"(?: no| number)?[ .:#]{0,3})\+?[\d(][\d ()./-]{2,}\d"
        ),
    ),
    ("phone", re.compile(r"(?:\+|\b00)\d[\d ()./-]{7,}\d\b")),
    ("phone", re.compile(rf"\(?\b\d{{3}}\)?[ .-]\d{{3}}[ .-]\d{{4}}\b{UNIT}")),
    ("phone", re.compile(r"\(?\b0\d{2,5}\)?[ /-]{1,3}\d{3,4}[ -]?\d{2,6}\b")),
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    (
        "number",
        any_case(
            r"(?P<keep>\b(?:mrn|m\.r\.n\.|pid|uhid|ssn|nhs|chi|"
            r"(?:patient|hospital|study|exam|case|order|episode|visit|record|chart|unit|accession|nhs"
            r"|account|insurance|report|reference|social security|identity|passport)"
            r"[ -]?(?:id|no|nr|number|identifier|code|#)|accession|dob)"
            r"\b(?: no| number| id)?[ .:#]{0,3})(?=[\w/-]*\d)[A-Z]{0,6}[-/]?\d[\w/-]*"
        ),
    ),
    # "ID 32 mm" is an inner diameter and "acc 2" an acceleration: numbers there must be long.
    ("number", any_case(r"(?P<keep>\b(?:id|acc|ref|reg)\b[ .:#]{0,3})[A-Z]{0,6}[-/]?\d{4}[\w/-]*")),
    ("number", re.compile(r"(?<![\w.,])[A-Z]{0,4}[-/]?\d{7,}(?![\w]*[.,]\d)\w{0,3}\b")),
    ("number", re.compile(r"(?<![\w.,-])[A-Z]{1,4}[-/]?\d{5,}[A-Z]?\b")),
    ("number", re.compile(rf"(?<![\w.,-])(?=(?:-?\d){{7}})\d{{2,4}}-\d{{2,6}}-\d{{2,6}}\b{UNIT}")),
    (
        "age",
        any_case(r"\b(?:9\d|1[0-2]\d)(?=[ -]?(?:years?|yrs?)[ -]?old\b|[ -]?y[/.]?o\b|-year-old)"),
    ),
    (
        "age",
        any_case(r"(?P<keep>\b(?:aged?|age:)[ :]{1,2}(?:of )?)"
                 r"(?:9\d|1[0-2]\d)\b(?!\s?(?:%|m[lm]))"),
    ),
)  # fmt: skip
