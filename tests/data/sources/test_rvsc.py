import numpy as np
import pytest

from cmrjax import cli
from cmrjax.data.masks import RV, RV_WALL, class_bits
from tests.data.sources.layouts import (
    ED,
    ES,
    FLAT,
    GAP,
    PHASES,
    RV_AT,
    SLICES,
    SPACING,
    by_case,
    heart,
    outline,
    prepare,
    radii,
    save_dicom,
    save_points,
    split_of,
)

# Where each patient's images and contours lie.
PATIENTS = {
    "P01": ("TrainingSet/patient01/P01dicom", "TrainingSet/patient01/P01contours-manual"),
    "P02": ("TrainingSet/patient02/P02dicom", "TrainingSet/patient02/P02contours-manual"),
    "P17": ("Test1Set/patient17/P17dicom", "Test1SetContours/P17contours-manual"),
    "P33": ("Test2Set/patient33/P33dicom", None),
}


def write_patient(images, drawn, name):
    """Files count from 0; the headers say neither series nor number, as after anonymisation."""
    save_dicom(
        images,
        heart()[0],
        lambda z, t: f"{name}-{z * PHASES + t:04d}.dcm",
        study=int(name[1:]),
        SeriesDescription="",
        InstanceNumber=1,
        SOPInstanceUID="1.2.3",
    )
    for z in range(SLICES - 1):
        for t in (ED, ES):
            if drawn and not (z == 0 and t == ES):
                stem = drawn / f"{name}-{z * PHASES + t:04d}"
                radius = radii(t / PHASES)[2]
                for kind, more in (("i", 0), ("o", 2)):
                    points = outline(RV_AT, radius + more)
                    save_points(stem.with_name(f"{stem.name}-{kind}contour-manual.txt"), points)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rvsc") / "RVSC"
    for name, (images, drawn) in PATIENTS.items():
        write_patient(folder / images, folder / drawn if drawn else None, name)
    (folder / "TrainingSet" / "patient01" / "P01list.txt").write_text(
        ".\\patient01\\P01contours-manual\\P01-0000-icontour-manual.txt\r\n"
    )
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    return prepare("rvsc", root, tmp_path_factory.mktemp("out") / "d", "--size", 40, "--frames", 8)


def test_every_patient_is_read_in_its_official_part(dataset):
    assert dataset.info["counts"]["patients"] == len(PATIENTS)
    assert dataset.info["rejected"] == {}
    assert [split_of(dataset, p) for p in ("P17", "P33")] == ["test", "test"]
    assert {split_of(dataset, p) for p in ("P01", "P02")} <= {"train", "val"}


def test_masks_are_the_right_ventricle_and_its_wall(dataset):
    records = by_case(dataset, list(PATIENTS))
    for name in ("P01", "P17"):
        assert [r["view"] for r in records[name]] == ["sax"] * SLICES
        assert np.flatnonzero(records[name][0]["mask_frames"]).tolist() == [ED]
        middle = records[name][2]
        both = class_bits([RV, RV_WALL])
        assert middle["mask_classes"].tolist() == [both, 0, 0, 0, both, 0, 0, 0]
        assert set(np.unique(middle["mask"])) == {0, RV, RV_WALL}
        assert np.median(middle["cine"][ED][middle["mask"][ED] == RV]) > 170
    assert not any(r["mask_frames"].any() for r in records["P33"])


def test_volumes_are_the_polygons_own(dataset):
    records = by_case(dataset, list(PATIENTS))
    labels = records["P17"][0]["labels"]
    pixel = SPACING[0] * SPACING[1]
    edv, esv = (
        np.pi * radii(t / PHASES)[2] ** 2 / FLAT * pixel * GAP * slices / 1000
        for t, slices in ((ED, SLICES - 1), (ES, SLICES - 2))
    )
    assert labels["rvedv_ml"] == pytest.approx(edv, rel=3e-3)
    assert labels["rvesv_ml"] == pytest.approx(esv, rel=3e-3)
    assert np.isnan(list(records["P33"][0]["labels"].values())).all()


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    words = ["--input", str(tmp_path), "--output", f"{tmp_path}-out"]
    assert cli.main(["prepare", "--source", "rvsc", *words]) == 2
    message = capsys.readouterr().err
    assert "TrainingSet" in message
    assert f"{tmp_path}/" not in message
