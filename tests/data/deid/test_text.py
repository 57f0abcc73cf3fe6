import pytest

from cmrjax.data.deid.text import scrub


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Compared with 03/04/2019.", "2019"),
        ("Scan of 2019-04-03 reviewed.", "2019"),
        ("Seen on 3rd of April 2019.", "April"),
        ("Since March 2018.", "2018"),
        ("Call +49 171 1234567.", "1234567"),
        ("Tel. 555-123-4567.", "4567"),
        ("MRN: 00123-A.", "00123"),
        ("Accession no AB12345.", "12345"),
        ("Referred by: J. Doe", "Doe"),
        ("Discussed with Dr. Miller-Young.", "Miller"),
        ("Mrs Smith has a murmur.", "Smith"),
        ("mail to a.b@clinic.org", "clinic"),
        ("UID 1.2.840.113619.2.55.3", "113619"),
        ("at 14:35 pm", "14:35"),
    ],
)
def test_patterns(text, secret):
    out, counts = scrub(text)
    assert secret not in out
    assert sum(counts.values()) >= 1


def test_what_the_headers_know_is_found_in_any_case():
    out, counts = scrub("ERIKA Testperson, born in Testdorf.", ["Testperson^Erika", "Testdorf"])
    assert out == "[id] [id], born in [id]."
    assert counts == {"header": 3}


@pytest.mark.parametrize(
    "text",
    [
        "LVEF 55.5 %, EDV 180 ml, wall 1.6 cm, 5/17 segments akinetic.",
        "Septum 12.5 mm; T1 1020 ms; HR 62 bpm; 4 chamber view.",
        "The left ventricle may be dilated. March of findings.",
    ],
)
def test_findings_and_numbers_stay(text):
    assert scrub(text, ["Left^Heart", "12", "Hospital of the Heart"]) == (text, {})
