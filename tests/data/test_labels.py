import math

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.labels import encode, infer_tasks, read_table, strata


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return read_table(path)


def test_kinds_are_inferred_from_the_values(tmp_path):
    found = table(
        tmp_path,
        "accession_number,a,b,c,empty\n1,0,55.5,DCM,\n2,1,,HCM,\n3,,60,DCM,\n4,1,nan,HCM,\n",
    )
    assert found.key == "accession_number"
    assert infer_tasks(found, "t") == {
        "a": {"kind": "binary"},
        "b": {"kind": "regression"},
        "c": {"kind": "multiclass", "classes": ["DCM", "HCM"]},
    }


def test_rows_become_numbers(tmp_path):
    found = table(tmp_path, "study_instance_uid,a,b,c\n1,0,55.5,x\n2,1,,y\n3,1,60,x\n4,1,61,x\n")
    tasks = infer_tasks(found, "t")
    assert tasks["b"] == {"kind": "regression"}
    assert encode(found.of("1", "")[0], tasks) == {"a": 0.0, "b": 55.5, "c": 0.0}
    assert math.isnan(encode(found.of("2", "")[0], tasks)["b"])
    assert all(math.isnan(v) for v in encode({}, tasks).values())
    assert found.of("9", "1") == ()


def test_free_text_is_no_label(tmp_path):
    rows = "".join(f"{i},name {i}\n" for i in range(10))
    with pytest.raises(UserError, match="not a label"):
        infer_tasks(table(tmp_path, "study_instance_uid,who\n" + rows), "t")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "study_instance_uid,a\n"])
def test_tables_without_key_or_rows_are_refused(tmp_path, text):
    with pytest.raises(UserError):
        table(tmp_path, text)


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
