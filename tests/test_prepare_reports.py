"""`prepare` with reports and labels in each form that it takes."""

import csv
import json

import pytest

from cmrjax import prepare
from cmrjax.core.errors import UserError
from cmrjax.data.records import RecordSource, studies
from tests.data.builders import write_cine

TEXTS = {
    "A1": ["Findings: LVEF 41 %.", "Addendum: no LGE.", "Findings:  LVEF 41 %."],
    "A2": ["Findings: Erika Testperson, LVEF 60 %."],
    "A9": ["Findings: of nobody."],
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for study in (1, 2, 3):
        write_cine(folder / f"d{study}", study=study)
    return folder


def run(scans, output, *flags):
    words = ["--source", "dicom", "--input", scans, "--output", output, "--public"]
    words += ["--workers", 1, "--size", 16, "--frames", 8, *flags]
    assert prepare.main([str(word) for word in words]) == 0
    return RecordSource(output)


def write_reports(form, folder):
    if form == "folder":
        for key, texts in TEXTS.items():
            for i, text in enumerate(texts, start=1):
                (folder / (f"{key}_{i}.txt" if i > 1 else f"{key}.txt")).write_text(text)
        return folder
    rows = [(key, text) for key, texts in TEXTS.items() for text in texts]
    if form == "jsonl":
        lines = [json.dumps({"AccessionNumber": key, "report": text}) for key, text in rows]
        (folder / "r.jsonl").write_text("\n".join(lines))
        return folder / "r.jsonl"
    with open(folder / "r.csv", "w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("accession_number", "report"), *rows])
    return folder / "r.csv"


@pytest.mark.parametrize("form", ["csv", "jsonl", "folder"])
def test_reports_in_any_form_give_the_same_texts_and_counts(scans, tmp_path, form):
    (tmp_path / "reports").mkdir()
    reports = write_reports(form, tmp_path / "reports")
    source = run(scans, tmp_path / "out", "--reports", reports)
    texts = sorted(source[study.rows[0]]["report"] for study in studies(source.index))
    assert texts == [
        "",
        "Findings: LVEF 41 %.\n\nAddendum: no LGE.",
        "Findings: [name], LVEF 60 %.",
    ]
    counts = source.info["counts"]
    assert counts["studies_with_report"] == 2
    assert counts["studies_without_report"] == 1
    assert counts["reports_without_study"] == 1
    assert counts["reports_repeated"] == 1
    assert counts["studies_with_several_reports"] == 1


def test_label_tasks_choose_and_rename_columns(scans, tmp_path):
    (tmp_path / "l.csv").write_text("accession_number,EF,reader\nA1,41,Jones\nA2,60,Smith\n")
    (tmp_path / "t.csv").write_text("column,task,kind\nEF,lvef,regression\n")
    flags = ["--labels", tmp_path / "l.csv", "--label-tasks", tmp_path / "t.csv"]
    source = run(scans, tmp_path / "out", *flags)
    assert source.info["label_tasks"] == {"lvef": {"kind": "regression"}}
    assert source[0]["labels"].keys() == {"lvef"}
    with pytest.raises(UserError, match="column reader holds texts"):
        run(scans, tmp_path / "other", "--labels", tmp_path / "l.csv")
    with pytest.raises(UserError, match="--label-tasks without --labels"):
        run(scans, tmp_path / "other", "--label-tasks", tmp_path / "t.csv")
