import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from cmrjax import evaluate as job
from cmrjax.assembly import make_objective
from cmrjax.cli import run
from cmrjax.core import checkpoint
from cmrjax.core.errors import PreemptedError, UserError
from cmrjax.core.writer import write_json_atomic
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import save_checkpoint_contract, save_contract
from cmrjax.data.records import RecordSource
from cmrjax.evals.base import read_rows
from cmrjax.evals.config import EvalConfig
from cmrjax.evals.jobs import Job
from cmrjax.evals.origin import WorkdirOrigin
from cmrjax.evals.predictions import read_predictions
from cmrjax.experiment import input_contract, make_tokenizer, run_config
from tests.tiny import tiny_config, tiny_contract, write_tiny_dataset

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = {
    "bright": {
        "positive": ["Bright blood is seen throughout."],
        "negative": ["No bright blood is seen."],
    }
}


def write_run(dataset, workdir, *, steps, **changes):
    """A workdir as `train` leaves it; its checkpoints are drawn, not trained: that is quicker."""
    run = run_config(tiny_config(dataset, **changes))
    source = RecordSource(dataset)
    contract, vocabulary = input_contract(run, source), 0
    workdir.mkdir()
    if contract.tokenizer == "wordpiece":
        tokenizer = make_tokenizer(run, source)
        wordpiece.save_tokenizer(workdir, tokenizer)
        vocabulary = tokenizer.get_vocab_size()
    objective = make_objective(run, contract, vocabulary=vocabulary, source=source)
    init = jax.jit(objective.init)
    for step in steps:
        checkpoint.save(workdir, step, {"params": init(jax.random.key(100 + step))[0]})
    save_checkpoint_contract(workdir, source.contract, contract)
    write_json_atomic(workdir / "config.json", run.to_json())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny dataset, a contrastive run with checkpoints 3, 6, 8, a supervised run, prompts."""
    root = tmp_path_factory.mktemp("runs")
    dataset = write_tiny_dataset(root / "ds", patients=36)
    write_run(dataset, root / "run", steps=(3, 6, 8))
    objective = {"name": "supervised", "binary": ("bright",), "regression": ("lvef",)}
    write_run(dataset, root / "supervised", steps=(2,), objective=objective)
    (root / "prompts.json").write_text(json.dumps(PROMPTS))
    return root


def config(root, evaluator="zero_shot", **changes):
    fields = {"prompts": str(root / "prompts.json"), "n_bootstrap": 50}
    return EvalConfig(evaluator=evaluator, **(fields | changes))


def test_every_checkpoint_is_evaluated_once(root):
    folders = job.evaluate(config(root), WorkdirOrigin(root / "run"))
    assert [f.name for f in folders] == ["3", "6", "8"]
    assert job.evaluate(config(root), WorkdirOrigin(root / "run")) == []
    rows = read_rows(root / "run" / "results.json")
    assert {(r.evaluator, r.step) for r in rows} == {("zero_shot", s) for s in (3, 6, 8)}
    assert {r.encoder for r in rows} >= {"checkpoint", "random", "trivial", "checkpoint-random"}
    kept = read_predictions(folders[0] / "predictions.csv")
    assert {p.kind for p in kept} == {"binary"}


def test_other_settings_evaluate_again_but_another_dataset_is_refused(root, tmp_path):
    assert len(job.evaluate(config(root), WorkdirOrigin(root / "run"), step=8)) <= 1
    assert len(job.evaluate(config(root, seed=1), WorkdirOrigin(root / "run"), step=8)) == 1
    other = write_tiny_dataset(tmp_path / "other", patients=36, seed=9)
    elsewhere = config(root, data=str(other), seed=1)
    with pytest.raises(UserError, match="another dataset"):
        job.evaluate(elsewhere, WorkdirOrigin(root / "run"), step=8)
    named = dataclasses.replace(elsewhere, suffix="other")
    (folder,) = job.evaluate(named, WorkdirOrigin(root / "run"), step=8)
    assert folder.parent.name == "zero_shot_other"
    assert read_rows(folder / "results.json")[0].evaluator == "zero_shot_other"


def test_the_probe_has_every_baseline_beside_it(root):
    ceiling = config(root, "linear_probe", ceiling_workdir=str(root / "supervised"))
    last = dataclasses.replace(ceiling, schedule="last_checkpoint")
    (folder,) = job.evaluate(last, WorkdirOrigin(root / "run"))
    rows = read_rows(folder / "results.json")
    encoders = {r.encoder for r in rows if r.metric == "auroc"}
    assert encoders == {"checkpoint", "random", "supervised", "pixels_pca", "trivial"}
    value = {(r.encoder, r.task, r.metric): r.value for r in rows}
    assert value["pixels_pca", "bright", "auroc"] == 1.0  # brightness is what they differ in
    assert value["trivial", "bright", "auroc"] == 0.5
    assert value["checkpoint", "lvef", "mae"] < value["trivial", "lvef", "mae"]
    assert ("checkpoint-random", "macro", "auroc_difference") in value
    assert (folder / "roc.png").is_file()
    assert (folder / "predicted_vs_true.png").is_file()


def test_retrieval_counts_duplicates_apart(root):
    (folder,) = job.evaluate(config(root, "retrieval"), WorkdirOrigin(root / "run"), step=8)
    tasks = {r.task for r in read_rows(folder / "results.json")}
    assert {"report_to_study", "report_to_study_or_duplicate", "study_to_report"} <= tasks


def test_patients_that_were_trained_on_are_refused(root):
    with pytest.raises(UserError, match="were trained on"):
        Job(config(root, fold=(0, 5)), WorkdirOrigin(root / "run"))


def test_another_contract_is_refused_and_every_field_named(root, tmp_path):
    other = write_tiny_dataset(tmp_path / "ds")
    save_contract(other, dataclasses.replace(tiny_contract(), spacing_mm=1.5, crop="centre"))
    with pytest.raises(UserError, match=r"spacing_mm: dataset 1\.5, checkpoint 2\.0; crop:"):
        Job(config(root, data=str(other)), WorkdirOrigin(root / "run"))


def test_another_key_is_warned_of_since_patients_cannot_be_told(root, tmp_path, caplog):
    run = shutil.copytree(root / "run", tmp_path / "run")
    contract = json.loads((run / "contract.json").read_text())
    other = write_tiny_dataset(tmp_path / "ds")
    contract["dataset"]["id_namespace"] = "keyed:1"
    (run / "contract.json").write_text(json.dumps(contract))
    for key, warned in (("keyed:1", False), ("keyed:2", True), ("public:acdc", False)):
        save_contract(other, dataclasses.replace(tiny_contract(), id_namespace=key))
        caplog.clear()
        Job(config(root, data=str(other)), WorkdirOrigin(run))
        assert ("of another key" in caplog.text) == warned


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workdir", "{root}/none"], "no such workdir"),
        (["--workdir", "{root}/ds"], "contract"),
        (["--workdir", "{root}/run", "--step", "5"], "no checkpoint of step 5"),
        (["--workdir", "{root}/run", "--config.nope=1"], "nope"),
        (["--workdir", "{root}/run", "--config.tasks=('mi',)"], "the dataset has no mi"),
        (["--workdir", "{root}/run", "--config.prompts=acdc"], "no binary label"),
        (["--workdir", "{root}/run", "--config.split=train"], "split = 'train'"),
        (["--workdir", "{root}/run", "--config.fold=(9,5)"], "no fold 9 of 5"),
        (["--workdir", "{root}/run", "--config.data={root}/none"], "is not a dataset"),
        (["--workdir", "{root}/run", "--step", "3", "--follow"], "exclude each other"),
        (["--workdir", "{root}/supervised"], "no text tower"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(root, capsys, words, says):
    words = [w.format(root=root) for w in words]
    spec = f"{ROOT}/configs/eval_zero_shot.py:{root}/prompts.json"
    assert run("evaluate", ["--config", spec, *words]) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert says in errors[0]
    assert captured.out == ""
    assert not list((root / "run" / "evals").glob("*/.*tmp"))


@pytest.mark.parametrize("name", ["zero_shot", "linear_probe", "retrieval"])
def test_the_packaged_configs_are_whole(name):
    from cmrjax.core.config import load_config
    from cmrjax.core.sections import to_dataclass

    loaded = load_config(f"{ROOT}/configs/eval_{name}.py", ["--config.fold=(1,5)"])
    assert to_dataclass(EvalConfig, loaded, where="").fold == (1, 5)


def fake_status(workdir, state, step):
    status = {"state": state, "step": step, "steps": 8, "updated": time.time()}
    (workdir / "status.json").write_text(json.dumps(status))


def test_follow_evaluates_as_checkpoints_appear_and_ends_with_the_run(root, monkeypatch):
    monkeypatch.setattr(job, "POLL_SECONDS", 0.05)
    there: list[int] = []
    real = job.checkpoint.steps
    monkeypatch.setattr(job.checkpoint, "steps", lambda w: [s for s in real(w) if s in there])
    fake_status(root / "run", "running", 0)

    def trainer():
        for step in (3, 6, 8):
            time.sleep(0.3)
            there.append(step)
        fake_status(root / "run", "done", 8)

    thread = threading.Thread(target=trainer)
    thread.start()
    found = job.follow(config(root, suffix="follow"), root / "run")
    thread.join()
    assert [f.name for f in found] == ["3", "6", "8"]


def test_follow_gives_up_on_a_dead_trainer_and_keeps_what_it_has(root, monkeypatch):
    monkeypatch.setattr(job, "POLL_SECONDS", 0.05)
    fake_status(root / "run", "running", 8)
    patient = config(root, suffix="dead", patience_s=0.5)
    with pytest.raises(PreemptedError, match="no sign of the trainer"):
        job.follow(patient, root / "run")
    fake_status(root / "run", "done", 8)
    assert (root / "run" / "evals" / "zero_shot_dead" / "8" / "results.json").is_file()


def test_a_signal_ends_a_fresh_process_with_75_and_nothing_half_written(root):
    fake_status(root / "run", "running", 8)
    words = [sys.executable, "-m", "cmrjax.evaluate", "--follow", "--workdir", str(root / "run")]
    words += ["--config", f"{ROOT}/configs/eval_zero_shot.py:{root}/prompts.json"]
    words += ["--config.suffix=signal", "--config.n_bootstrap=50"]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    folder = root / "run" / "evals" / "zero_shot_signal"
    deadline = time.monotonic() + 120
    while not (folder / "3" / "results.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    fake_status(root / "run", "done", 8)
    assert process.returncode == 75, errors
    assert "the same command goes on" in errors
    assert all((p / "results.json").is_file() for p in folder.iterdir())
    numbers = [r.value for r in read_rows(folder / "3" / "results.json")]
    assert np.isfinite([v for v in numbers if v is not None]).all()


def turned_into_another_error(stop):
    del stop
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise TypeError("a library's own error") from None


def swallowed(stop):
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    stop.check()


@pytest.mark.parametrize("library", [turned_into_another_error, swallowed])
def test_a_signal_that_a_library_hides_still_means_75(library):
    with pytest.raises(PreemptedError), job.interruptible("finished steps") as stop:
        library(stop)
    with pytest.raises(TypeError), job.interruptible("finished steps"):
        raise TypeError("not a signal")
