"""The attention evaluator: shares by study, what stands beside them, what is drawn."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from cmrjax import evaluate as job
from cmrjax.data.contract import InputContract
from cmrjax.data.records import RecordSource
from cmrjax.evals import metrics, seeing
from cmrjax.evals.base import read_rows
from cmrjax.evals.config import EvalConfig
from cmrjax.evals.embeddings import read_cohort
from cmrjax.evals.encoder import Encoder, NoTextTowerError
from cmrjax.evals.origin import WorkdirOrigin
from cmrjax.evals.predictions import read_predictions, to_csv
from cmrjax.evals.tower_attention import NoMapError
from tests.tiny import tiny_contract, write_tiny_dataset
from tests.workdirs import write_workdir

HOW = metrics.Resampling(split="test", step=5, n_bootstrap=50)
INPUT = InputContract(
    clip_frames=2,
    clip_sampling="uniform",
    crop_size=16,
    normalise="unit",
    report_sections=(),
    tokenizer="none",
    max_tokens=0,
)


def middle(clips, method, direction):
    """A map that is nowhere but in the middle, where the masks are."""
    if method == "rollout":
        raise NoMapError("none of this tower")
    maps = np.zeros(clips.shape, np.float32)
    maps[:, :, 4:12, 4:12] = 1 / (64 * clips.shape[1])
    assert direction is None
    return maps


def flat(clips, method, direction):
    assert (method, direction) != ("rollout", None), "not asked for what the first one has not"
    return np.full(clips.shape, 1 / clips[0].size, np.float32)


def encoder(name, maps):
    return Encoder(name=name, step=5, dataset_contract=tiny_contract(), input=INPUT, maps=maps)


ENCODERS = [encoder("checkpoint", middle), encoder("random", flat)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tiny_dataset(tmp_path_factory.mktemp("masked") / "ds", patients=48, masks=True)


@pytest.fixture(scope="module")
def cohort(dataset):
    return read_cohort(RecordSource(dataset), split="test")


@pytest.fixture(scope="module")
def result(cohort):
    return seeing.evaluate(ENCODERS, cohort, HOW, drawn_studies=2, batch_size=4)


def test_shares_beside_the_uniform_map_and_the_untrained_network(result):
    value = {(r.encoder, r.task, r.metric): r.value for r in result.rows}
    assert value["checkpoint", "heart_last_block", "share_inside"] == pytest.approx(1)
    assert value["random", "heart_last_block", "share_inside"] == pytest.approx(0.25)
    assert value["trivial", "heart_last_block", "share_inside"] == pytest.approx(0.25)
    # The squares are in the middle, 1.5 deviations to each side.
    assert value["centre", "heart_gradient", "share_inside"] == pytest.approx(0.866**2, abs=0.02)
    difference = ("checkpoint-random", "heart_last_block", "share_inside_difference")
    assert value[difference] == pytest.approx(0.75)
    assert value["checkpoint/trivial", "heart_gradient", "share_inside_ratio"] == pytest.approx(4)
    assert not any(r.task == "heart_rollout" for r in result.rows), "the tower has none"


def test_studies_without_masks_are_left_out_and_counted(result, cohort, caplog):
    drawn = [int(p, 16) % 4 > 0 for p in cohort.patient_id]
    assert {r.n for r in result.rows} == {sum(drawn)}
    assert 0 < sum(drawn) < len(drawn)
    with caplog.at_level("INFO"):
        seeing.evaluate(ENCODERS[:1], cohort, HOW, drawn_studies=0, batch_size=8)
    assert f"{sum(drawn)} of {len(drawn)} studies have a mask" in caplog.text


def test_every_row_comes_again_from_the_predictions(result, tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(to_csv(result.predictions))
    again = metrics.all_rows(read_predictions(path), HOW)
    mine = [dataclasses.astuple(r)[:7] for r in result.rows]
    assert [dataclasses.astuple(r)[:7] for r in again] == mine


def test_one_sheet_and_one_moving_cine_for_each_view_of_the_drawn_studies(result, cohort):
    names = {name.rsplit(".", 1)[0] for name in result.figures}
    assert len(names) == 4
    assert {name.split("_")[1] for name in names} == {"sax", "4ch"}
    assert names <= {f"{s}_{v}" for s in cohort.study_id for v in ("sax", "4ch")}
    for name, content in result.figures.items():
        image = Image.open(io.BytesIO(content))
        assert image.format == ("PNG" if name.endswith("png") else "WEBP")
        assert getattr(image, "n_frames", 1) == (1 if name.endswith("png") else 2)


def test_without_masks_maps_are_drawn_and_not_scored(tiny_dataset):
    cohort = read_cohort(RecordSource(tiny_dataset), split="val")
    result = seeing.evaluate(ENCODERS, cohort, HOW, drawn_studies=1, batch_size=4)
    assert (list(result.rows), list(result.predictions)) == ([], [])
    assert len(result.figures) == 4


def test_a_sentence_needs_a_text_tower(cohort):
    with pytest.raises(NoTextTowerError):
        seeing.evaluate(ENCODERS, cohort, HOW, sentence="Dilated.", drawn_studies=1)


def test_the_job_writes_rows_and_pictures_of_a_real_network(dataset, tmp_path):
    model = {"size": (16, 2, 2), "tubelet": (4, 8, 8), "joint": 8, "remat": "none"}
    workdir = write_workdir(dataset, tmp_path / "run", steps=(2,), model=model)
    config = EvalConfig(
        evaluator="attention", n_bootstrap=20, drawn_studies=1, batch_size=16, sentence="Bright."
    )
    (folder,) = job.evaluate(config, WorkdirOrigin(workdir))
    rows = read_rows(folder / "results.json")
    tasks = {r.task for r in rows}
    assert tasks == {"heart_last_block", "heart_rollout", "heart_gradient"}
    assert {r.encoder for r in rows} >= {"checkpoint", "random", "centre", "trivial"}
    shares = [r.value for r in rows if r.metric == "share_inside" and r.value is not None]
    assert len(shares) == 12
    assert 0 <= min(shares) <= max(shares) <= 1
    assert len(list(folder.glob("*.png"))) == 2
