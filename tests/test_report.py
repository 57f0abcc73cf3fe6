"""The page is built from a tiny run, every file of which the package's own writers made."""

import hashlib
import json
import re
import shutil
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jax
import numpy as np
import pytest

from cmrjax import cli
from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.core.config import load_config
from cmrjax.core.errors import UserError
from cmrjax.core.writer import MetricWriter, write_json_atomic
from cmrjax.data.contract import VIEWS, DatasetContract, save_checkpoint_contract
from cmrjax.data.records import RecordSource
from cmrjax.data.shards import PackedRecord, record_features, write_dataset
from cmrjax.data.splits import make_splits
from cmrjax.data.tokenizer import save_tokenizer
from cmrjax.evals import metrics
from cmrjax.evals.base import Result, write_result
from cmrjax.evals.embeddings import read_cohort
from cmrjax.evals.predictions import Predictions
from cmrjax.experiment import input_contract, make_tokenizer, run_config
from cmrjax.report import write_report
from cmrjax.reporting import cines, words

REPOSITORY = Path(__file__).resolve().parents[1]
TASKS = {
    "lv_dilation": {"kind": "binary"},
    "reduced_lvef": {"kind": "binary"},
    "lvef": {"kind": "regression"},
}
INJECTED = "<script>alert('x')</script>"
MARK = "Unmistakable words of a report"


def cine_of(rng, *, frames: int, size: int, radius: float, squeeze: float) -> np.ndarray:
    """A bright disc that contracts in a grey ring."""
    rows, columns = np.mgrid[:size, :size] - size / 2 + rng.normal(0, size / 40, (2, 1, 1))
    distance = np.hypot(rows, columns * rng.uniform(0.9, 1.1))
    phase = (1 - np.cos(2 * np.pi * np.arange(frames) / frames)) / 2
    inner = radius * (1 - squeeze * phase)[:, None, None]
    image = 70 + 20 * np.sin(rows / 5 + rng.uniform(0, 6))
    image = np.where(distance < inner + size / 12, 45, image)
    image = np.where(distance < inner, 190, image) + rng.normal(0, 7, (frames, size, size))
    return np.clip(image, 0, 255).astype(np.uint8)


def report_of(dilated: bool, ef: float) -> str:
    size = "The left ventricle is dilated." if dilated else "The left ventricle is of normal size."
    function = "LV systolic function is reduced" if ef < 50 else "LV systolic function is normal"
    return (
        f"History: Dyspnoea. Findings: {size} {function}, with an LVEF of {ef:.0f} %. "
        f"No pericardial effusion. {MARK}. Impression: {size} {INJECTED}"
    )


def make_dataset(folder: Path, *, patients: int, size: int, frames: int, **info) -> None:
    """Writes a dataset of discs with the package's own writer."""
    folder.mkdir(parents=True)
    contract = DatasetContract(
        2.0, size, frames, "acquired", "percentile:1-99.5", "uint8", "motion", VIEWS, False, "test"
    )
    features = record_features(contract, sorted(TASKS))
    studies, labels, cines_written = {}, {}, 0
    for i in range(patients):
        rng = np.random.default_rng(i)
        dilated, ef = bool(rng.random() < 0.4), float(np.clip(rng.normal(52, 12), 15, 75))
        patient, study = (hashlib.sha256(f"{k}{i}".encode()).hexdigest()[:16] for k in "ps")
        labels[patient] = np.array([dilated, ef < 50])
        records = []
        for k, view in enumerate(("sax", "sax", "2ch", "4ch")):
            squeeze, radius = 0.2 + ef / 150, size * (0.26 if dilated else 0.19)
            example = {
                "cine": cine_of(rng, frames=frames, size=size, radius=radius, squeeze=squeeze),
                "view": view,
                "slice_index": k % 2,
                "slice_position_mm": 8.0 * k,
                "gap_mm": 8.0,
                "trigger_times_ms": np.linspace(0, 800, frames, dtype=np.float32),
                "spacing_mm": np.full(2, 2.0, np.float32),
                "original_spacing_mm": np.full(2, 1.5, np.float32),
                "original_size": np.full(2, 192, np.int32),
                "original_frames": frames,
                "origin_mm": np.zeros(3, np.float32),
                "orientation": np.array([1, 0, 0, 0, 1, 0], np.float32),
                "crop_centre": np.full(2, 96.0, np.float32),
                "crop_confidence": 1.0,
                "intensity_window": np.array([0, 900], np.float32),
                "patient_id": patient,
                "study_id": study,
                "series_id": f"{study[:14]}{k:02d}",
                "report": report_of(dilated, ef),
                "labels": {
                    "lv_dilation": float(dilated),
                    "reduced_lvef": float(ef < 50),
                    "lvef": ef,
                },
            }
            payload = features.serialize_example(example)
            records.append(PackedRecord(payload, study, patient, view, k % 2))
            cines_written += 1
        studies[study] = records
    described = {
        "name": "discs",
        "source": "phantom",
        "public": True,
        "text_source": "report",
        "label_tasks": TASKS,
        "counts": {"patients": patients, "studies": patients, "cines": cines_written},
        "rejected": {"not_a_cine": 3, f"odd {INJECTED}": 1},
        "licence": "none",
    }
    write_dataset(
        folder,
        info=described | info,
        contract=contract,
        splits=make_splits(labels),
        studies=sorted(studies.items()),
        shards=2,
    )


def make_run(dataset: Path, workdir: Path, *, steps: int, **overrides) -> None:
    """A workdir as `train` leaves it, but for the parameters, which are those of step 0."""
    words = [f"--config.{k.replace('__', '.')}={v}" for k, v in overrides.items()]
    config = load_config(str(REPOSITORY / "configs" / "pretrain_phantom.py"), words)
    config["data"]["dataset"] = str(dataset)
    run, source = run_config(config | {"steps": steps}), RecordSource(dataset)
    contract = input_contract(run, source)
    workdir.mkdir(parents=True)
    tokenizer = make_tokenizer(run, source)
    save_tokenizer(workdir, tokenizer)
    save_checkpoint_contract(workdir, source.contract, contract)
    write_json_atomic(workdir / "config.json", run.to_json())
    size = tokenizer.get_vocab_size()
    objective = make_objective(run, contract, vocabulary=size, source=source)
    params, _ = objective.init(jax.random.key(0))
    checkpoint.save(workdir, steps, {"params": params})
    writer = MetricWriter(workdir, resume_step=0)
    for step in range(10, steps + 1, 10):
        noise = np.random.default_rng(step).normal(0, 0.08)
        loss = 4.2 * float(np.exp(-step / 180)) + 1.4 + noise
        writer.write(step, {"loss": loss, "grad_norm": 1 + abs(noise), "examples_per_s": 290.0})
    writer.close()
    status = {"state": "done", "step": steps, "steps": steps, "updated": 1.7e9}
    write_json_atomic(workdir / "status.json", status)


def fake_results(workdir: Path, dataset: Path, *, step: int) -> None:
    """Predictions of known quality, turned into rows by the package's own statistics."""
    cohort = read_cohort(RecordSource(dataset), split="test")
    rng, quality = np.random.default_rng(step), {"checkpoint": 1.6, "random": 0.7, "trivial": 0.0}
    ids = (cohort.patient_id, cohort.study_id)
    for evaluator in ("zero_shot", "linear_probe"):
        found = []
        for encoder, strength in (quality | {"pixels_pca": 0.6, "supervised": 2.2}).items():
            for task in ("lv_dilation", "reduced_lvef"):
                y = cohort.labels[task]
                score = strength * y + rng.normal(size=len(y)) * (strength > 0)
                found.append(Predictions(evaluator, encoder, task, "binary", *ids, y, score))
            if evaluator == "linear_probe":
                y = cohort.labels["lvef"]
                guess = y.mean() + strength / 3 * (y - y.mean()) + rng.normal(0, 3, len(y))
                found.append(Predictions(evaluator, encoder, "lvef", "regression", *ids, y, guess))
        how = metrics.Resampling(split="test", step=step, n_bootstrap=200)
        result = Result(metrics.all_rows(found, how), found)
        write_result(workdir, evaluator, step, result, settings={})
    ranked = np.arange(len(cohort.members), dtype=float) + 1
    found = [
        Predictions("retrieval", name, task, "rank", *ids, np.ones(len(ranked)), ranked)
        for name in ("checkpoint", "random")
        for task in ("report_to_study", "study_to_report")
    ]
    result = Result(metrics.all_rows(found, how), found)
    write_result(workdir, "retrieval", step, result, settings={})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run with evaluations; its dataset lies in the workdir."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    dataset = workdir.parent / "dataset"
    make_dataset(dataset, patients=40, size=16, frames=4)
    make_run(dataset, workdir, steps=20, data__clip_frames=2, model__tubelet=(2, 8, 8))
    fake_results(workdir, dataset, step=20)
    return workdir


@pytest.fixture
def copied(run, tmp_path) -> Path:
    """A copy of the run, with its dataset inside, to be changed by a test."""
    workdir = tmp_path / "tiny"
    shutil.copytree(run, workdir)
    shutil.copytree(run.parent / "dataset", workdir / "dataset")
    config = json.loads((workdir / "config.json").read_text())
    config["data"]["dataset"] = "moved/away"
    (workdir / "config.json").write_text(json.dumps(config))
    return workdir


def change_info(workdir: Path, **info) -> None:
    path = workdir / "dataset" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | info))


class Page(HTMLParser):
    """What a browser would find: tags with attributes, text outside style and script."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.inline = "", {"style": [], "script": []}
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag in self.inline:
            self._inside = tag
            self.inline[tag].append("")

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside:
            self.inline[self._inside][-1] += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def read(workdir: Path, *, with_text: bool = False) -> Page:
    return Page(write_report(workdir, with_text=with_text).read_text())


@pytest.fixture(scope="module")
def page(run) -> Page:
    return read(run)


def test_every_section_is_there(page):
    ids = {attrs.get("id") for attrs in page.all("section")}
    assert {"data", "training", "results", "neighbours", "queries", "config"} <= ids
    for text in ("Zero-shot", "Linear probe", "Retrieval", "Mean over findings", "Untrained"):
        assert text in page.text
    assert "Synthetic data" in page.text


def test_nothing_is_loaded_from_elsewhere(page):
    addresses = [v for _, a in page.tags for k, v in a.items() if k in ("src", "srcset", "href")]
    assert addresses
    assert all(v.startswith(("data:image/", "#")) for v in addresses)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {t for t, _ in page.tags}
    assert "url(" not in page.inline["style"][0]
    assert "import" not in page.inline["style"][0]


def test_policy_names_our_style_and_script_alone(page):
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    for kind in ("style", "script"):
        (content,) = page.inline[kind]
        digest = b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in page.tags if any(k.startswith("on") or k == "style" for k in a)]


def test_text_of_the_data_is_escaped(page):
    assert len(page.all("script")) == 1
    assert INJECTED in page.text  # as text: from the reports, and from the reasons of rejection


def test_names_of_metrics_and_labels_are_escaped(copied):
    rows = json.loads((copied / "results.json").read_text())
    rows[0] |= {"task": INJECTED, "metric": f"auroc{INJECTED}"}
    (copied / "results.json").write_text(json.dumps(rows))
    with (copied / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3, f"$x{INJECTED}": 1.0}) + "\n")
    path = write_report(copied, with_text=False)
    page = Page(path.read_text())
    assert len(page.all("script")) == 1
    assert page.text.count(INJECTED) > 2


def test_cines_move_and_reports_stand_beside(page, run):
    first = next(a["src"] for a in page.all("img") if a["src"].startswith("data:image/webp"))
    content = b64decode(first.partition(",")[2])
    assert b"ANIM" in content[:64]
    assert MARK in page.text
    assert len(page.all("option")) >= 2


def test_page_is_small_and_equal_each_time(run):
    first = write_report(run, with_text=False).read_bytes()
    assert len(first) < 15_000_000
    assert write_report(run, with_text=False).read_bytes() == first


def test_text_of_data_that_is_not_public_needs_the_flag(copied):
    change_info(copied, public=False, source="dicom")
    hidden = read(copied)
    assert MARK not in hidden.text
    assert "report text is left out" in hidden.text
    assert len(hidden.all("option")) >= 2  # prompts are ours, not a patient's
    shown = read(copied, with_text=True)
    assert MARK in shown.text
    assert any(a.get("role") == "alert" and "privacy" in a["class"] for a in shown.all("p"))


@pytest.mark.parametrize("public", [None, "true", 1, "no"])
def test_only_true_makes_a_dataset_public(copied, public):
    change_info(copied, public=public)
    shutil.rmtree(copied / "checkpoints")  # fewer parts, the same rule
    assert MARK not in read(copied).text


def test_text_made_from_labels_says_so(copied):
    change_info(copied, text_source="from_labels")
    assert read(copied).text.count("Text made from labels") > 5


def test_a_run_without_evaluations_or_checkpoints(copied):
    shutil.rmtree(copied / "evals")
    (copied / "results.json").unlink()
    shutil.rmtree(copied / "checkpoints")
    (copied / "metrics.jsonl").unlink()
    page = read(copied)
    assert "No evaluation has finished yet" in page.text
    assert "No complete checkpoint" in page.text
    assert "No metrics have been written yet" in page.text
    assert "Data card" in page.text


def test_one_logged_step_is_a_table_and_no_empty_plots(copied):
    row = {"step": 10, "loss": 1.25, "logit_scale": 9.5, "grad_norm": 0.5}
    (copied / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    page = read(copied)
    assert not [a for a in page.all("img") if "over training" in a.get("alt", "")]
    assert "Logged at one step, so without a curve" in page.text
    assert re.search(r"logit scale\s*10\s*9\.5", page.text)
    with (copied / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 20, "loss": 1.0}) + "\n")
    page = read(copied)
    curves = [a["alt"] for a in page.all("img") if "over training" in a.get("alt", "")]
    assert set(curves) == {"loss over training, last value 1"}
    assert re.search(r"logit scale\s*10\s*9\.5", page.text)


def test_a_run_without_its_dataset(copied):
    shutil.rmtree(copied / "dataset")
    page = read(copied)
    assert "dataset of this run is not at hand" in page.text
    assert "Zero-shot" in page.text
    assert MARK not in page.text


def test_results_are_derived_again_when_deleted(copied):
    (copied / "results.json").unlink()
    assert "Zero-shot" in read(copied).text


def test_predictions_that_cannot_be_read_cost_their_plots_alone(copied):
    shutil.rmtree(copied / "checkpoints")
    (copied / "evals" / "zero_shot" / "20" / "predictions.csv").write_text("nonsense\n")
    text = read(copied).text
    assert "predictions of zero_shot cannot be read" in text
    assert "Mean over findings" in text


def test_wrong_workdir_is_one_line(tmp_path, capsys):
    assert cli.main(["report", "--workdir", str(tmp_path / "nowhere")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "not a workdir" in line
    assert not (tmp_path / "nowhere").exists()


def test_a_dataset_that_does_not_fit_is_refused(copied):
    path = copied / "dataset" / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spacing_mm": 1.25}))
    with pytest.raises(UserError, match=r"spacing_mm: dataset 1\.25, checkpoint 2"):
        write_report(copied, with_text=False)
    assert not (copied / "report").exists() or not list((copied / "report").glob(".*tmp"))


def test_cines_beyond_the_budget_get_smaller_then_fewer(run):
    source = RecordSource(run.parent / "dataset")
    every = cines.encode_all(source, {0: 2, 1: 1}, budget=10_000_000)
    assert set(every) == {0, 1}
    tight = cines.encode_all(source, {0: 2, 1: 1}, budget=2 * len(every[0]))
    assert sum(len(tight[r]) * n for r, n in {0: 2, 1: 1}.items() if r in tight) <= 2 * len(
        every[0]
    )


def test_numbers_and_names_read_well():
    assert words.task_name("lv_dilation") == "LV dilation"
    assert words.task_name("group:DCM") == "Group: DCM"
    assert words.encoder_name("checkpoint-random") == "This model minus untrained"
    assert words.number(None) == words.DASH
    assert words.number(-0.0312, "auroc_difference") == "−0.031"
    assert words.number(0.0312, "auroc_difference") == "+0.031"
    row = metrics.Row("e", "checkpoint", "t", "mae", 3.2, 2.9, 3.6, 10, None, "test", 1)
    assert words.interval(row) == "[2.90, 3.60]"
    assert words.interval(replace(row, ci_low=None)) == ""
