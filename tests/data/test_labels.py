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
        (HEAD + "1,5,1,\n2,5,SECRET,\n", None, "column big is binary: wrong in row 3$"),
        (HEAD + "1,5,1,\n1,5,0,\n", None, "big differs between rows of one study: rows 2, 3"),
        (HEAD + "1,20190403,1,\n", None, "column lvef looks like an identifier or a date: row 2"),
        ("accession_number,patient_id\nA,7\n", None, "column patient_id is no label"),
        ("accession_number,Birth date\nA,1950\n", None, "column Birth date is no label"),
        ("accession_number,a/b\nA,1\n", None, "the name of label 1 cannot be used"),
        ("accession_number,Dr. Secret\nA,1\n", None, "the name of label 1 cannot be used"),
        (ROWS, "column,kind\nlvef,binary\n", "column lvef is binary: wrong in rows 2, 5"),
        (ROWS, "column,kind,classes\ngroup,multiclass,DCM;NOR\n", "multiclass: wrong in row 3$"),
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
