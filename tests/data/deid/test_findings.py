"""Findings that look like somebody, beside somebody who looks like a finding."""

import time

import pytest

from cmrjax.data.deid.text import clean

SURVIVES = """
Pericardial cyst measuring 45x32x28mm in the right cardiophrenic angle.
FOV 340x270mm, matrix 256x256x12, aortic root 38x39x40mm, thrombus 14×9×12mm.
Genetics: MYH7 c.1988G>A; TTN c.100185delG and c.100185_100186dupAG.
L.V. Function is normal. R.V. Dilated. L. A. Volume is raised.
Reference values from U.K. Biobank were used.
As regards LV function, EF is preserved. As regards Aortic root, 38 mm.
Volumes by Simpson's method; analysis performed by Simpson's rule and by Teichholz formula.
Analysis performed by Simpson’s rule.
Patient: Hypertrophic cardiomyopathy, NYHA II. Patient: Hypertension, diabetes.
RE: Viability study. Re: MRI heart. Re: Hypertensive Cardiomyopathy.
Referred by Cardiology for viability; requested by Oncology. Reviewed by MDT.
Requested by Haematology and Neurology. Cardiologist: Heart Failure team.
Patient: Claustrophobic. Pt: Unable to lie flat. Tech: Limited by arrhythmia.
NT-proBNP 12500 Troponin 35. Ferritin: 10500 Normal.
""".strip().splitlines()


@pytest.mark.parametrize("text", SURVIVES)
def test_findings_come_through(text):
    found = clean(text)
    assert (found.text, found.counts) == (text, {})


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("As regards Kowalczyk, EF is preserved.", "Kowalczyk"),
        ("Kind regards, Kowalczyk", "Kowalczyk"),
        ("Performed by Kowalczyk's rule.", "Kowalczyk"),
        ("Performed by Simpson.", "Simpson"),
        ("Performed by Anna Simpson method.", "Anna"),
        ("Patient: Hyper, Anna.", "Hyper"),
        ("Patient: Heart Kowalczyk.", "Kowalczyk"),
        ("Referred by Cardiology Kowalczyk.", "Kowalczyk"),
        ("Referred by Radiology / Kowalczyk.", "Kowalczyk"),
        ("Referred by A Marino.", "Marino"),
        ("Reported by Reading", "Reading"),
        ("Patient: Root", "Root"),
        ("Patient: Ward", "Ward"),
        ("Signed: Heart and Tall", "Heart"),
        ("Seen with L.A. Root.", "Root"),
        ("RE: Kowalczyk, Anna", "Kowalczyk"),
        ("Lives in 12500 Troponin.", "12500"),
        ("Seen with L.V. Kowalski.", "Kowalski"),
        ("Seen with U.K. Marino.", "Marino"),
        ("Code 45X32X28AB9 was given.", "45X32"),
        ("Code 100185delG was given.", "100185"),
    ],
)
def test_what_is_no_finding_does_not(text, secret):
    assert secret not in clean(text).text


@pytest.mark.parametrize(
    "unit", ["L.V. ", "1x", "c.1del", "by Cardiology ", "re: A", "c.1", "BNP "]
)
def test_no_text_costs_more_than_its_length(unit):
    began = time.process_time()
    clean(unit * (24_000 // len(unit)))
    assert time.process_time() - began < 2
