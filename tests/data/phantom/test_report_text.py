import re

import pytest

from cmrjax.data.phantom.dicom_writer import sample_identity
from cmrjax.data.phantom.findings import FINDINGS, truth
from cmrjax.data.phantom.report_text import write_report
from cmrjax.data.phantom.templates import BOTH_VENTRICLES_NORMAL, NORMAL_IMPRESSION, WORDINGS

PATIENTS = 300
MEANS = {"positive": 1, "impression": 1, "maybe": 1, "negative": 0, "maybe_not": 0}


SLOTS = {
    "degree": "mild|moderate|severe",
    "ly": "mildly|moderately|severely",
    "size": "small|moderate|large",
    "region": "[a-z ]+",
    "artery": "LAD|RCA|LCx",
}


def pattern(wording):
    """The wording with any filling of its slots."""
    parts = re.split(r"{(\w+)}", wording)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = (f"(?:{SLOTS.get(name.lower(), '[0-9]+')})" for name in parts[1::2])
    return re.compile("".join(parts), re.IGNORECASE)


PATTERNS = {
    finding: [(pattern(w), MEANS[kind]) for kind, ws in kinds.items() for w in ws]
    for finding, kinds in WORDINGS.items()
}


def said(sentence, finding):
    return {meaning for p, meaning in PATTERNS[finding] if p.fullmatch(sentence)}


@pytest.fixture(scope="module")
def population():
    patients = [truth(2, index) for index in range(PATIENTS)]
    return [(t, write_report(t)) for t in patients]


def sentences(report):
    body = report[report.index("FINDINGS:") :].replace("FINDINGS: ", "").replace("IMPRESSION: ", "")
    return [s for s in re.split(r"(?<=\.)\s+", body) if s]


def test_every_statement_agrees_with_the_label(population):
    for t, report in population:
        for sentence in sentences(report):
            for finding in WORDINGS:
                assert said(sentence, finding) <= {t.labels[finding]}, (sentence, finding)
            if sentence in NORMAL_IMPRESSION:
                assert t.labels["normal"]
            if sentence in BOTH_VENTRICLES_NORMAL:
                assert not t.labels["reduced_lvef"]


def test_findings_are_mentioned_mostly_and_denied_half_the_time(population):
    mentioned, present, denied, absent = 0, 0, 0, 0
    for t, report in population:
        for finding in WORDINGS:
            spoken = any(said(s, finding) for s in sentences(report))
            if t.labels[finding]:
                mentioned, present = mentioned + spoken, present + 1
            else:
                denied, absent = denied + spoken, absent + 1
    assert 0.80 < mentioned / present < 0.95
    assert 0.38 < denied / absent < 0.55


def test_wordings_vary_and_recur(population):
    for finding, kinds in WORDINGS.items():
        assert len(kinds["positive"]) >= 4, finding
        assert len(kinds["negative"]) >= 3, finding
    keys: dict[str, int] = {}
    for _, report in population:
        for sentence in set(sentences(report)):
            key = re.sub(r"\d+", "#", sentence)
            keys[key] = keys.get(key, 0) + 1
    total = sum(keys.values())
    alone = sum(count for count in keys.values() if count == 1)
    assert alone / total < 0.05
    assert len(keys) > 100


def test_reports_have_sections_and_no_identifiers(population):
    for t, report in population:
        assert report.index("TECHNIQUE:") < report.index("FINDINGS:") < report.index("IMPRESSION:")
        identity = sample_identity(t.seed, t.index)
        for word in (*identity.name.split("^"), identity.patient_id, identity.accession):
            assert word not in report
        assert "{" not in report
        assert "none" not in report


def test_findings_have_wordings():
    assert set(WORDINGS) == set(FINDINGS[1:])
