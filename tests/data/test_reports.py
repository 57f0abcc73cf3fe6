import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.reports import near_key, sections, sentences, split_sentences

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
    ("text", "expected"),
    [
        ("Wall of 3.5 cm.  No\n thrombus.", ["Wall of 3.5 cm.", "No thrombus."]),
        ("Discussed with Dr. Smith. Normal.", ["Discussed with Dr. Smith.", "Normal."]),
        ("- Dilated LV\n- No effusion", ["Dilated LV", "No effusion"]),
        ("Is it dilated? Yes!", ["Is it dilated?", "Yes!"]),
        ("", []),
        ("...", []),
    ],
)
def test_splitting(text, expected):
    assert split_sentences(text) == expected


def test_text_without_headings_is_findings():
    assert sections("Normal heart.") == {"findings": "Normal heart."}
    assert sections("A. Conclusion: B.")["impression"] == "B."


def test_a_finding_word_inside_a_sentence_is_no_heading():
    assert list(sections("Findings: The report: normal findings are seen.")) == ["findings"]


def test_near_key():
    assert near_key("LVEF is 55 %.") == near_key("lvef is 48.5%")
    assert near_key("No effusion.") != near_key("Effusion.")


@given(st.text(max_size=300))
def test_any_text_is_split_without_failure(text):
    assert all(s == " ".join(s.split()) for s in sentences(text))
    assert len(set(sentences(text))) == len(sentences(text))
    assert near_key(near_key(text)) == near_key(text)
