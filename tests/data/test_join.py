import math

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.join import join
from cmrjax.data.labels import read_labels
from cmrjax.data.report_table import read_reports

STUDIES = {"1.1": ("A1", ("x",)), "1.2": ("A2", ("y",)), "1.3": ("", ("z",))}


def tables(tmp_path, reports, labels):
    (tmp_path / "r.csv").write_text(reports)
    (tmp_path / "l.csv").write_text(labels)
    return read_reports(tmp_path / "r.csv"), *read_labels(tmp_path / "l.csv", None)


def test_everything_finds_its_study_and_the_rest_is_counted(tmp_path):
    reports, table, tasks = tables(
        tmp_path,
        "accession_number,report\nA1,One.\nA1,Two.\nA1,One.\nA9,Nobody's.\n,Lost.\nA2,\n",
        "study_instance_uid,lvef,big\n1.2,55,\n1.2,,1\n7.7,60,0\n",
    )
    found, counts = join(STUDIES, reports=reports, table=table, tasks=tasks)
    assert [task.report for task in found] == ["One.\n\nTwo.", "", ""]
    assert found[1].labels == {"lvef": 55.0, "big": 1.0}
    assert all(math.isnan(v) for v in found[0].labels.values())
    assert dict(counts) == {
        "studies_with_report": 1,
        "studies_with_labels": 1,
        "reports_repeated": 1,
        "reports_empty": 1,
        "studies_with_several_reports": 1,
        "reports_without_study": 1,
        "report_rows_without_key": 1,
        "labels_without_study": 1,
        "label_rows_without_key": 0,
    }


def test_tables_of_other_studies_are_refused(tmp_path):
    reports, table, tasks = tables(
        tmp_path, "accession_number,report\nA9,x\n", "accession_number,lvef\nA9,5\n"
    )
    with pytest.raises(UserError, match="no report matches any of the 3 studies"):
        join(STUDIES, reports=reports, table=None, tasks={})
    with pytest.raises(UserError, match="no label matches"):
        join(STUDIES, reports=None, table=table, tasks=tasks)
    found, counts = join(STUDIES, reports=None, table=None, tasks={})
    assert len(found) == 3
    assert not +counts
