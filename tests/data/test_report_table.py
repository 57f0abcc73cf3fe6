import json

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.report_table import combine, read_reports


def texts(path):
    return [row.cells["report"] for row in read_reports(path).rows]


def test_reports_are_one_column_or_one_a_section(tmp_path):
    (tmp_path / "a.csv").write_text("accession_number,Report,reader\n1,Normal.,X\n")
    assert texts(tmp_path / "a.csv") == ["Normal."]
    (tmp_path / "b.csv").write_text(
        "accession_number,Impression,findings,other\n1,DCM.,Dilated LV.,y\n"
    )
    assert texts(tmp_path / "b.csv") == ["FINDINGS: Dilated LV.\nIMPRESSION: DCM."]
    (tmp_path / "d.csv").write_text(
        "accession_number;Beurteilung;Arzt;Befund;Findings\n1;DCM.;Müller;LV weit.;Dilated.\n"
    )
    assert texts(tmp_path / "d.csv") == ["FINDINGS: LV weit.\nFINDINGS: Dilated.\nIMPRESSION: DCM."]
    (tmp_path / "c.csv").write_text("accession_number,note\n1,x\n")
    with pytest.raises(UserError, match="no column report"):
        read_reports(tmp_path / "c.csv")


def test_a_folder_is_read_by_its_names(tmp_path):
    (tmp_path / "A1.txt").write_text("Normal.")
    assert texts(tmp_path) == ["Normal."]


def test_a_report_may_be_an_object_of_sections(tmp_path):
    lines = [
        {"accession_number": "1", "report": {"Beurteilung": "DCM.", "Findings": ["A.", "B."]}},
        {"accession_number": "2", "report": "Normal.", "findings": "not asked for"},
        {"accession_number": "3", "report": {}},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert texts(path) == ["FINDINGS: A.\nB.\nIMPRESSION: DCM.", "Normal.", ""]


@pytest.mark.parametrize("report", [{"SECRET": "x"}, [{"findings": "x"}], {"findings": {"lv": 1}}])
def test_a_report_of_other_parts_is_refused(tmp_path, report):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"accession_number": "1", "report": report}))
    with pytest.raises(UserError, match="a report holds more than a text") as caught:
        read_reports(path)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("accession_number,report,report", "columns 2 and 3 have the same name"),
        ("accession_number,report,Report", "differ in capitals alone"),
    ],
)
def test_no_report_is_lost_behind_another(tmp_path, head, message):
    (tmp_path / "a.csv").write_text(f"{head}\n1,One.,Two.\n")
    with pytest.raises(UserError, match=message):
        read_reports(tmp_path / "a.csv")


def test_a_column_without_a_name_is_no_report(tmp_path):
    (tmp_path / "a.csv").write_text("accession_number,findings,\n1,Normal.,SECRET\n")
    assert texts(tmp_path / "a.csv") == ["FINDINGS: Normal."]


@pytest.mark.parametrize(
    ("texts", "text", "repeated", "empty"),
    [
        (["a b", "A  b"], "a b", 1, 0),
        (["Normal LV.", "Normal LV. No LGE."], "Normal LV. No LGE.", 1, 0),
        (["Final: DCM.", "Addendum: no LGE."], "Final: DCM.\n\nAddendum: no LGE.", 0, 0),
        (["x", "x", "x"], "x", 2, 0),
        ([" ", ""], "", 0, 2),
        ([], "", 0, 0),
    ],
)
def test_several_reports_become_one_text_that_says_everything_once(texts, text, repeated, empty):
    found, counts = combine(texts)
    assert found == text
    assert (counts["reports_repeated"], counts["reports_empty"]) == (repeated, empty)
    assert counts["studies_with_several_reports"] == text.count("\n\n")
