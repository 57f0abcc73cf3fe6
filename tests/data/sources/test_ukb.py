import zipfile

import pytest

from cmrjax import cli
from cmrjax.data.deid.ids import public_hasher
from cmrjax.data.sources import ukb
from tests.data.sources.layouts import SLICES, by_case, heart, prepare, save_dicom, write_table

VISITS = ("1234567_2", "1234567_3", "7654321_2")
COLUMNS = "filename,patientid,studyid,date,modality,series discription,seriesid"


def write_zip(path, scratch, *, spelling="cvs", lost=0):
    """A field's zip: files side by side, and the manifest with its unquoted dates."""
    images, _ = heart()
    short = "_20209_" in path.name
    series = [(f"CINE_segmented_SAX_b{z + 1}", z) for z in range(SLICES)] if short else []
    series += [("CINE_segmented_SAX_InlineVF", 2)] if short else []
    series += [] if short else [(f"CINE_segmented_LAX_{n}Ch", 2) for n in (2, 3, 4)]
    lines = [COLUMNS]
    for i, (name, z) in enumerate(series):
        where = scratch / path.stem / str(i)
        save_dicom(
            where,
            images[z : z + 1],
            lambda _, t, i=i: f"1.3.12.2.{i}.{t}.dcm",
            series=i + 1,
            study=1 + short,
            # Some headers lack what the manifest has.
            SeriesDescription="" if name.endswith("b1") else name,
            PatientID="someone else",
            ImagePositionPatient=lambda _, t, z=z: [0.0, 0.0, 10.0 * z],
            ImageOrientationPatient=[1.0, 0, 0, 0, 1, 0],
        )
        for file in sorted(where.iterdir()):
            lines.append(f"{file.name},someone else,1,Nov 3, 2015 10:11:12,MR,{name},{i}")
    lines += [
        f"lost{i}.dcm,x,1,Nov 3, 2015 10:11:12,MR,CINE_segmented_SAX_b1,0" for i in range(lost)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    packing = zipfile.ZIP_DEFLATED if short else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", packing) as archive:
        for file in sorted((scratch / path.stem).rglob("*.dcm")):
            archive.write(file, file.name)
        archive.writestr(f"manifest.{spelling}", "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Visits in folders a field, as some download tools make them."""
    folder, scratch = tmp_path_factory.mktemp("ukb"), tmp_path_factory.mktemp("scratch")
    for visit in VISITS:
        eid, _, instance = visit.partition("_")
        for field in ("20208", "20209"):
            spelling = "csv" if instance == "3" else "cvs"
            path = folder / "in" / field / f"{eid}_{field}_{instance}_0.zip"
            lost = 2 * (visit == VISITS[2] and field == "20209")
            write_zip(path, scratch, spelling=spelling, lost=lost)
    (folder / "in" / "20210").mkdir()
    (folder / "in" / "20210" / "1234567_20210_2_0.zip").write_bytes(b"another field")
    rows = [{"study_instance_uid": v, "hypertension": i % 2} for i, v in enumerate(VISITS)]
    write_table(folder / "labels.csv", [*rows, {"study_instance_uid": "1_2", "hypertension": 1}])
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    words = ("--size", 24, "--frames", 8, "--labels", root / "labels.csv")
    return prepare("ukb", root / "in", tmp_path_factory.mktemp("out") / "d", *words)


def test_a_visit_is_a_study_and_its_series_one_stack(dataset):
    assert dataset.info["counts"]["studies"] == 3
    assert dataset.info["counts"]["patients"] == 2
    for records in by_case(dataset, list(VISITS)).values():
        assert [r["view"] for r in records] == ["2ch", "3ch", "4ch", *["sax"] * SLICES]
        assert [r["slice_index"] for r in records[3:]] == list(range(SLICES))
        assert {float(r["gap_mm"]) for r in records[3:]} == {10.0}
    assert dataset.info["rejected"] == {"file.missing": 2, "file.scanner_result": 3 * 8}


def test_the_participant_is_the_patient_of_every_visit(dataset):
    records = by_case(dataset, list(VISITS))
    patients = [rows[0]["patient_id"] for rows in records.values()]
    assert patients[0] == patients[1] == public_hasher("ukb").id("patient", "1234567")
    assert patients[2] != patients[0]


def test_labels_are_the_users_own_by_visit(dataset):
    records = by_case(dataset, list(VISITS))
    assert [rows[0]["labels"]["hypertension"] for rows in records.values()] == [0, 1, 0]
    assert dataset.info["counts"]["labels_without_study"] == 1


def test_a_key_hides_the_participants(root, tmp_path):
    (tmp_path / "key").write_text("a secret of more than sixteen bytes")
    words = ("--size", 16, "--frames", 8, "--deid-key-file", tmp_path / "key")
    dataset = prepare("ukb", root / "in" / "20208", tmp_path / "d", *words)
    assert dataset[0]["patient_id"] != public_hasher("ukb").id("patient", "1234567")


def test_broken_and_hostile_zips_cost_themselves_alone(root, tmp_path):
    folder = tmp_path / "in"
    write_zip(folder / "11_20208_2_0.zip", tmp_path / "scratch")
    (folder / "11_20209_2_0.zip").write_bytes(b"PK nothing")
    (folder / "22_20209_2_0.zip").write_bytes((folder / "11_20208_2_0.zip").read_bytes()[:-900])
    with zipfile.ZipFile(folder / "33_20208_2_0.zip", "w") as archive:
        archive.writestr("../../escaped.dcm", b"x")
        archive.writestr("manifest.cvs", "nothing\n")
    dataset = prepare("ukb", folder, tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["counts"]["studies"] == 1
    assert dataset.info["rejected"]["archive.unreadable"] == 2
    assert dataset.info["rejected"]["study.no_cine"] == 2
    assert not list(tmp_path.rglob("escaped*"))
    assert len(list(folder.iterdir())) == 4  # nothing was unpacked beside the zips


def test_a_manifest_is_read_whatever_its_dates_look_like():
    lines = [COLUMNS, "a.dcm,1,1,Nov 3, 2015 10:11:12,MR,CINE_segmented_SAX_b1,2"]
    lines += ["b.dcm,1,1,2015-11-03,MR,CINE_segmented_LAX_2Ch,3", ",,,,,,", "c.dcm"]
    assert ukb.read_manifest("\r\n".join(lines).encode()) == {
        "a.dcm": "CINE_segmented_SAX_b1",
        "b.dcm": "CINE_segmented_LAX_2Ch",
        "c.dcm": "",
    }
    assert ukb.read_manifest(b"\xff\x00\n\n") == {}


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    words = ["--input", str(tmp_path), "--output", f"{tmp_path}-out"]
    assert cli.main(["prepare", "--source", "ukb", *words]) == 2
    message = capsys.readouterr().err
    assert "EID_20209_2_0.zip" in message
    assert f"{tmp_path}/" not in message
