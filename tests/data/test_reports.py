import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.data.reports import (
    SECTIONS,
    near_key,
    section_of_column,
    sections,
    sentences,
    split_sentences,
)

REPORT = """HISTORY: Dyspnoea, ?cardiomyopathy.
FINDINGS: The septum measures 1.6 cm. No effusion. LVEF is 55.5 %.
IMPRESSION:
1. Normal LV.
2. No effusion.
"""


def test_sections_of_a_report():
    found = sections(REPORT)
    assert list(found) == ["history", "findings", "impression"]
    assert found["history"] == "Dyspnoea, ?cardiomyopathy."


def test_sentences_keep_decimals_and_come_once():
    assert sentences(REPORT) == [
        "The septum measures 1.6 cm.",
        "No effusion.",
        "LVEF is 55.5 %.",
        "Normal LV.",
    ]
    assert sentences(REPORT, sections=("impression",)) == ["Normal LV.", "No effusion."]


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Clinical history:", "history"),
        ("CLINICAL INFORMATION:", "history"),
        ("Background:", "history"),
        ("Clinical Indication:", "indication"),
        ("Reason for the examination:", "indication"),
        ("REASON FOR SCAN", "indication"),
        ("Indication/Clinical history:", "indication"),
        ("MRI technique:", "technique"),
        ("Scanning protocol:", "technique"),
        ("EXAM:", "technique"),
        ("Prior studies:", "comparison"),
        ("Cardiac findings:", "findings"),
        ("**Findings:**", "findings"),
        ("## Findings", "findings"),
        ("2. FINDINGS:", "findings"),
        ("Findings -", "findings"),
        ("Report:", "findings"),
        ("Conclusion and recommendation:", "impression"),
        ("Impression / Conclusion:", "impression"),
        ("IN SUMMARY:", "impression"),
        ("Final diagnosis:", "impression"),
        ("Opinion:", "impression"),
        ("Recommendations:", "recommendation"),
        ("ADDENDUM:", "addendum"),
        ("Electronically signed by:", "signature"),
        ("Disclaimer:", "signature"),
        ("Befund:", "findings"),
        ("MRT-Befund:", "findings"),
        ("BEFUNDE:", "findings"),
        ("Befund und Beurteilung:", "findings"),
        ("Beurteilung:", "impression"),
        ("Zusammenfassende Beurteilung:", "impression"),
        ("Zusammenfassung:", "impression"),
        ("Klinische Angaben:", "history"),
        ("Anamnese:", "history"),
        ("Rechtfertigende Indikation:", "indication"),
        ("Fragestellung:", "indication"),
        ("Technik:", "technique"),
        ("Untersuchungsprotokoll:", "technique"),
        ("Voruntersuchungen:", "comparison"),
        ("Empfehlung:", "recommendation"),
        ("Nachtrag:", "addendum"),
        ("Résultats :", "findings"),
        ("RÉSULTATS:", "findings"),
        ("Compte-rendu:", "findings"),
        ("Conclusion :", "impression"),
        ("Synthèse:", "impression"),
        ("Renseignements cliniques:", "history"),
        ("Motif de l'examen:", "indication"),
        ("Technique d\u2019examen:", "technique"),
        ("Hallazgos:", "findings"),
        ("Conclusión:", "impression"),
        ("CONCLUSIONES:", "impression"),
        ("Impresión diagnóstica:", "impression"),
        ("Antecedentes:", "history"),
        ("Motivo de la consulta:", "indication"),
        ("Técnica:", "technique"),
    ],
)
def test_headings_are_known_as_they_are_written(heading, name):
    found = sections(f"Some letterhead\n{heading} What is said here.\nComment: B.")
    if heading.endswith((":", "-")) or "**" in heading:
        assert found[name].split("\n")[0] == "What is said here."
    found = sections(f"Some letterhead\n{heading}\nWhat is said here.\n")
    assert found[name] == "What is said here."
    assert set(found) <= set(SECTIONS)


def test_a_german_report_has_sections():
    text = "Indikation: Dyspnoe. Befund: LV normal groß.\nKein Erguss.\n"
    text += "Beurteilung:\nUnauffällig."
    assert sections(text) == {
        "indication": "Dyspnoe.",
        "findings": "LV normal groß.\nKein Erguss.",
        "impression": "Unauffällig.",
    }
    assert sentences(text) == ["LV normal groß.", "Kein Erguss.", "Unauffällig."]


def test_a_german_sentence_is_no_heading():
    text = "Findings: Im Befund zeigt sich kein Erguss. Beurteilung der Klappen: normal."
    assert list(sections(text)) == ["findings"]
    assert list(sections("Findings: Klinik und Ergebnis - passend.")) == ["findings"]


@pytest.mark.parametrize(
    ("column", "section"),
    [
        ("findings", "findings"), ("Impression", "impression"), ("signature", "signature"),
        ("Befund", "findings"), ("BEURTEILUNG", "impression"), ("Klinische_Angaben", "history"),
        ("Résultats", "findings"), ("hallazgos", "findings"), ("Conclusión", "impression"),
        ("study", None), ("radiologist", None), ("Arzt", None), ("Unterschrift", None),
        ("comments", None), ("Befunder", None), ("Befund_Datum", None), ("", None),
        ("Klinik", None),
    ],
)  # fmt: skip
def test_columns_named_after_a_section(column, section):
    assert section_of_column(column) == section


def test_unknown_headings_stay_in_the_section_that_they_are_in():
    text = "FINDINGS:\nLEFT VENTRICLE: Normal size.\nValves:\nNo MR.\nIMPRESSION: Normal."
    assert sections(text) == {
        "findings": "LEFT VENTRICLE: Normal size.\nValves:\nNo MR.",
        "impression": "Normal.",
    }
    assert sections("LETTERHEAD: x\nFindings: Normal.")["history"] == "LETTERHEAD: x"


def test_what_is_signed_or_advised_is_no_finding():
    text = "Impression: DCM. Recommendations: Repeat in a year. Signed by: [name], [date]"
    assert sentences(text) == ["DCM."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wall of 3.5 cm.  No\n thrombus.", ["Wall of 3.5 cm.", "No thrombus."]),
        ("Discussed with Dr. Smith. Normal.", ["Discussed with Dr. Smith.", "Normal."]),
        ("- Dilated LV\n- No effusion", ["Dilated LV", "No effusion"]),
        ("1) Dilated LV\n2) No effusion", ["Dilated LV", "No effusion"]),
        ("1. Normal LV. 2. No effusion.", ["Normal LV.", "No effusion."]),
        ("EF 55. 2. No effusion.", ["EF 55.", "No effusion."]),
        ("Dilated LV\nNo effusion\n", ["Dilated LV", "No effusion"]),
        (
            "A long line that was wrapped where the page of the writer came to its end, left\n"
            "Ventricle included.",
            [
                "A long line that was wrapped where the page of the writer came to its end, left "
                "Ventricle included."
            ],
        ),
        ("Valves:\nNormal.", ["Valves: Normal."]),
        ("See fig. 3. Shunt: no. Mass: no.", ["See fig. 3.", "Shunt: no.", "Mass: no."]),
        ("Series no. 4, approx. 12 mm, e.g. RV.", ["Series no. 4, approx. 12 mm, e.g. RV."]),
        ("No effusion.No thrombus.", ["No effusion.", "No thrombus."]),
        ("p.Arg502Trp is known.", ["p.Arg502Trp is known."]),
        ("Is it dilated? Yes!", ["Is it dilated?", "Yes!"]),
        ("", []),
        ("...", []),
    ],
)  # fmt: skip
def test_splitting(text, expected):
    assert split_sentences(text) == expected


def test_text_without_headings_is_findings():
    assert sections("Normal heart.") == {"findings": "Normal heart."}
    assert sections("A. Conclusion: B.")["impression"] == "B."


def test_a_finding_word_inside_a_sentence_is_no_heading():
    assert list(sections("Findings: The report: normal findings are seen.")) == ["findings"]
    assert list(sections("Findings: Follow-up of the scan - normal.")) == ["findings"]


def test_near_key():
    assert near_key("LVEF is 55 %.") == near_key("lvef is 48.5%")
    assert near_key("No effusion.") != near_key("Effusion.")


@pytest.mark.parametrize(
    "unit", ["Dr. ", " ", "A. ", "#", "* ", "\n", "1. ", "Findings ", "Befund ", "und "]
)
def test_no_text_costs_more_than_its_length(unit):
    began = time.process_time()
    sentences(unit * (24_000 // len(unit)))
    assert time.process_time() - began < 2  # quadratic patterns take minutes


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=300))
def test_any_text_is_split_without_failure(text):
    assert all(s == " ".join(s.split()) for s in sentences(text))
    assert len(set(sentences(text))) == len(sentences(text))
    assert near_key(near_key(text)) == near_key(text)
