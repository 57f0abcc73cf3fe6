import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.report_table import combine, read_reports


def test_reports_are_one_column_or_one_a_section(tmp_path):
    (tmp_path / "a.csv").write_text("accession_number,Report,reader\n1,Normal.,X\n")
    assert read_reports(tmp_path / "a.csv").of("", "1") == ({"report": "Normal."},)
    (tmp_path / "b.csv").write_text(
        "accession_number,Impression,findings,other\n1,DCM.,Dilated LV.,y\n"
    )
    assert read_reports(tmp_path / "b.csv").of("", "1") == (
        {"report": "FINDINGS: Dilated LV.\nIMPRESSION: DCM."},
    )
    (tmp_path / "c.csv").write_text("accession_number,note\n1,x\n")
    with pytest.raises(UserError, match="no column report"):
        read_reports(tmp_path / "c.csv")


def test_a_folder_is_read_by_its_names(tmp_path):
    (tmp_path / "A1.txt").write_text("Normal.")
    assert read_reports(tmp_path).of("", "A1")[0]["report"] == "Normal."


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
