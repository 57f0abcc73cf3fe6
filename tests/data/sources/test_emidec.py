import csv

import numpy as np
import pytest

from cmrjax import cli
from cmrjax.data.masks import INFARCT, LV, MYOCARDIUM, NO_REFLOW, class_bits
from cmrjax.data.sources import emidec
from tests.data.sources.layouts import (
    SLICES,
    by_case,
    heart,
    prepare,
    renumber,
    save_stack,
    split_of,
    volume_ml,
)

TEXT = "Case {}\r\n\r\nGap between slices\xa0: 8 mm\r\nSex\xa0: F\r\nAge : 70\r\nFEVG : 60\r\n"


def scarred():
    """One frame of the heart with a scar in its wall, and in the scar a spot without flow."""
    images, masks = heart()
    still, mask = images[:, 0], np.where(masks[:, 0] > 1, masks[:, 0], 0)
    mask[1:3, 10:14][mask[1:3, 10:14] == MYOCARDIUM] = INFARCT
    mask[2, 11, 28:31] = NO_REFLOW
    return still, mask


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emidec")
    train = folder / "emidec-dataset-1.0.1"
    still, mask = scarred()
    for name, scar in (("Case_P001", True), ("Case_N006", False), ("Case_P010", True)):
        drawn = mask if scar else np.where(mask > LV, MYOCARDIUM, mask)
        save_stack(train / name / "Images" / f"{name}.nii.gz", still)
        contours = train / name / "Contours" / f"{name}.nii.gz"
        save_stack(contours, renumber(drawn, emidec.CLASSES))
        text = TEXT.format(name[5:])
        (train / f"{name.replace('_', ' ')}.txt").write_bytes(text.encode("latin-1"))
    test = folder / "emidec-segmentation-testset-1.0.0" / "Case_101"
    save_stack(test / "images" / "Case_101.nii.gz", still)
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    return prepare("emidec", root, tmp_path_factory.mktemp("out") / "d", "--size", 48)


def test_the_images_are_stills_and_no_cine_view(dataset):
    assert dataset.info["imaging"] == "late enhancement"
    assert dataset.contract.frames == 1
    record = by_case(dataset, ["Case_P001"])["Case_P001"][2]
    assert record["view"] == "unknown"
    assert record["original_frames"] == 1
    assert record["cine"].shape == (1, 48, 48)


def test_masks_show_scar_in_the_wall(dataset):
    records = by_case(dataset, ["Case_P001"])["Case_P001"]
    assert len(records) == SLICES
    everything = class_bits((LV, MYOCARDIUM, INFARCT, NO_REFLOW))
    assert all(r["mask_classes"].tolist() == [everything] for r in records)
    assert set(np.unique(records[1]["mask"])) == {0, LV, MYOCARDIUM, INFARCT}


def test_labels(dataset):
    mask = scarred()[1]
    cases = by_case(dataset, ["Case_P001", "Case_N006", "Case_101"])
    sick, well, unseen = (records[0]["labels"] for records in cases.values())
    assert (sick["pathological"], sick["infarct"], sick["no_reflow"]) == (1, 1, 1)
    assert (well["pathological"], well["infarct"], well["no_reflow"]) == (0, 0, 0)
    assert (sick["male"], sick["age"], sick["echo_lvef"]) == (0, 70, 60)
    scar = volume_ml(mask, INFARCT) + volume_ml(mask, NO_REFLOW)
    assert sick["infarct_ml"] == pytest.approx(scar, rel=1e-5)
    assert sick["wall_ml"] == pytest.approx(scar + volume_ml(mask, MYOCARDIUM), rel=1e-5)
    assert np.isnan(list(unseen.values())).all()


def test_the_test_set_is_the_official_one(dataset):
    assert split_of(dataset, "Case_101") == "test"
    assert {split_of(dataset, name) for name in ("Case_P001", "Case_N006", "Case_P010")} <= {
        "train",
        "val",
    }


def test_a_cycle_of_stills_is_refused(root, tmp_path, capsys):
    words = ["--input", str(root), "--output", str(tmp_path / "d"), "--frames", "16"]
    assert cli.main(["prepare", "--source", "emidec", *words]) == 2
    assert "16 frames of late enhancement" in capsys.readouterr().err


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    (tmp_path / "Case_P001").mkdir()
    words = ["--input", str(tmp_path), "--output", f"{tmp_path}-out"]
    assert cli.main(["prepare", "--source", "emidec", *words]) == 2
    message = capsys.readouterr().err
    assert "Case_P001/Images" in message
    assert f"{tmp_path}/" not in message


def test_the_real_case_has_the_published_volumes(shared_data, tmp_path):
    folder = shared_data / "nifti_samples" / "emidec"
    with open(folder / "volume_emidec_GT.csv", newline="") as file:
        published = {row["patient_name"]: row for row in csv.DictReader(file)}["Case_P100"]
    dataset = prepare("emidec", folder, tmp_path / "d")
    labels = dataset[0]["labels"]
    assert len(dataset) == 7
    assert labels["wall_ml"] == pytest.approx(float(published["Volume_Myocardium"]), abs=0.01)
    assert labels["infarct_ml"] == pytest.approx(float(published["Volume_Infarction"]), abs=0.01)
    assert labels["no_reflow_ml"] == pytest.approx(float(published["Volume_No-Reflow"]), abs=0.01)
    assert (labels["pathological"], labels["male"], labels["age"]) == (1, 1, 65)
    assert labels["echo_lvef"] == 55
