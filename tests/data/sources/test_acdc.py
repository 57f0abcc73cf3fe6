import csv
import gzip

import nibabel as nib
import numpy as np
import pytest

from cmrjax import cli
from cmrjax import prepare as command
from cmrjax.data.deid.ids import public_hasher
from cmrjax.data.records import RecordSource
from cmrjax.data.reports import sections, sentences
from cmrjax.data.sources import acdc
from cmrjax.data.sources.acdc_text import write_report
from cmrjax.data.study import Settings, _features
from cmrjax.reporting.reasons import meaning
from tests.data.builders import contract
from tests.data.sources.layouts import by_case, heart, prepare, save_stack, split_of


def write_patient(folder, *, group="DCM", es_radius=6):
    """A ball of an LV in a shell of muscle, 1.5 x 1.25 mm pixels, 8 mm slices."""
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text(f"ED: 1\nES: 9\nGroup: {group}\n")
    x, y, z = np.indices((48, 40, 5))
    for frame, radius in ((1, 9), (9, es_radius)):
        away = np.hypot(x - 30, y - 18)
        mask = np.where(away < radius, 3, np.where(away < 12, 2, 0)) * (z > 0)
        mask[3:8, 3:8] = 1
        for name, data in (("", mask * 100), ("_gt", mask)):
            image = nib.Nifti1Image(data.astype(np.int16), np.diag([1.25, 1.5, 8.0, 1.0]))
            nib.save(image, folder / f"{folder.name}_frame{frame:02d}{name}.nii.gz")


def settings(**changes):
    fixed = contract(size=32, frames=2, masks=True, **changes)
    return Settings(fixed, tuple(sorted(acdc.TASKS)), public_hasher("acdc"))


def test_slices_masks_and_labels_of_a_patient(tmp_path):
    write_patient(tmp_path / "patient007")
    result = acdc.process(acdc.plan(tmp_path).studies[0], settings())
    features = _features(settings().contract, settings().tasks)
    records = [features.deserialize_example_np(r.payload) for r in result.records]
    assert len(records) == 5
    first, middle = records[0], records[2]
    np.testing.assert_allclose(middle["original_spacing_mm"], [1.5, 1.25])
    assert middle["original_size"].tolist() == [40, 48]
    assert middle["gap_mm"] == 8.0
    assert middle["mask_frames"].tolist() == [1, 1]
    assert first["mask_frames"].tolist() == [
        1,
        1,
    ]  # looked at and found empty, which is not unknown
    assert not (first["mask"] >= 2).any()
    assert set(np.unique(middle["mask"])) >= {0, 2, 3}
    # The mask lies on its own image, and the heart in the middle of the crop.
    rows, columns = np.nonzero(middle["mask"][0] >= 2)
    np.testing.assert_allclose([rows.mean(), columns.mean()], [15.5, 15.5], atol=1.5)
    inside = middle["cine"][0][middle["mask"][0] == 3]
    assert inside.min() > middle["cine"][0][middle["mask"][0] == 2].max() * 0.9


def test_frames_of_another_intensity_scale_are_brought_to_the_first_ones():
    first = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    ours, theirs = acdc.on_one_scale([first, first / 113])
    np.testing.assert_array_equal(ours, first)
    np.testing.assert_allclose(theirs, first, rtol=1e-5)
    blank = acdc.on_one_scale([first, np.zeros_like(first)])[1]
    assert not blank.any()


def test_measurements_of_the_real_patients(shared_data):
    """Against the table that comes with the masks, within its rounding."""
    with open(shared_data / "acdc" / "measurements.csv", newline="") as file:
        expected = {row["patient"]: row for row in csv.DictReader(file)}
    for task in acdc.plan(shared_data / "acdc").studies[::8]:
        found, row = acdc.process(task, settings()).labels, expected[task.study_uid]
        assert acdc.GROUPS[int(found["group"])] == row["group"]
        for key in ("lvedv_ml", "lvesv_ml", "rvedv_ml", "rvesv_ml", "lv_mass_g"):
            assert found[key] == pytest.approx(float(row[key]), abs=0.051)
        for key in ("lvef", "rvef"):
            assert found[key] / 100 == pytest.approx(float(row[key]), abs=5.1e-5)


def test_prepare_acdc_marks_its_text(tmp_path):
    for i, group in enumerate(acdc.GROUPS * 5):
        write_patient(tmp_path / "in" / f"patient{i:03d}", group=group, es_radius=4 + i % 5)
    broken = tmp_path / "in" / "patient003" / "patient003_frame01.nii.gz"
    broken.write_bytes(gzip.compress(b"nothing"))
    words = ["--source", "acdc", "--input", str(tmp_path / "in"), "--workers", "1", "--size", "24"]
    command.main([*words, "--output", str(tmp_path / "out")])
    source = RecordSource(tmp_path / "out")
    assert source.info["text_source"] == "from_labels"
    assert source.info["counts"]["patients"] == 24
    assert sum(source.info["rejected"].values()) == 1
    assert source.contract.frames == 2
    assert source.contract.masks
    assert set(source.info["rejected"]) == {"study.bad_nifti"}
    record = source[0]
    one_hot = [record["labels"][group.lower()] for group in acdc.GROUPS]
    assert one_hot.index(1.0) == record["labels"]["group"]


def test_the_cine_of_the_4d_file_carries_the_masks_of_ed_and_es(tmp_path):
    images, masks = heart(phases=12)
    for part, name in (
        ("training", "patient001"),
        ("training", "patient002"),
        ("testing", "patient101"),
    ):
        folder = tmp_path / "database" / part / name
        for number, t in ((1, 0), (7, 6)):
            save_stack(folder / f"{name}_frame{number:02d}.nii.gz", images[:, t])
            save_stack(folder / f"{name}_frame{number:02d}_gt.nii.gz", masks[:, t])
        save_stack(folder / f"{name}_4d.nii.gz", images)
        (folder / "Info.cfg").write_text("ED: 1\nES: 7\nGroup: HCM\nNbFrame: 12\n")
    dataset = prepare("acdc", tmp_path / "database", tmp_path / "d", "--size", 32, "--frames", 6)
    assert split_of(dataset, "patient101") == "test"
    assert "test" not in {split_of(dataset, f"patient00{i}") for i in (1, 2)}
    middle = by_case(dataset, ["patient001"])["patient001"][2]
    assert middle["original_frames"] == 12
    assert np.flatnonzero(middle["mask_frames"]).tolist() == [0, 3]
    for t in (0, 3):
        cavity, wall = (middle["cine"][t][middle["mask"][t] == c] for c in (3, 2))
        assert np.median(cavity) > 3 * np.median(wall)
    # Two frames are the pair of files, with the 4-D file there or not.
    pair = prepare("acdc", tmp_path / "database", tmp_path / "pair", "--size", 32)
    assert by_case(pair, ["patient001"])["patient001"][2]["original_frames"] == 2


def test_a_cycle_is_never_made_of_two_frames(tmp_path, capsys):
    """Without 4-D files sixteen frames would be a cross-fade: one line, and what to do."""
    for i in range(3):
        write_patient(tmp_path / "in" / f"patient{i:03d}")
    words = ["prepare", "--source", "acdc", "--input", str(tmp_path / "in"), "--workers", "1"]
    words += ["--size", "16", "--output", str(tmp_path / "d")]
    assert cli.main([*words, "--frames", "16"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]  # after the progress
    assert "study.no_4d 3" in line
    assert "--frames 2" in line
    assert "4-D" in line
    assert cli.main([*words, "--frames", "2"]) == 0
    many = contract(size=32, frames=8, masks=True)
    task = acdc.plan(tmp_path / "in").studies[0]
    fading = Settings(many, tuple(sorted(acdc.TASKS)), public_hasher("acdc"), fade=True)
    assert len(acdc.process(task, fading).records) == 5
    few = contract(size=32, frames=1, masks=True)
    one = Settings(few, tuple(sorted(acdc.TASKS)), public_hasher("acdc"))
    assert len(acdc.process(acdc.plan(tmp_path / "in").studies[0], one).records) == 5


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_patient_without_the_4d_file_is_left_out_of_a_cycle(tmp_path, ending):
    for i in range(4):
        write_patient(tmp_path / "in" / f"patient{i:03d}")
    for i, phases in ((0, 12), (1, 12), (2, 2)):
        cine = np.ones((48, 40, 5, phases), np.int16)
        path = tmp_path / "in" / f"patient{i:03d}" / f"patient{i:03d}_4d{ending}"
        nib.save(nib.Nifti1Image(cine, np.diag([1.25, 1.5, 8.0, 1.0])), path)
    dataset = prepare("acdc", tmp_path / "in", tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["rejected"] == {"study.no_4d": 2}
    assert dataset.info["counts"]["studies"] == 2
    assert meaning("study.no_4d")


@pytest.mark.parametrize(
    ("text", "reason"), [("ED: 1\n", "no_phases"), ("ED: 1\nES: 3\n", "missing"), ("", "no_phases")]
)
def test_an_odd_patient_is_a_typed_rejection(tmp_path, text, reason):
    write_patient(tmp_path / "patient007")
    (tmp_path / "patient007" / "Info.cfg").write_text(text)
    result = acdc.process(acdc.plan(tmp_path).studies[0], settings())
    assert result.rejected == {f"study.{reason}": 1}


def test_a_patient_of_no_group_has_masks_and_no_text(tmp_path):
    write_patient(tmp_path / "patient007", group="")
    result = acdc.process(acdc.plan(tmp_path).studies[0], settings())
    assert len(result.records) == 5
    assert not result.has_report
    assert np.isnan([result.labels["group"], result.labels["dcm"]]).all()
    assert result.labels["lvedv_ml"] > 0


def test_all_real_patients_are_found(shared_data):
    assert len(acdc.plan(shared_data / "acdc").studies) == 80


def test_text_varies_and_names_no_group():
    measured = {
        "lvedv_ml": 250.4,
        "lvesv_ml": 190.0,
        "lvef": 24.1,
        "rvedv_ml": 120.0,
        "rvef": 55.0,
        "lv_mass_g": 140.0,
    }
    for group in acdc.GROUPS:
        texts = {write_report(group, measured, variant=v) for v in range(243)}
        assert len(texts) == 243
        for text in list(texts)[:20]:
            assert set(sections(text)) == {"findings", "impression"}
            assert len(sentences(text)) == 8
            assert not {"NOR", "DCM", "HCM", "MINF"} & set(text.replace(".", " ").split())
            assert "24 %" in text
            assert "severely reduced" in text
