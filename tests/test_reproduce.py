"""The transfer experiment on a few made-up hearts, and what it refuses."""

import csv
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from cmrjax import reproduce
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.evals.predictions import Predictions, to_csv
from cmrjax.reporting import transfer
from cmrjax.reproducing import acdc_pretraining

GROUPS = ("NOR", "DCM", "HCM", "MINF", "RV")
# Inner radius at ED and ES and outer radius of the wall, in pixels of 2 mm.
SHAPES = {"NOR": (9, 6, 12), "DCM": (13, 11, 16), "HCM": (8, 4, 14), "MINF": (11, 9, 14)}
SMALL_RUN = (
    "--config.steps=2",
    "--config.checkpoint_every=2",
    "--config.batch_size=8",
    "--config.optim.warmup_steps=1",
    "--config.data.cines=1",
    "--config.text.width=32",
    "--config.text.depth=1",
    "--config.model.tubelet=(2, 32, 32)",
)
SMALL = reproduce.Scale(patients=16, prepare=("--workers", "1"), phantom=SMALL_RUN, acdc=SMALL_RUN)


def write_heart(folder, *, group: str, rng: np.random.Generator) -> None:
    """An ED and an ES volume and their masks, in ACDC's layout."""
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text(f"ED: 1\nES: 9\nGroup: {group}\n")
    *inner, outer = SHAPES.get(group, SHAPES["NOR"])
    x, y, _ = np.indices((72, 64, 2))
    away = np.hypot(x - 34 + rng.normal(), y - 32 + rng.normal())
    right = np.hypot(x - 14, y - 32) < (10 if group == "RV" else 6)
    for frame, radius in ((1, inner[0]), (9, inner[1])):
        mask = np.where(away < radius, 3, np.where(away < outer, 2, np.where(right, 1, 0)))
        image = np.array([60, 200, 40, 200])[mask] + rng.normal(0, 5, mask.shape)
        for name, data in (("", image), ("_gt", mask)):
            volume = nib.Nifti1Image(data.astype(np.int16), np.diag([2.0, 2.0, 10.0, 1.0]))
            nib.save(volume, folder / f"{folder.name}_frame{frame:02d}{name}.nii.gz")


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acdc")
    rng = np.random.default_rng(0)
    for i in range(15):
        write_heart(folder / f"patient{i:03d}", group=GROUPS[i % 5], rng=rng)
    return folder


@pytest.fixture(scope="module")
def finished(hearts, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("experiment") / "run"
    reproduce.acdc_transfer(hearts, workdir, folds=1, seed=0, scale=SMALL)
    return workdir


def test_every_arm_is_measured_on_the_same_patients(finished):
    rows = list(csv.DictReader((finished / "acdc_transfer.csv").open()))
    macro = {
        r["encoder"]: r
        for r in rows
        if (r["evaluator"], r["task"], r["metric"]) == ("linear_probe", "macro", "auroc")
    }
    arms = {"transfer", "phantom", "scratch", "random", "pixels_pca", "volumes", "trivial"}
    assert set(macro) == arms | {f"untrained{k}" for k in range(transfer.DRAWS)}
    assert {r["n"] for r in macro.values()} == {"3"}
    assert float(macro["trivial"]["value"]) == 0.5
    differences = {(r["encoder"], r["task"]) for r in rows if r["metric"] == "mae_difference"}
    assert {("transfer-random", "lvef"), ("transfer-scratch", "lvef")} <= differences


def write_fold(workdir, fold: int, *, error: float) -> None:
    """Predictions of every arm: `transfer` is right, the others are `error` points off."""

    def parts(encoder: str, evaluator: str, off: float):
        ids = np.array([f"{fold}{i}" for i in range(4)])
        target = np.array([0.0, 0, 1, 1])
        common = {"evaluator": evaluator, "encoder": encoder, "patient_id": ids, "study_id": ids}
        score = target if off == 0 else target[::-1]
        yield Predictions(task="dcm", kind="binary", target=target, prediction=score, **common)
        lvef = 40 + 10 * np.arange(4.0)
        yield Predictions(
            task="lvef", kind="regression", target=lvef, prediction=lvef + off, **common
        )

    for arm in ("transfer", "scratch", "phantom"):
        for evaluator in ("linear_probe", "zero_shot"):
            run, name = transfer.run_folder(workdir, arm, fold), evaluator
            if arm == "phantom":
                run, name = workdir / "pretrain", f"{evaluator}_acdc"
            off = 0.0 if arm == "transfer" else error
            found = [*parts("checkpoint", name, off)]
            for encoder in ("random", "pixels_pca", "trivial"):
                found += parts(encoder, name, error)
            path = run / "evals" / f"{name}_fold{fold}of5" / "2" / "predictions.csv"
            write_bytes_atomic(path, to_csv(found))
    draws = [p for k in range(2) for p in parts(f"untrained{k}", "linear_probe", error * k)]
    write_bytes_atomic(transfer.untrained_file(workdir, fold), to_csv(draws))
    volumes = [*parts("volumes", "linear_probe", 0.0)][:1]
    write_bytes_atomic(transfer.volumes_file(workdir, fold), to_csv(volumes))


def test_folds_are_pooled_by_patient(tmp_path):
    for fold, error in enumerate((5.0, 10.0)):
        write_fold(tmp_path, fold, error=error)
    rows = {
        (r.encoder, r.task, r.metric): r
        for r in transfer.pooled_rows(tmp_path, 2)
        if r.evaluator == "linear_probe"
    }
    assert rows["scratch", "lvef", "mae"].value == 7.5
    # Of the two untrained draws one is right, the other off: their mean is half of the error.
    assert rows["random", "lvef", "mae"].value == 3.75
    assert rows["random", "macro", "auroc"].value == 0.5
    assert rows["transfer-random", "lvef", "mae_difference"].value == -3.75
    assert rows["transfer-random", "lvef", "mae_difference"].n == 8
    assert rows["transfer-random", "macro", "auroc_difference"].value == 0.5
    assert rows["transfer-scratch", "macro", "auroc_difference"].value == 1
    assert rows["phantom", "macro", "auroc"].n_positive == 4
    assert rows["volumes", "macro", "auroc"].value == 1


def test_a_missing_fold_is_named(tmp_path):
    write_fold(tmp_path, 0, error=5.0)
    with pytest.raises(UserError, match="fold1"):
        transfer.pooled_rows(tmp_path, 2)


def test_the_page_holds_commands_and_marks_but_no_path(finished, hearts):
    page = (finished / "acdc_transfer.md").read_text()
    assert "from_labels" in page
    assert "cmrjax prepare --source acdc --fade --input ACDC_DIR --output WORKDIR/acdc" in page
    assert "configs/pretrain_acdc.py:phantom" in page
    assert str(finished) not in page
    assert str(hearts) not in page


def test_the_same_command_repeats_no_finished_part(finished, hearts, capsys):
    before = (finished / "acdc_transfer.md").read_bytes()
    made = {p: p.stat().st_mtime_ns for p in finished.glob("**/predictions.csv")}
    reproduce.acdc_transfer(hearts, finished, folds=1, seed=0, scale=SMALL)
    assert "cmrjax prepare" not in capsys.readouterr().err
    assert (finished / "acdc_transfer.md").read_bytes() == before
    assert {p: p.stat().st_mtime_ns for p in finished.glob("**/predictions.csv")} == made


def test_wrong_settings_are_refused(finished, hearts, tmp_path):
    with pytest.raises(UserError, match="other settings"):
        reproduce.acdc_transfer(hearts, finished, folds=1, seed=1, scale=SMALL)
    with pytest.raises(UserError, match="no such folder"):
        reproduce.main(["acdc_transfer", "--input", str(tmp_path / "no"), "--workdir", "x"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError, match=r"without reproduce\.json"):
        reproduce.acdc_transfer(hearts, tmp_path / "other", folds=1, seed=0)
    with pytest.raises(UserError, match="--folds 6"):
        reproduce.acdc_transfer(hearts, tmp_path / "new", folds=6, seed=0)
    assert not (tmp_path / "new").exists()


SMALL_FRAMES = (
    "--config.steps=2",
    "--config.checkpoint_every=2",
    "--config.batch_size=8",
    "--config.data.cines=1",
    "--config.model.variant=N",
    "--config.model.tubelet=(1, 16, 16)",
)


def test_pretraining_without_labels_beside_its_baselines(hearts, tmp_path):
    workdir = tmp_path / "run"
    options = {"folds": 1, "seed": 0, "transductive": False, "words": SMALL_FRAMES}
    table = reproduce.run_pretraining(hearts, workdir, **options).read_text()
    for arm in ("MAE", "DINO", "end to end, own head", "end to end, probe", "untrained", "trivial"):
        assert f"| {arm}" in table
    assert "transductive" not in table
    assert "| trivial | 0.500 " in table
    with (workdir / "acdc_pretraining.csv").open() as file:
        rows = {(r["encoder"], r["task"], r["metric"]): r for r in csv.DictReader(file)}
    assert rows["mae-random", "lvef", "mae_difference"]["value"]
    # The same command goes on: nothing is trained or read again, the table is the same.
    assert reproduce.run_pretraining(hearts, workdir, **options).read_text() == table


def test_a_transductive_run_pretrains_once_and_never_on_labels(tmp_path):
    plan = acdc_pretraining.Plan(
        scans=tmp_path, workdir=tmp_path, configs=tmp_path, folds=5, seed=0, transductive=True
    )
    trained = [words for verb, words in plan.commands() if verb == "train"]
    on_all = [words for words in trained if "--config.data.split=all" in words]
    assert [words[1].split(":")[1] for words in on_all] == ["mae", "dino"]
    rest = [words for words in trained if words not in on_all]
    assert [words[1].split(":")[1] for words in rest] == ["supervised"] * 5
    assert all(f"--config.data.fold=({i}, 5)" in words for i, words in enumerate(rest))


def test_twins_are_not_scored():
    source = SimpleNamespace(info={"near_duplicates": [{"patient_a": "a", "patient_b": "b"}]})
    assert acdc_pretraining.twins(source) == {"a", "b"}  # pyright: ignore
    # A task lacks the patients whose label is not known, so that cases are told by their ids.
    ids, values = np.array(["c", "b", "d"]), np.arange(3.0)
    part = Predictions("e", "mae", "lvef", "regression", ids, ids, values, values)
    (left,) = acdc_pretraining.without(frozenset({"a", "b"}), [part])
    assert left.patient_id.tolist() == ["c", "d"]
    assert left.prediction.tolist() == [0, 2]
    (left,) = acdc_pretraining.without(frozenset(), [part])
    assert left.patient_id.tolist() == ids.tolist()
