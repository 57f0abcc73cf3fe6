import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.data.tables import read_folder, read_rows, read_table


def table(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_table(path, where="--labels")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_spreadsheets_write_csv_in_many_ways(tmp_path, encoding, mark):
    text = f'Accession Number{mark}note\r\n1{mark}"Größe\nzwei"\r\n\r\n2{mark}NaN\r\n'
    found = table(tmp_path, text, encoding=encoding)
    assert found.key == "accession_number"
    assert [row["note"].split() for row in found.of("", "1")] == [["Größe", "zwei"]]
    assert found.of("", "2")[0]["note"] == ""
    assert found.numbers == {"1": (2,), "2": (4,)}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "folder"])
def test_a_damaged_byte_costs_its_place_alone(tmp_path, name, capsys):
    broken = {
        "t.csv": "accession_number,report\n1,Müller\n2,M\0ller\n",
        "t.jsonl": '{"accession_number": "1", "report": "Müller"}\n'
        '{"accession_number": "2", "report": "M\0ller"}\n',
    }
    if name == "folder":
        (tmp_path / "1.txt").write_text("Müller", "utf-8")
        (tmp_path / "2.txt").write_bytes("Größe ".encode() + b"M\xfcller")
        found = read_folder(tmp_path, column="report", where="--reports")
    else:
        path = tmp_path / name
        path.write_bytes(broken[name].encode().replace(b"\0", b"\xfc"))
        found = read_table(path, where="--reports")
    assert found.of("", "1")[0]["report"] == "Müller"
    assert found.of("", "2")[0]["report"].endswith("M\ufffdller")
    said = capsys.readouterr().err
    assert said == (
        "cmrjax prepare: warning: --reports: not UTF-8 in 1 places, which are replaced\n"
    )


def test_windows_text_is_read_as_that(tmp_path, capsys):
    text = "accession_number,report\n1,Größe Ö» äöü – “fine”\n"
    found = table(tmp_path, text, encoding="cp1252")
    assert found.of("", "1")[0]["report"] == "Größe Ö» äöü – “fine”"
    assert capsys.readouterr().err == ""


def test_json_lines(tmp_path):
    lines = [
        {"StudyInstanceUID": "1.2", "report": ["One.", "Two."], "n": 3},
        {"StudyInstanceUID": "1.2", "report": "Three.", "n": None},
        {"report": "of nobody"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    found = table(tmp_path, text, "t.jsonl")
    assert [row["report"] for row in found.of("1.2", "")] == ["One.\nTwo.", "Three."]
    assert [row["n"] for row in found.of("1.2", "") if "n" in row] == ["3", ""]
    assert found.unkeyed == 1


def test_a_folder_of_texts(tmp_path):
    for name in ("A1.txt", "A1_2.txt", "B-2.txt", "C/first.txt", "C/second.txt", "A1.pdf"):
        path = tmp_path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = read_folder(tmp_path / "r", column="report", where="--reports")
    assert found.key == "accession_number"
    texts = {key: [row["report"] for row in rows] for key, rows in found.rows.items()}
    assert texts == {
        "A1": ["A1.txt", "A1_2.txt"],
        "B-2": ["B-2.txt"],  # there is no B that this could be a second text of
        "C": ["C/first.txt", "C/second.txt"],
    }
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "1.2.840.1.txt").write_text("x")
    (tmp_path / "u" / "1.2.840.1_2.txt").write_text("y")
    found = read_folder(tmp_path / "u", column="report", where="--reports")
    assert (found.key, list(found.rows)) == ("study_instance_uid", ["1.2.840.1"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "no rows"),
        ("t.csv", "a,b\nSECRET,2\n", "no column study_instance_uid or accession_number"),
        ("t.xlsx", "PK\3\4\0\0SECRET", "is no text; a spreadsheet"),
        ("t.csv", "study_instance_uid,a\n", "no rows"),
        ("t.csv", "study_instance_uid,a\n,SECRET\n", "no row has a study_instance_uid"),
        ("t.jsonl", '{"accession_number": "SECRET"}\nSECRET\n', "line 2 is no JSON object"),
        ("t.jsonl", "[1]\n", "line 1 is no JSON object"),
    ],
)
def test_wrong_tables_are_refused_without_quoting_them(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, text, name)
    assert "SECRET" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_missing_files_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "no.csv", where="--labels")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path, where="--labels")
    with pytest.raises(UserError, match=r"no \.txt file"):
        read_folder(tmp_path, column="report", where="--reports")


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200), st.sampled_from(["t.csv", "t.jsonl"]))
def test_any_bytes_are_rows_or_a_refusal(tmp_path_factory, data, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    try:
        rows = read_rows(path, where="--labels")
    except UserError:
        return
    assert all(isinstance(v, str) for _, row in rows for v in row.values())
