import math

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.labels import encode, read_labels, strata

HEAD = "study_instance_uid,lvef,big,group\n"
ROWS = HEAD + "1,55.5,1,DCM\n2,,0,HCM\n3,nan,,DCM\n4,60,yes,\n"


def read(tmp_path, text, tasks=None):
    (tmp_path / "l.csv").write_text(text)
    if tasks is not None:
        (tmp_path / "t.csv").write_text(tasks)
    return read_labels(tmp_path / "l.csv", None if tasks is None else tmp_path / "t.csv")


def test_kinds_are_inferred_from_the_numbers(tmp_path):
    table, tasks = read(
        tmp_path, "accession_number,a,b,empty\n1,0,55.5,\n2,1,,\n3,,60,\n4,no,nan,\n"
    )
    assert table.keys == ("accession_number",)
    assert tasks == {"a": {"kind": "binary"}, "b": {"kind": "regression"}}
    cells = [row.cells for row in table.rows]
    assert encode(cells[0], tasks) == {"a": 0.0, "b": 55.5}
    assert encode(cells[3], tasks)["a"] == 0.0
    assert math.isnan(encode(cells[1], tasks)["b"])
    assert all(math.isnan(v) for v in encode({}, tasks).values())


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_comma_is_a_point_where_it_parts_no_columns(tmp_path, mark):
    rows = "accession_number;lvef;gls;edv\n1;55,3;-18,5;,5\n2;60;+1,25;1.5\n"
    table, tasks = read(tmp_path, rows.replace(";", mark))
    assert [encode(row.cells, tasks) for row in table.rows] == [
        {"lvef": 55.3, "gls": -18.5, "edv": 0.5},
        {"lvef": 60.0, "gls": 1.25, "edv": 1.5},
    ]
    declared = 'column,kind,classes\nlvef,regression,\nedv,multiclass,",5;1.5"\n'
    table, tasks = read(tmp_path, rows.replace(";", mark), declared)
    assert encode(table.rows[0].cells, tasks) == {"lvef": 55.3, "edv": 0.0}


def test_what_spreadsheets_write_for_nothing_is_unknown(tmp_path):
    marks = ["", "NA", "n/a", "N/A", "#N/A", "-", ".", "NaN", "null", "?"]
    rows = "".join(f"{i},{mark},1\n" for i, mark in enumerate(marks, start=1))
    table, tasks = read(tmp_path, f"accession_number,lvef,big\n0,55,0\n{rows}")
    values = [encode(row.cells, tasks)["lvef"] for row in table.rows]
    assert values[0] == 55
    assert all(math.isnan(value) for value in values[1:])
    assert len(values) == 11


@pytest.mark.parametrize(
    "name",
    [
        "telephone", "phone number", "Phone", "home_phone", "phoneNumber", "patient name",
        "patientname",
        "PatientName", "name of reader", "surname", "Nachname", "id", "Patient-ID", "study id",
        "number", "No", "case no", "Record Number", "MRN", "birth", "date of birth", "birthdate",
        "Geburtsdatum", "scan date", "date of scan", "address", "home address", "e-mail",
        "work email", "fax no", "zip code", "zip", "post_code", "postcode", "SSN", "NHS number",
        "mobile phone",
    ],
)  # fmt: skip
def test_columns_of_who_somebody_is_are_no_labels(tmp_path, name):
    with pytest.raises(UserError, match=r"is no label|cannot be used"):
        read(tmp_path, f"accession_number,{name}\nA,7\n")


@pytest.mark.parametrize(
    "name",
    [
        "no reflow", "number of scars", "number_of_segments", "birth weight", "mobile thrombus",
        "LVIDd", "lvef", "EDV (ml)", "dated", "Update", "case_control", "ventricular mass",
        "T1 post contrast", "subject mass", "study 2 lvef", "idiopathic", "age", "cell volume",
        "phonemic",
    ],
)  # fmt: skip
def test_columns_of_hearts_are(tmp_path, name):
    _, tasks = read(tmp_path, f"accession_number,{name}\nA,7\n")
    assert list(tasks) == [name]


def test_a_second_table_maps_columns_to_tasks(tmp_path):
    declared = "column,task,kind,classes\ngroup,disease,multiclass,HCM; DCM\nlvef,,regression,\n"
    table, tasks = read(tmp_path, ROWS, declared)
    assert tasks == {
        "disease": {"kind": "multiclass", "classes": ["HCM", "DCM"]},
        "lvef": {"kind": "regression"},
    }
    assert encode(table.rows[0].cells, tasks) == {"disease": 1.0, "lvef": 55.5}
    assert math.isnan(encode(table.rows[3].cells, tasks)["disease"])


@pytest.mark.parametrize(
    ("text", "tasks", "message"),
    [
        (ROWS, None, "column group holds texts"),
        (HEAD + "1,5,1,\n2,SECRET,1,\n3,x%,1,\n", None, "lvef is regression: wrong in rows 3, 4"),
        (HEAD + "1,5,1,\n2,5,SECRET,\n", None, "column big is binary: wrong in row 3; give 0/1"),
        (
            'accession_number,lvef\n1,"55,3"\n2,60\n',
            None,
            "lvef is regression: wrong in row 2; numbers have a comma for their point",
        ),
        ('accession_number,lvef\n1,"55,3"\n', None, "lvef is wrong; numbers have a comma"),
        (HEAD + "1,5,1,\n2,6 %,1,\n", None, "wrong in row 3; give numbers alone, without units"),
        ("accession_number;a\n1;1.234,5\n2;3\n", None, "a is regression: wrong in row 2; give"),
        ("accession_number;a\n1;55,3\n2;1\n", "column,kind\na,binary\n", "binary: wrong in row 2"),
        (HEAD + "1,5,1,\n1,5,0,\n", None, "big differs between rows of one study: rows 2, 3"),
        (HEAD + "1,20190403,1,\n", None, "column lvef looks like an identifier or a date: row 2"),
        ("accession_number,patient_id\nA,7\n", None, "column patient_id is no label"),
        ("accession_number,Birth date\nA,1950\n", None, "column Birth date is no label"),
        ("accession_number,a/b\nA,1\n", None, "the name of label 1 cannot be used"),
        ("accession_number,Dr. Secret\nA,1\n", None, "the name of label 1 cannot be used"),
        (ROWS, "column,kind\nlvef,binary\n", "column lvef is binary: wrong in rows 2, 5"),
        (ROWS, "column,kind,classes\ngroup,multiclass,DCM;NOR\n", "wrong in row 3; list its"),
        (ROWS, "column,kind,classes\ngroup,multiclass,DCM\n", "row 2 needs classes"),
        (ROWS, "column,kind,classes\nlvef,regression,a;b\n", "row 2 needs classes"),
        (ROWS, "column,kind\nSECRET,binary\n", "row 2 names a column that the labels do not have"),
        (ROWS, "column,kind\nlvef,SECRET\n", "row 2 has a kind that is none of binary"),
        (ROWS, "column,kind\nlvef,regression\nlvef,regression\n", "row 3 repeats"),
        (ROWS, "column,kind,classes\ngroup,multiclass,Dr. Secret;b\n", "looks like an identifier"),
        (ROWS, "column,kind\n", "lists no task"),
    ],
)  # fmt: skip
def test_what_is_no_label_is_named_by_column_and_row_and_never_quoted(
    tmp_path, text, tasks, message
):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text, tasks)
    assert "SECRET" not in str(caught.value)
    assert "Secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strata_join_a_patients_studies():
    tasks = {"a": {"kind": "binary"}, "v": {"kind": "regression"}}
    labels = {
        "s1": {"a": 1.0, "v": 1.0},
        "s2": {"a": 0.0, "v": math.nan},
        "s3": {"a": 0.0, "v": 100.0},
    }
    found = strata(labels, tasks, {"s1": "p", "s2": "p", "s3": "q"})
    assert found["p"][0]
    assert not found["q"][0]
    assert found["p"][1:].sum() == 1
    np.testing.assert_array_equal(found["p"].shape, (5,))


def test_classes_alone_count_where_there_are_any():
    tasks = {"g": {"kind": "multiclass", "classes": ["x", "y"]}, "a": {"kind": "binary"}}
    found = strata({"s": {"g": 1.0, "a": 1.0}}, tasks, {"s": "p"})
    assert found["p"].tolist() == [False, True]
