import math

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.join import join
from cmrjax.data.labels import read_labels
from cmrjax.data.report_table import read_reports
from tests.data.builders import beating, write_image

STUDIES = {"1.1": (("A0", "A1"), ("x",)), "1.2": (("A2",), ("y",)), "1.3": ((), ("z",))}


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
        "reports_ambiguous": 0,
        "report_rows_without_key": 1,
        "labels_without_study": 1,
        "labels_ambiguous": 0,
        "label_rows_without_key": 0,
    }


def test_rows_are_joined_by_whichever_key_they_have(tmp_path):
    head = "study_instance_uid,accession_number"
    reports, table, tasks = tables(
        tmp_path,
        f"{head},report\n1.2,,One.\n,A1,Two.\n,A0,Three.\n,,Lost.\n",
        f"{head},lvef,big\n1.1,A1,55,\n,A0,,1\n",
    )
    found, counts = join(STUDIES, reports=reports, table=table, tasks=tasks)
    assert [task.report for task in found] == ["Two.\n\nThree.", "One.", ""]
    assert found[0].labels == {"lvef": 55.0, "big": 1.0}
    assert counts["report_rows_without_key"] == 1
    assert counts["reports_without_study"] == 0


def test_labels_of_one_study_by_two_keys_must_agree(tmp_path):
    labels = "study_instance_uid,accession_number,lvef\n1.1,,55\n,A1,56\n"
    _, table, tasks = tables(tmp_path, "accession_number,report\nA1,x\n", labels)
    with pytest.raises(UserError, match="lvef differs between rows of one study: rows 2, 3"):
        join(STUDIES, reports=None, table=table, tasks=tasks)


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


def sharing(tmp_path, *people):
    """Studies that share an accession number, of the people with these ids."""
    studies = {}
    for i, patient in enumerate(people):
        path = tmp_path / f"{i}.dcm"
        write_image(
            path, pixels=beating(1)[0], PatientID=patient, PatientName="", AccessionNumber="A"
        )
        studies[f"1.{i}"] = (("A",), (str(path),))
    return studies


@pytest.mark.parametrize(
    ("people", "kept"),
    [
        (("P1", "P1"), True),
        (("P1", "P2"), False),
        (("P1", "P1", "P2"), False),
        (("", ""), False),  # nobody knows
        (("P1",) * 9, False),  # a placeholder
    ],
)
def test_a_number_shared_by_studies_is_of_one_patient_or_of_none(tmp_path, people, kept, capsys):
    reports, table, tasks = tables(
        tmp_path,
        "study_instance_uid,accession_number,report\n1.0,,Own.\n,A,SECRET.\n",
        "study_instance_uid,accession_number,lvef\n1.0,,55\n,A,55\n",
    )
    studies = sharing(tmp_path, *people)
    found, counts = join(studies, reports=reports, table=table, tasks=tasks)
    texts = [task.report for task in found]
    assert texts == (
        ["Own.\n\nSECRET."] + ["SECRET."] * (len(people) - 1)
        if kept
        else ["Own."] + [""] * (len(people) - 1)
    )
    assert (counts["reports_ambiguous"], counts["labels_ambiguous"]) == (not kept, not kept)
    assert (found[1].labels["lvef"] == 55) == kept
    # What the others' headers say is looked for, too.
    assert found[0].shared == (studies["1.1"][1] if kept else ())
    said = capsys.readouterr().err
    assert said.count("1 accession numbers may be of several people's studies") == 2 * (not kept)
    assert "SECRET" not in said


def test_zeros_that_are_missing_are_told(tmp_path, capsys):
    reports, _, _ = tables(
        tmp_path, "accession_number,report\n7,x\n12,y\n", "accession_number,n\n1,1\n"
    )
    studies = {"1.1": (("007",), ("x",)), "1.2": (("12",), ("y",))}
    _, counts = join(studies, reports=reports, table=None, tasks={})
    assert counts["reports_without_study"] == 1
    assert "--reports: 1 accession numbers would match with zeros" in capsys.readouterr().err


def test_one_id_of_people_who_differ_shares_no_report(tmp_path):
    studies = sharing(tmp_path, "P1", "P1")
    for i, name in enumerate(("Sample^Jo", "Doe^Al")):
        who = {"PatientID": "P1", "PatientName": name, "PatientBirthDate": "19500101"}
        write_image(tmp_path / f"{i}.dcm", pixels=beating(1)[0], **who)
    reports, _, _ = tables(
        tmp_path,
        "study_instance_uid,accession_number,report\n1.0,,x\n,A,y\n",
        "accession_number,n\nA,1\n",
    )
    found, counts = join(studies, reports=reports, table=None, tasks={})
    assert [task.report for task in found] == ["x", ""]
    assert counts["reports_ambiguous"] == 1
