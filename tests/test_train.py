"""The training job: it learns, it resumes to the bit, it shards without changing its losses."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from cmrjax import train as train_job
from cmrjax.core import checkpoint
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.partitioning import make_mesh
from cmrjax.core.writer import read_metrics
from cmrjax.data.contract import save_contract
from cmrjax.data.records import RecordSource
from cmrjax.experiment import run_config
from cmrjax.health import read_events
from tests.tiny import tiny_config, tiny_contract, write_tiny_dataset
from tests.workdirs import SMALL, SUPERVISED

COMMAND = """
import json, sys
from pathlib import Path
from cmrjax.experiment import run_config
from cmrjax.train import train
train(run_config(json.loads(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Runs on the first simulated device unless a test asks for more."""
    first = jax.devices()[:1]
    monkeypatch.setattr(
        train_job,
        "make_mesh",
        lambda sizes: make_mesh(
            sizes, devices=first if np.prod(list(sizes.values())) == 1 else jax.devices()
        ),
    )


def run(config, workdir):
    train_job.train(run_config(config), workdir)
    return read_metrics(workdir)


def final_params(workdir):
    return checkpoint.restore_params(workdir)[1]


def same_bits(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in leaves)


def test_the_loss_falls_on_data_whose_reports_say_what_is_seen(tiny_dataset, tmp_path):
    rows = run(tiny_config(tiny_dataset, steps=40, checkpoint_every=40), tmp_path / "w")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert np.mean([r["loss"] for r in rows[-5:]]) < 0.8 * np.mean([r["loss"] for r in rows[:5]])


@pytest.mark.parametrize(
    "mesh",
    [
        pytest.param({"data": 8}, marks=pytest.mark.slow),
        pytest.param({"data": 4, "fsdp": 2}, marks=pytest.mark.slow),
        {"fsdp": 4, "tensor": 2},
    ],
)
def test_eight_devices_give_the_losses_of_one(tiny_dataset, tmp_path, mesh):
    steps = {"steps": 20, "checkpoint_every": 20}
    one = run(tiny_config(tiny_dataset, **steps), tmp_path / "one")
    eight = run(tiny_config(tiny_dataset, mesh=mesh, **steps), tmp_path / "eight")
    np.testing.assert_allclose([r["loss"] for r in eight], [r["loss"] for r in one], rtol=1e-4)


def supervised_config(dataset, **changes):
    """One small tower, which compiles more quickly than two."""
    return tiny_config(dataset, model=SMALL["model"], objective=SUPERVISED, **changes)


OPTIM = {
    "learning_rate": 1e-2,
    "warmup_steps": 1,
    "layer_decay": 0.8,
    "frozen": ("video/embed",),
    "ema_decay": 0.9,
    "accumulate": 2,
}


def test_every_part_of_the_optimisation_resumes_and_does_not_depend_on_the_devices(
    tiny_dataset, tmp_path
):
    sizes = {"steps": 4, "checkpoint_every": 2, "batch_size": 16}
    config = supervised_config(tiny_dataset, optim=OPTIM, **sizes)
    one = run(config, tmp_path / "one")
    parts = ("params", "ema", "opt_state")
    whole = checkpoint.restore_parts(tmp_path / "one", parts=parts)[1]
    assert not same_bits(whole["params"]["head"], whole["ema"]["head"])
    assert same_bits(whole["params"]["video"]["embed"], whole["ema"]["video"]["embed"])
    checkpoint.remove(tmp_path / "one", 4)
    assert run(config, tmp_path / "one")[-1]["loss"] == one[-1]["loss"]
    assert same_bits(whole, checkpoint.restore_parts(tmp_path / "one", parts=parts)[1])
    eight = run(config | {"mesh": {"data": 4, "fsdp": 2}}, tmp_path / "eight")
    np.testing.assert_allclose([r["loss"] for r in eight], [r["loss"] for r in one], rtol=1e-4)
    with pytest.raises(UserError, match="8 does not divide over 8 devices in 2 parts"):
        run(config | {"mesh": {"data": 8}, "batch_size": 8}, tmp_path / "small")


def test_a_drill_is_skipped_or_rolled_back_to_the_same_bits(tiny_dataset, tmp_path):
    config = supervised_config(tiny_dataset, steps=6, checkpoint_every=2)
    for policy in ("skip", "rollback"):
        health = {"policy": policy, "drill_nan_step": 4}
        run(config | {"health": health}, tmp_path / policy)
    assert same_bits(final_params(tmp_path / "skip"), final_params(tmp_path / "rollback"))
    events = [read_events(tmp_path / policy)[0] for policy in ("skip", "rollback")]
    assert [event.excluded for event in events] == [(), (4,)]
    assert events[0].studies == events[1].studies
    known = {str(i) for i in RecordSource(tiny_dataset).index.study_id}
    assert len(events[0].studies) > 1
    assert known.issuperset(events[0].studies)
    # A stop leaves what was saved before, and another policy may go on from it.
    with pytest.raises(UserError, match="step 4: drill: the loss is nan"):
        run(config | {"health": health | {"policy": "stop"}}, tmp_path / "stop")
    assert checkpoint.steps(tmp_path / "stop") == [2]
    assert json.loads((tmp_path / "stop" / "status.json").read_text())["state"] == "failed"
    run(config | {"health": health}, tmp_path / "stop")
    assert same_bits(final_params(tmp_path / "stop"), final_params(tmp_path / "skip"))


def test_a_killed_run_ends_with_the_bits_of_an_uninterrupted_one(tiny_dataset, tmp_path):
    config = tiny_config(tiny_dataset, steps=200, checkpoint_every=20, keep_checkpoints=2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    environment = os.environ | {"XLA_FLAGS": ""}
    words = [sys.executable, "-c", COMMAND, json.dumps(config)]
    subprocess.run([*words, str(whole)], check=True, env=environment, capture_output=True)
    # Killed at a step nobody chose: some time after its first checkpoint.
    process = subprocess.Popen(
        [*words, str(killed)], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not checkpoint.steps(killed) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = checkpoint.steps(killed)[-1]
    assert reached < 200, "the run ended before it could be killed"
    subprocess.run([*words, str(killed)], check=True, env=environment, capture_output=True)
    assert same_bits(final_params(whole), final_params(killed))
    # No example missing or repeated: each step once, the counter without a gap.
    rows = read_metrics(killed)
    assert [r["examples"] for r in rows] == [8 * (i + 1) for i in range(200)]
    assert [r["loss"] for r in rows] == [r["loss"] for r in read_metrics(whole)]


def test_a_stop_signal_saves_and_the_same_command_goes_on(tiny_dataset, tmp_path):
    config = tiny_config(tiny_dataset, steps=100_000, checkpoint_every=100_000)
    words = [
        sys.executable,
        "-c",
        COMMAND.replace("train(run", "import cmrjax.core.errors as e\ntry:\n  train(run")
        + "\nexcept e.PreemptedError as p: sys.exit(p.exit_code)",
        json.dumps(config),
        str(tmp_path / "w"),
    ]
    process = subprocess.Popen(words, env=os.environ | {"XLA_FLAGS": ""}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not read_metrics(tmp_path / "w") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 75
    (step,) = checkpoint.steps(tmp_path / "w")
    assert json.loads((tmp_path / "w" / "status.json").read_text())["state"] == "stopped"
    assert step >= 1


def test_a_flipped_byte_in_a_shard_stops_training_and_is_named(tmp_path):
    dataset = write_tiny_dataset(tmp_path / "dataset")
    shard = sorted(dataset.glob("*.tfrecord-*"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"tfrecord-00000-of-00002"):
        run(tiny_config(dataset), tmp_path / "w")


def test_a_flipped_byte_in_a_checkpoint_is_named_and_not_trained_on(tiny_dataset, tmp_path):
    workdir = tmp_path / "w"
    run(tiny_config(tiny_dataset, steps=3), workdir)
    files = [p for p in (workdir / "checkpoints" / "3").rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 4
    largest.write_bytes(content)
    with pytest.raises(CorruptDataError, match="checkpoints/3/"):
        run(tiny_config(tiny_dataset, steps=3), workdir)


def test_pretrained_weights_are_taken_whole_or_refused(tiny_dataset, tmp_path):
    run(tiny_config(tiny_dataset, steps=3), tmp_path / "first")
    pretrained = {"workdir": str(tmp_path / "first"), "take": ("video",)}
    optim = {"learning_rate": 0.0, "warmup_steps": 1, "weight_decay": 0.0}
    second = tiny_config(tiny_dataset, steps=1, seed=9, pretrained=pretrained, optim=optim)
    run(second, tmp_path / "second")
    first, taken = final_params(tmp_path / "first"), final_params(tmp_path / "second")
    assert same_bits(first["video"], taken["video"])
    assert not same_bits(first["text"], taken["text"])
    wrong = tiny_config(
        tiny_dataset, pretrained=pretrained, model={"variant": "N", "tubelet": (2, 8, 8)}
    )
    with pytest.raises(UserError, match=r"embed/kernel \(128, 128\) <- embed/kernel \(256, 128\)"):
        run(wrong, tmp_path / "third")
    assert not (tmp_path / "third" / "config.json").exists()


def test_another_config_in_a_workdir_is_refused_by_key(tiny_dataset, tmp_path):
    run(tiny_config(tiny_dataset, steps=3), tmp_path / "w")
    with pytest.raises(UserError, match="another seed, steps"):
        run(tiny_config(tiny_dataset, steps=4, seed=4), tmp_path / "w")


def test_a_dataset_that_was_prepared_anew_does_not_resume_a_run(tmp_path):
    dataset = write_tiny_dataset(tmp_path / "ds")
    config = tiny_config(dataset, steps=1, checkpoint_every=1)
    run(config, tmp_path / "w")
    kept = (tmp_path / "w" / "contract.json").read_bytes()
    save_contract(dataset, dataclasses.replace(tiny_contract(), spacing_mm=1.5, crop="centre"))
    both = r"ds: .*spacing_mm: dataset 1\.5, checkpoint 2\.0; crop: dataset centre, checkpoint mo"
    with pytest.raises(UserError, match=both):
        run(config, tmp_path / "w")
    assert (tmp_path / "w" / "contract.json").read_bytes() == kept


def test_a_folder_that_is_no_workdir_is_left_alone(tiny_dataset, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not a workdir"):
        run(tiny_config(tiny_dataset), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown keys"),
        ({"optim": {"lr": 1.0}}, r"config\.optim: unknown keys \['lr'\]"),
        ({"objective": {"name": "magic"}}, "magic"),
        ({"model": {"variant": "N", "tubelet": (3, 8, 8)}}, "does not divide"),
        ({"steps": 0}, "steps = 0"),
        ({"health": {"policy": "hope"}}, r"config\.health: policy = 'hope'"),
        ({"optim": {"frozen": ("vidio/*",)}}, r"no parameter matches \['vidio/\*'\]"),
    ],
)
def test_a_wrong_config_is_named_before_anything_is_written(
    tiny_dataset, tmp_path, change, message
):
    with pytest.raises(UserError, match=message):
        run(tiny_config(tiny_dataset, **change), tmp_path / "w")
    assert not (tmp_path / "w" / "config.json").exists()


def test_a_tokenizer_of_a_start_that_failed_is_not_taken(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(train_job, "run_loop", lambda *_args, **_parts: True)
    workdir = tmp_path / "w"
    run(tiny_config(tiny_dataset), workdir)
    ours = (workdir / "tokenizer.json").read_bytes()
    # Another config's, say of a fold whose training patients are tested here.
    others = {"vocabulary_size": 150, "width": 32, "depth": 1, "heads": 2}
    run(tiny_config(tiny_dataset, text=others), workdir)
    assert (workdir / "tokenizer.json").read_bytes() != ours
    run(tiny_config(tiny_dataset), workdir)
    assert (workdir / "tokenizer.json").read_bytes() == ours
