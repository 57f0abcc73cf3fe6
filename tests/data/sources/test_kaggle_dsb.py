import numpy as np
import pytest

from cmrjax import cli
from tests.data.sources.layouts import (
    SLICES,
    by_case,
    heart,
    prepare,
    save_dicom,
    split_of,
    write_table,
)

SPLITS = {"1": "train", "2": "train", "501": "validate", "701": "test"}


def write_study(folder):
    """A stack of which one slice was scanned twice, and two long axes; headers as anonymised."""
    images, _ = heart()
    planes = {"sax": [1.0, 0, 0, 0, 1, 0]}  # the long axes lie across
    views = [("sax", z, images[z : z + 1], z) for z in range(SLICES)]
    views.append(("sax", 40, images[2:3] // 2, 2))  # again, darker: the better one
    views += [("2ch", 21, images[2:3], 2), ("4ch", 15, images[2:3], 2)]
    for view, number, stack, place in views:
        save_dicom(
            folder / f"{view}_{number}",
            stack,
            lambda _, t: f"IM-4562-{t + 1:04d}.dcm",
            # The same identifiers in every series and every patient.
            SeriesDescription="",
            SOPInstanceUID="1.2.3",
            PatientID="anonymous",
            ImagePositionPatient=lambda _, t, place=place: [0.0, 0.0, 8.0 * place],
            ImageOrientationPatient=planes.get(view, [0.0, 1, 0, 0, 0, -1]),
        )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dsb") / "second-annual-data-science-bowl"
    for case, part in SPLITS.items():
        write_study(folder / part / part / case / "study")
    (folder / "train" / "train" / "1" / "study" / "notes").mkdir()
    (folder / "test" / "test" / "701" / "study" / "sax_1" / "IM-4562-0009.dcm").write_bytes(b"no")
    volumes = {"Id": 1, "Systole": 60.5, "Diastole": 150.0}
    write_table(folder / "train.csv", [volumes])
    write_table(folder / "validate.csv", [{**volumes, "Id": 501, "Systole": 75.0}])
    rows = [("701_Diastole", 200.0), ("701_Systole", 120.0)]
    write_table(folder / "solution.csv", [{"Id": i, "Volume": v, "Usage": "x"} for i, v in rows])
    write_table(folder / "sample_submission_test.csv", [{"Id": "701_Diastole", "P0": 0.0}])
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    words = ("--size", 24, "--frames", 8)
    return prepare("kaggle_dsb", root, tmp_path_factory.mktemp("out") / "d", *words)


def test_every_case_is_its_own_patient_in_its_official_part(dataset):
    assert dataset.info["counts"]["patients"] == len(SPLITS)
    assert [split_of(dataset, case) for case in SPLITS] == ["train", "train", "val", "test"]
    assert not dataset.contract.masks


def test_folders_name_the_views_and_the_last_scan_of_a_slice_stays(dataset):
    records = by_case(dataset, list(SPLITS))["1"]
    assert [r["view"] for r in records] == ["2ch", "4ch", *["sax"] * SLICES]
    sax = records[2:]
    assert [r["slice_index"] for r in sax] == list(range(SLICES))
    assert {float(r["gap_mm"]) for r in sax} == {8.0}
    assert sax[2]["intensity_window"][1] < 0.6 * sax[1]["intensity_window"][1]
    assert dataset.info["rejected"] == {"cine.repeated": len(SPLITS), "file.not_dicom": 1}


def test_volumes_are_labels(dataset):
    records = by_case(dataset, list(SPLITS))
    labels = {case: rows[0]["labels"] for case, rows in records.items()}
    assert labels["1"]["lvedv_ml"] == 150
    assert labels["1"]["lvesv_ml"] == 60.5
    assert labels["1"]["lvef"] == pytest.approx(100 * (1 - 60.5 / 150))
    assert labels["501"]["lvef"] == pytest.approx(50)
    assert labels["701"]["lvef"] == pytest.approx(40)
    assert np.isnan(list(labels["2"].values())).all()


def test_a_part_alone_is_its_own_dataset(root, tmp_path):
    dataset = prepare("kaggle_dsb", root / "train", tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["counts"]["patients"] == 2


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    words = ["--input", str(tmp_path), "--output", f"{tmp_path}-out"]
    assert cli.main(["prepare", "--source", "kaggle_dsb", *words]) == 2
    message = capsys.readouterr().err
    assert "train/train/1/study" in message
    assert f"{tmp_path}/" not in message
