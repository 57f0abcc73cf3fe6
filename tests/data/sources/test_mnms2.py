import numpy as np
import pytest

from cmrjax import cli
from cmrjax.data.masks import LV, RV
from cmrjax.data.sources import mnms2
from tests.data.sources.layouts import (
    ED,
    ES,
    SLICES,
    by_case,
    heart,
    prepare,
    renumber,
    save_stack,
    split_of,
    volume_ml,
    write_table,
)

SUBJECTS = {"001": "NOR", "071": "HCM", "161": "TRI", "230": "FALL"}


def write_subject(folder, *, swapped=False, half_turn=False):
    """A subject's ten files; the long axis is one slice."""
    images, masks = heart()
    theirs = renumber(masks, mnms2.CLASSES)
    odd = {"swapped": swapped, "half_turn": half_turn}
    for name, slices in (("SA", slice(None)), ("LA", slice(2, 3))):
        stem = folder / f"{folder.name}_{name}"
        save_stack(stem.with_name(f"{stem.name}_CINE.nii.gz"), images[slices], **odd)
        for phase, t in (("ED", ED), ("ES", ES)):
            save_stack(stem.with_name(f"{stem.name}_{phase}.nii.gz"), images[slices, t], **odd)
            save_stack(stem.with_name(f"{stem.name}_{phase}_gt.nii.gz"), theirs[slices, t], **odd)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mnms2") / "MnM2"
    for i, code in enumerate(SUBJECTS):
        write_subject(folder / "dataset" / code, swapped=i == 1, half_turn=i == 2)
    rows = [
        {
            "SUBJECT_CODE": int(code),
            "DISEASE": disease,
            "VENDOR": "Philips Medical Systems",
            "SCANNER": "Achieva",
            "FIELD": 1.5,
        }
        for code, disease in SUBJECTS.items()
    ]
    write_table(folder / "dataset_information.csv", [*rows, *[dict.fromkeys(rows[0], "")] * 50])
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    return prepare("mnms2", root, tmp_path_factory.mktemp("out") / "d", "--size", 32, "--frames", 8)


def test_every_subject_is_read_in_its_official_part(dataset):
    assert dataset.info["rejected"] == {}
    assert [split_of(dataset, code) for code in SUBJECTS] == ["train", "train", "val", "test"]


def test_both_views_have_masks_in_the_frames_that_hold_the_same_pixels(dataset):
    for code, records in by_case(dataset, list(SUBJECTS)).items():
        assert [r["view"] for r in records] == ["4ch", *["sax"] * SLICES], code
        for record in (records[0], records[3]):
            assert np.flatnonzero(record["mask_frames"]).tolist() == [ED, ES]
            cavity = record["mask"][ED] == LV
            assert cavity.sum() > (record["mask"][ES] == LV).sum() > 0
            assert np.median(record["cine"][ED][cavity]) > 240
            # Mended and turned back: the right ventricle is on the left of every image.
            across = [np.nonzero(record["mask"][ED] == c)[1].mean() for c in (RV, LV)]
            assert across[0] < across[1]


def test_labels_come_from_the_table_and_the_short_axis(dataset):
    labels = by_case(dataset, ["071"])["071"][-1]["labels"]
    masks = heart()[1]
    assert mnms2.GROUPS[int(labels["group"])] == "HCM"
    assert (labels["hcm"], labels["lv"], labels["vendor"], labels["field_t"]) == (1, 0, 1, 1.5)
    assert labels["lvedv_ml"] == pytest.approx(volume_ml(masks[:, ED], LV), rel=1e-5)
    assert labels["rvedv_ml"] == pytest.approx(volume_ml(masks[:, ED], RV), rel=1e-5)


def test_a_broken_cine_costs_its_own_view_alone(root, tmp_path):
    for code in ("001", "002", "003"):
        write_subject(tmp_path / "in" / "dataset" / code)
    where = tmp_path / "in" / "dataset"
    (where / "001" / "001_SA_CINE.nii.gz").write_bytes(b"nothing")
    images, _ = heart(weak=0.5)
    save_stack(where / "002" / "002_LA_CINE.nii.gz", images[2:3] + 300)
    (where / "003" / "003_SA_ED_gt.nii.gz").unlink()
    write_table(
        tmp_path / "in" / "dataset_information.csv",
        [{"SUBJECT_CODE": code, "DISEASE": "NOR"} for code in (1, 3, 9)],
    )
    dataset = prepare("mnms2", tmp_path / "in", tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["rejected"] == {
        "mask.phase_not_found": 1,
        "series.bad_nifti": 1,
        "series.missing": 1,
        "study.missing": 1,
        "study.not_in_table": 1,
    }
    kept = by_case(dataset, ["001", "002", "003"])
    assert [r["view"] for r in kept["001"]] == ["4ch"]
    assert len(kept["002"]) == SLICES + 1
    pairs = prepare("mnms2", tmp_path / "in", tmp_path / "pairs", "--size", 16, "--frames", 2)
    assert pairs.info["rejected"].keys() == {
        "series.missing",
        "study.missing",
        "study.not_in_table",
    }
    assert by_case(pairs, ["001"])["001"][2]["mask_frames"].tolist() == [1, 1]


def test_a_view_without_its_cine_is_left_out_of_a_cycle(tmp_path, capsys):
    folder = tmp_path / "in" / "dataset"
    for code in ("001", "002"):
        write_subject(folder / code)
    (folder / "001" / "001_SA_CINE.nii.gz").unlink()
    images, _ = heart()
    save_stack(folder / "002" / "002_LA_CINE.nii.gz", images[2:3, [ED, ES]])
    rows = [{"SUBJECT_CODE": code, "DISEASE": "NOR"} for code in (1, 2)]
    write_table(tmp_path / "in" / "dataset_information.csv", rows)
    dataset = prepare("mnms2", tmp_path / "in", tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["rejected"] == {"series.no_4d": 2}
    kept = by_case(dataset, ["001", "002"])
    assert {code: {r["view"] for r in kept[code]} for code in kept} == {
        "001": {"4ch"},
        "002": {"sax"},
    }
    pairs = prepare("mnms2", tmp_path / "in", tmp_path / "pairs", "--size", 16, "--frames", 2)
    assert pairs.info["rejected"] == {}
    for path in folder.glob("*/*_CINE.nii.gz"):
        path.unlink()
    capsys.readouterr()
    words = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "none")]
    assert cli.main(["prepare", "--source", "mnms2", *words, "--workers", "1"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]  # after the progress
    assert "series.no_4d 4" in line
    assert "--frames 2" in line


def test_frames_are_found_by_their_pixels():
    cine = np.random.default_rng(0).integers(0, 900, (6, 5, 3, 9)).astype(np.int16)
    assert mnms2.find_frame(cine, cine[..., 4].astype(np.float64)) == 4
    assert mnms2.find_frame(cine, cine[..., 4] + 50) is None


def test_another_folder_says_what_it_should_be(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["--output", f"{tmp_path}-out", "--input", str(tmp_path / "empty")]
    assert cli.main(["prepare", "--source", "mnms2", *words]) == 2
    message = capsys.readouterr().err
    assert "dataset_information.csv" in message
    assert str(tmp_path) not in message
