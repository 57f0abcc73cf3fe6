import tarfile

import numpy as np
import pytest

from cmrjax import cli
from cmrjax.data.masks import LV, MYOCARDIUM, class_bits
from cmrjax.data.sources import scd
from tests.data.sources.layouts import (
    ED,
    ES,
    FLAT,
    GAP,
    LV_AT,
    PHASES,
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
    write_table,
)

NUMBERED = {"SCD0000101": "SC-HF-I-1", "SCD0000501": "SC-HF-I-6", "SCD0004001": "SC-N-9"}


def write_case(images, drawn, *, series="0003", study=1):
    """A stack as DICOM, and its contours: both at ED, the inner one alone at ES."""
    save_dicom(
        images,
        heart()[0],
        lambda z, t: f"IM-{series}-{z * PHASES + t + 1:04d}.dcm",
        study=study,
        SeriesDescription="",
    )
    for z in range(SLICES - 1):
        for t in (ED, ES):
            wall, lv, _ = radii(t / PHASES)
            stem = f"IM-0001-{z * PHASES + t + 1:04d}"
            save_points(drawn / f"{stem}-icontour-manual.txt", outline(LV_AT, lv) + 0.5)
            if t == ED:
                save_points(drawn / f"{stem}-ocontour-manual.txt", outline(LV_AT, wall) + 0.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The Cardiac Atlas Project's tree, and one case as the challenge had it."""
    folder = tmp_path_factory.mktemp("scd") / "SCD"
    for i, (number, original) in enumerate(NUMBERED.items()):
        name, _, last = original.rpartition("-")
        write_case(
            folder / "SCD_IMAGES_01" / number / "CINESAX_300",
            folder / "SCD_ManualContours" / f"{name}-{int(last):02d}/contours-manual/IRCCI-expert",
            study=i,
        )
    write_case(
        folder / "challenge_training" / "SC-HYP-38" / "DICOM",
        folder / "TrainingDataContours" / "SC-HYP-38" / "contours-manual" / "IRCCI-expert",
        series="0001",
        study=9,
    )
    lost = folder / "SCD_ManualContours" / "SC-N-11" / "IM-0001-0001-icontour-manual.txt"
    save_points(lost, outline(LV_AT, 9))
    rows = [
        {"PatientID": n, "OriginalID": o, "Gender": "Female", "Age": 40, "Pathology": "x"}
        for n, o in NUMBERED.items()
    ]
    write_table(folder / "scd_patientdata.csv", rows)
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    return prepare("scd", root, tmp_path_factory.mktemp("out") / "d", "--size", 40, "--frames", 8)


CASES = [*NUMBERED.values(), "SC-HYP-38"]


def test_cases_are_known_by_their_original_id(dataset):
    assert dataset.info["counts"]["patients"] == len(CASES)
    assert dataset.info["rejected"] == {"study.without_images": 1}
    assert [split_of(dataset, case) for case in CASES] == ["train", "val", "test", "train"]
    groups = [records[0]["labels"]["group"] for records in by_case(dataset, CASES).values()]
    assert [scd.GROUPS[int(group)] for group in groups] == ["HF-I", "HF-I", "N", "HYP"]


def test_contours_become_masks_of_what_was_drawn(dataset):
    for records in by_case(dataset, CASES).values():
        assert [r["view"] for r in records] == ["sax"] * SLICES
        middle = records[2]
        both, cavity = class_bits([LV, MYOCARDIUM]), class_bits([LV])
        assert middle["mask_classes"].tolist() == [both, 0, 0, 0, cavity, 0, 0, 0]
        drawn = sum(bool(r["mask_frames"].any()) for r in records)
        assert drawn == SLICES - 1  # the slice without the heart is unknown, not empty
        inside = middle["cine"][ED][middle["mask"][ED] == LV]
        around = middle["cine"][ED][middle["mask"][ED] == MYOCARDIUM]
        assert np.median(inside) > 240
        assert np.median(around) < 100


def test_volumes_are_the_polygons_own(dataset):
    labels = by_case(dataset, CASES)["SC-HF-I-1"][0]["labels"]
    pixel = SPACING[0] * SPACING[1]
    wall, edv, esv = (
        np.pi * r**2 / FLAT * pixel * GAP * (SLICES - 1) / 1000
        for r in (radii(0)[0], radii(0)[1], radii(ES / PHASES)[1])
    )
    assert labels["lvedv_ml"] == pytest.approx(edv, rel=2e-3)
    assert labels["lvesv_ml"] == pytest.approx(esv, rel=2e-3)
    assert labels["lvef"] == pytest.approx(100 * (1 - esv / edv), abs=0.2)
    assert labels["lv_mass_g"] == pytest.approx(1.05 * (wall - edv), rel=5e-3)
    assert (labels["male"], labels["age"]) == (0, 40)


def test_odd_contours_are_counted_and_another_series_is_not_drawn_on(root, tmp_path):
    case = tmp_path / "in" / "SC-N-2"
    write_case(case / "DICOM", case / "contours-manual" / "IRCCI-expert")
    # A second series of the study, in which image 5 exists as well.
    save_dicom(
        case / "DICOM",
        heart()[0][:3, :6],
        lambda z, t: f"IM-0009-{z}{t}.dcm",
        series=2,
        SeriesDescription="cine 4ch",
    )
    drawn = case / "contours-manual" / "IRCCI-expert"
    (drawn / "IM-0001-0003-icontour-manual.txt").write_text("nothing")
    save_points(drawn / "IM-0001-0999-icontour-manual.txt", outline(LV_AT, 8))
    dataset = prepare("scd", tmp_path / "in", tmp_path / "d", "--size", 24, "--frames", 8)
    assert dataset.info["rejected"] == {"mask.bad_contour": 1, "mask.no_image": 1}
    for record in by_case(dataset, ["SC-N-2"])["SC-N-2"]:
        assert record["view"] == "sax" or not record["mask_frames"].any()


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    words = ["--input", str(tmp_path), "--output", f"{tmp_path}-out"]
    assert cli.main(["prepare", "--source", "scd", *words]) == 2
    message = capsys.readouterr().err
    assert "SCD_ManualContours" in message
    assert f"{tmp_path}/" not in message


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """The two complete real stacks with their contours, prepared."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("SCD0000101", "SCD0000301"):
        with tarfile.open(shared_data / "scd" / f"{name}.tar.xz") as archive:
            archive.extractall(folder / "in", filter="data")
    (folder / "in" / "link.csv").write_bytes((shared_data / "scd" / "link.csv").read_bytes())
    for path in (shared_data / "scd" / "contourfiles").rglob("*.txt"):
        copy = folder / "in" / path.relative_to(shared_data / "scd")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return prepare(
        "scd", folder / "in", folder / "d", "--size", 96, "--spacing", 1.5, "--frames", 20
    )


REAL = {"SC-HF-I-1": (191, 141, 0.26), "SC-HF-I-4": (230, 180, 0.22)}


def test_the_real_volumes_are_the_published_ones(real):
    for case, records in by_case(real, list(REAL)).items():
        edv, esv, ef = REAL[case]
        labels = records[0]["labels"]
        assert labels["lvedv_ml"] == pytest.approx(edv, abs=1)
        assert labels["lvesv_ml"] == pytest.approx(esv, abs=1)
        assert labels["lvef"] / 100 == pytest.approx(ef, abs=0.005)
    assert real.info["rejected"] == {}


def test_the_real_masks_lie_on_the_heart(real):
    """Their pixels give the volumes as well, and they hold the blood, which is bright."""
    for case, records in by_case(real, list(REAL)).items():
        drawn = [r for r in records if r["mask_frames"].any()]
        assert len(drawn) >= 9
        edv = sum(max((r["mask"] == LV).sum((1, 2))) * 1.5**2 * r["gap_mm"] / 1000 for r in drawn)
        assert edv == pytest.approx(REAL[case][0], rel=0.02)
        for r in drawn[1:-1]:  # valves at the base, trabeculae at the apex
            frame = int(np.argmax((r["mask"] == LV).sum((1, 2))))
            cavity, wall = (r["cine"][frame][r["mask"][frame] == c] for c in (LV, MYOCARDIUM))
            assert np.median(cavity) > 1.5 * np.median(wall), (case, r["slice_index"])
