import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.data.rows import read_rows
from cmrjax.data.tables import read_folder, read_table


def table(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_table(path, where="--labels")


def cells(found, accession):
    (row,) = (row for row in found.rows if row.accession == accession)
    return row.cells


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_spreadsheets_write_csv_in_many_ways(tmp_path, encoding, mark):
    text = f'Accession Number{mark}note\r\n1{mark}"Größe\nzwei"\r\n\r\n2{mark}NaN\r\n'
    found = table(tmp_path, text, encoding=encoding)
    assert found.keys == ("accession_number",)
    assert [row.cells["note"].split() for row in found.rows] == [["Größe", "zwei"], []]
    assert [(row.accession, row.number) for row in found.rows] == [("1", 2), ("2", 4)]
    assert found.decimal_commas == (mark != ",")


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
    first, second = (row.cells["report"] for row in found.rows)
    assert first == "Müller"
    assert second.endswith("M\ufffdller")
    said = capsys.readouterr().err
    assert said == (
        "cmrjax prepare: warning: --reports: not UTF-8 in 1 places, which are replaced\n"
    )


def test_windows_text_is_read_as_that(tmp_path, capsys):
    text = "accession_number,report\n1,Größe Ö» äöü – “fine”\n"
    found = table(tmp_path, text, encoding="cp1252")
    assert found.rows[0].cells["report"] == "Größe Ö» äöü – “fine”"
    assert capsys.readouterr().err == ""


def test_json_lines(tmp_path):
    lines = [
        {"StudyInstanceUID": "1.2", "report": ["One.", "Two."], "n": 3},
        {"StudyInstanceUID": "1.2", "report": "Three.", "n": None},
        {"report": "of nobody"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    found = table(tmp_path, text, "t.jsonl")
    assert [row.study_uid for row in found.rows] == ["1.2", "1.2"]
    assert [row.cells["report"] for row in found.rows] == ["One.\nTwo.", "Three."]
    assert [row.cells["n"] for row in found.rows] == ["3", ""]
    assert found.unkeyed == 1


def test_a_folder_of_texts(tmp_path):
    for name in ("A1.txt", "A1_2.txt", "B-2.txt", "C/first.txt", "C/second.txt", "A1.pdf"):
        path = tmp_path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = read_folder(tmp_path / "r", column="report", where="--reports")
    assert found.keys == ("accession_number",)
    assert [(row.accession, row.cells["report"]) for row in found.rows] == [
        ("A1", "A1.txt"),
        ("A1", "A1_2.txt"),
        ("B-2", "B-2.txt"),  # there is no B that this could be a second text of
        ("C", "C/first.txt"),
        ("C", "C/second.txt"),
    ]
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "1.2.840.1.txt").write_text("x")
    (tmp_path / "u" / "1.2.840.1_2.txt").write_text("y")
    found = read_folder(tmp_path / "u", column="report", where="--reports")
    assert {(row.study_uid, row.accession) for row in found.rows} == {("1.2.840.1", "")}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "no rows"),
        ("t.csv", "a,b\nSECRET,2\n", "no column study_instance_uid or accession_number"),
        ("t.xlsx", "PK\3\4\0\0SECRET", "is no text; a spreadsheet"),
        ("t.csv", "study_instance_uid,a\n", "no rows"),
        ("t.csv", "study_instance_uid,a\n,SECRET\n", "no row has a study_instance_uid$"),
        ("t.jsonl", '{"accession_number": "SECRET"}\nSECRET\n', "line 2 is no JSON object"),
        ("t.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("t.jsonl", '{"accession_number": "1"}\n' + '{"a":' * 5000 + "1", "line 2 is nested too"),
        ("t.jsonl", '{"accession_number": ' + "[" * 3000 + "]" * 3000 + "}", "line 1 is nested"),
        ("t.jsonl", '{"SECRET": 1, "SECRET": 2}\n', "line 1 has two entries of the same name"),
        (
            "t.jsonl",
            '{"StudyInstanceUID": "SECRET", "study_instance_uid": "SECRET"}\n',
            "line 1 has two entries of the same name",
        ),
        ("t.csv", "SECRET,accession_number,SECRET\n1,2,3\n", "columns 1 and 3 have the same"),
        ("t.csv", "accession_number,Accession Number\n1,2\n", "columns 1 and 2 have the same"),
        (
            "t.csv",
            "accession_number,report\n1,fine, heart of SECRET, normal\n",
            "row 2 has 4 cells, the header has 2",
        ),
        (
            "t.csv",
            "accession_number;report\n1;fine;;\n2;fine; SECRET;;\n",
            "row 3 has 3 cells, the header has 2",
        ),
    ],
)
def test_wrong_tables_are_refused_without_quoting_them(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, text, name)
    assert "SECRET" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


OPEN = "row 3 has a quote that is not closed"
INSIDE = "row 3 has a cell with other rows in it"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{2},"open SECRET', "{3},text", "{4},text"], OPEN),
        (['{2},"open SECRET', '{3},"text"', "{4},text"], OPEN),  # the next quote closes it
        (['{2},"closed" SECRET', "{3},text"], OPEN),
        (['{2},"open SECRET', '{3},a mass of 2"', "{4},text"], INSIDE),
        (['{2},"open SECRET', "{3},text, and text", '{4},of 2"'], INSIDE),
    ],
)
@pytest.mark.parametrize("key", ["1.2.826.0.{}", "A{}", "ACC-1000{}", "10044{}"])
@pytest.mark.parametrize("mark", [",", ";"])
def test_a_quote_never_takes_other_rows_into_a_cell(tmp_path, rows, message, key, mark):
    keys = [key.format(i) for i in range(6)]
    name = "study_instance_uid" if "." in key else "accession_number"
    lines = [f"{name},report", "{1},first", *rows, "{3},more", "{5},last"]
    text = "\n".join(lines).replace(",", mark).format(*keys)
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, text)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_quote_never_takes_other_rows_where_the_key_stands_last(tmp_path):
    text = 'report,accession_number\nfirst,A10001\n"open, SECRET,A10002\nmore,A10003\n2",A10004\n'
    with pytest.raises(UserError, match="row 3 has a cell with other rows in it"):
        table(tmp_path, text)


def test_lines_of_a_report_are_no_rows(tmp_path):
    report = "Findings: LV, RV\n1, 2 and 3: normal\n2,5 cm\nA10002, compared with A10001\n12, 7"
    text = f'accession_number,report\nA10002,"{report}"\n1,"one"\n2,said ""so""\n'
    found = table(tmp_path, text)
    assert cells(found, "A10002")["report"] == report
    assert cells(found, "2")["report"] == 'said ""so""'


def test_half_a_character_of_json_is_replaced(tmp_path):
    text = '{"accession_number": "1", "report": ["a \\ud83d b", "\\ud83d\\ude00"], "\\udc00": 1}'
    found = table(tmp_path, text, "t.jsonl")
    assert cells(found, "1")["report"] == "a \ufffd b\n\U0001f600"
    assert found.columns == ("report", "\ufffd")


def test_control_characters_are_no_text(tmp_path):
    found = table(tmp_path, "accession_number,a\x1b[2J\n1,x\x1b]0;y\x07z\x9b\ttab\n")
    assert (found.columns, cells(found, "1")["a [2J"]) == (("a [2J",), "x ]0;y z \ttab")
    found = table(tmp_path, '{"accession_number": "1", "a": "\\u001b[1m\\u0000"}', "t.jsonl")
    assert cells(found, "1")["a"] == "[1m"
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "A1.txt").write_text("one\x0ctwo\nthree")
    found = read_folder(tmp_path / "r", column="report", where="--reports")
    assert cells(found, "A1")["report"] == "one two\nthree"


def test_columns_without_a_name_may_be_many_and_are_left_out(tmp_path):
    found = table(tmp_path, "accession_number,n,,\n1,2,x,y\n")
    assert found.columns == ("n",)
    assert [dict(row.cells) for row in found.rows] == [{"n": "2"}]


def test_empty_cells_beyond_the_header_are_nothing(tmp_path):
    found = table(tmp_path, "accession_number,n\n1,2,, \n3\n")
    assert [dict(row.cells) for row in found.rows] == [{"n": "2"}, {}]


def test_an_object_within_a_row_has_columns_of_its_own(tmp_path):
    row = {"accession_number": "1", "a": {"b": {"c": 1}, "d": None}, "e": [{"f": 1}], "g": {}}
    found = table(tmp_path, json.dumps(row), "t.jsonl")
    assert [dict(row.cells) for row in found.rows] == [{"a.b.c": "1", "a.d": "", "e[]": ""}]


STUDIES = {"1.1": ("A1", "A2"), "1.2": ("B", ""), "1.3": ("B",), "1.4": ()}


def match(tmp_path, lines, studies, one_patient):
    head = "study_instance_uid,accession_number,n\n"
    found = table(tmp_path, head + "\n".join(lines) + "\n").matched(studies, lambda _: one_patient)
    return {uid: [row.cells["n"] for row in rows] for uid, rows in found.rows.items()}, found


def of_studies(tmp_path, lines):
    cells, found = match(tmp_path, lines, STUDIES, one_patient=True)
    return cells, found.lost


def test_a_row_is_matched_by_either_key(tmp_path):
    lines = ["1.4,,a", ",A1,b", ",A2,c", ",B,d", "1.2,B,e", "1.1,B,f", ",C,g", ",,h"]
    found, lost = of_studies(tmp_path, lines)
    assert found == {"1.1": ["b", "c", "f"], "1.2": ["d", "e"], "1.3": ["d"], "1.4": ["a"]}
    assert lost == 1
    # A study that is not here may share its accession number with one that is.
    assert of_studies(tmp_path, ["1.4,,a", "9.9,A1,b"]) == ({"1.4": ["a"]}, 1)
    # Where no uid is known they were replaced.
    assert of_studies(tmp_path, ["9.9,A1,a", "9.8,C,b"]) == ({"1.1": ["a"]}, 1)


def test_a_number_of_several_peoples_studies_decides_nothing(tmp_path):
    lines = [",B,a", ",A1,b", "1.2,B,c"]
    cells, found = match(tmp_path, lines, STUDIES, one_patient=False)
    assert cells == {"1.1": ["b"], "1.2": ["c"]}
    assert (found.lost, found.ambiguous, found.shared) == (0, 1, {})
    cells, found = match(tmp_path, lines, STUDIES, one_patient=True)
    assert cells == {"1.1": ["b"], "1.2": ["a", "c"], "1.3": ["a"]}
    assert (found.ambiguous, found.shared) == (0, {"1.2": ("1.3",), "1.3": ("1.2",)})


def test_numbers_that_a_spreadsheet_took_zeros_from(tmp_path):
    studies = {"1.1": ("0001234",), "1.2": ("1234",), "1.3": ("0077",), "1.4": ("0A", "A")}
    lines = [",1234,a", ",0001234,b", ",77,c", ",A,d", "1.2,1234,e", ",9,f", ",00,g"]
    cells, found = match(tmp_path, lines, studies, one_patient=True)
    assert cells == {"1.2": ["e"], "1.4": ["d"]}
    assert (found.lost, found.ambiguous, found.stripped) == (3, 2, 1)


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


def test_files_of_either_key_lie_in_one_folder(tmp_path):
    uid = "2.25.71999574126284235090325191817643906363"
    for name in (f"{uid}.txt", "1.2.840.113619.2.txt", "0012.TXT", "note.txt"):
        (tmp_path / name).write_text(name)
    found = read_folder(tmp_path, column="report", where="--reports")
    assert [(row.study_uid, row.accession) for row in found.rows] == [
        ("", "0012"),
        ("1.2.840.113619.2", ""),
        (uid, ""),
        ("", "note"),
    ]
