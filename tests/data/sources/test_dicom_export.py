"""Which files of an export are looked at, and whose they are."""

import os
import shutil
import zipfile

import pytest

from cmrjax.data.deid.ids import public_hasher
from cmrjax.data.sources.dicom_export import group_studies, list_files, process, scan_files
from cmrjax.data.study import Settings, StudyTask
from tests.data.builders import contract, write_cine


def test_every_file_is_listed_once_and_links_are_counted_not_followed(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "a.dcm").write_bytes(b"1")
    (tmp_path / "b" / "deep" / "c").write_bytes(b"2")
    (tmp_path / "b" / "link.dcm").symlink_to(tmp_path / "a.dcm")
    (tmp_path / "b" / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "b" / "round").symlink_to(tmp_path)  # a folder again: counted, not followed
    paths, left_out = list_files(tmp_path)
    assert paths == [str(tmp_path / "a.dcm"), str(tmp_path / "b" / "deep" / "c")]
    assert left_out == {"file.link": 2, "folder.link": 1}
    assert list_files(tmp_path / "a.dcm") == ([str(tmp_path / "a.dcm")], {})


def prepared(folder):
    hasher = public_hasher("dicom")
    settings = Settings(contract(), (), hasher)
    paths = tuple(sorted(str(p) for p in folder.rglob("*") if p.is_file()))
    return process(StudyTask("1.2.826.1", paths, "", {}), settings)


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        ({"PatientID": "P2", "PatientName": "Sample^Jo"}, False),
        ({"PatientID": "P2"}, True),  # one person, by name and birth date
        ({"PatientID": "P2", "PatientBirthDate": ""}, False),
        ({"PatientID": "removed"}, True),
        ({"PatientID": "removed", "PatientName": "Sample^Jo"}, False),
        ({"StudyDate": "20200101"}, True),
        ({"IssuerOfPatientID": "H", "PatientBirthDate": ""}, True),
        ({"PatientID": "P2", "IssuerOfPatientID": "H", "PatientBirthDate": ""}, False),
    ],
)
def test_a_study_of_several_patients_is_left_out(tmp_path, other, kept):
    who = {"PatientID": "P1", "PatientBirthDate": "19510314"}
    write_cine(tmp_path / "a", **who)
    write_cine(tmp_path / "b", series=2, SeriesDescription="cine 4ch", **{**who, **other})
    result = prepared(tmp_path)
    assert bool(result.records) == kept
    assert result.rejected.get("study.several_patients", 0) == (not kept)


def test_a_report_of_two_studies_is_searched_for_what_either_says(tmp_path):
    who = {"PatientID": "P1", "PatientName": "Sample^Jo"}
    write_cine(tmp_path / "a", **who, OperatorsName="Kowalczyk^Ewa")
    write_cine(tmp_path / "b", **who, OperatorsName="Zielinski^Piotr")
    files = [tuple(sorted(map(str, (tmp_path / n).rglob("*.dcm")))) for n in "ab"]
    settings = Settings(contract(), (), public_hasher("dicom"))
    text = "Seen with Kowalczyk, then Zielinski; DCM."
    task = StudyTask("1.2.826.1", files[0], text, {}, shared=files[1])
    (record, *_) = process(task, settings).records
    assert b"Seen with [name], then [name]; DCM." in record.payload


def test_a_studys_own_uids_are_no_part_of_its_report(tmp_path):
    write_cine(tmp_path / "a")
    paths = tuple(sorted(map(str, (tmp_path / "a").rglob("*.dcm"))))
    task = StudyTask("2.25.4242424242", paths, "Of 2.25.4242424242: DCM.", {})
    (record, *_) = process(task, Settings(contract(), (), public_hasher("dicom"))).records
    assert b"Of [uid]: DCM." in record.payload


def test_files_that_are_there_twice_are_counted(tmp_path):
    write_cine(tmp_path / "a", phases=8)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    result = prepared(tmp_path)
    assert len(result.records) == 1
    assert result.rejected == {"file.repeated": 8}


def test_an_archive_of_any_name_is_looked_into(tmp_path):
    write_cine(tmp_path / "scans", phases=8)
    name = os.fsencode(tmp_path) + b"/M\xfcller.zip"  # Latin-1, no UTF-8
    with zipfile.ZipFile(name.decode("utf-8", "surrogateescape"), "w") as archive:
        for path in sorted((tmp_path / "scans").rglob("*.dcm")):
            archive.write(path, path.name)
    found, left_out = scan_files([os.fsdecode(name)], scratch=str(tmp_path / "scratch"))
    assert (len(found), left_out) == (8, {})


def test_a_study_keeps_all_its_accession_numbers():
    found = [("1.2", "A2", "b"), ("1.2", "", "c"), ("1.2", "A1", "a"), ("1.1", "", "d")]
    assert group_studies(found) == {"1.1": ((), ("d",)), "1.2": (("A1", "A2"), ("a", "b", "c"))}
