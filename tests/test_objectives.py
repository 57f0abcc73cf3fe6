"""Every objective through the one loop: it resumes to the bit, and devices do not change it."""

import json
import shutil

import jax
import numpy as np
import pytest

from cmrjax import train as train_job
from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh
from cmrjax.core.writer import read_metrics
from cmrjax.evals.workdir_encoder import load_encoder
from cmrjax.experiment import run_config
from cmrjax.health import read_events
from tests.tiny import tiny_config, write_tiny_dataset
from tests.workdirs import SMALL

FRAME = {"size": (16, 1, 2), "tubelet": (1, 4, 4), "frames_as_images": True, "joint": 16}
CLIP = {"size": (16, 1, 2), "tubelet": (2, 4, 4), "joint": 16}
HEAD = {"prototypes": 32, "hidden": 16, "bottleneck": 8}
RUNS = {
    "contrastive, clips around a ring, in parts, tokens dropped": {
        "model": SMALL["model"] | {"tubelet": (2, 4, 4)},
        "objective": {
            "name": "contrastive",
            "loss": "sigmoid",
            "level": "clip",
            "form": "ring",
            "cache_parts": 2,
            "token_drop": 0.5,
        },
    },
    "contrastive, gated studies, chunked": {
        "model": SMALL["model"] | {"study_pool": "gated"},
        "objective": {"name": "contrastive", "positives": "similarity", "form": "chunked"},
    },
    "dino on frames": {
        "model": FRAME,
        "objective": {"name": "dino", "local_crops": 2, "local_size": 8, **HEAD},
    },
    "dino on clips, Sinkhorn, iBOT and KoLeo": {
        "model": CLIP,
        "objective": {
            "name": "dino",
            "centring": "sinkhorn",
            "ibot_weight": 1.0,
            "koleo_weight": 0.1,
            "local_crops": 0,
            **HEAD,
        },
    },
    "mae in tubes": {
        "model": CLIP,
        "objective": {
            "name": "mae",
            "masking": "tube",
            "decoder_width": 16,
            "decoder_depth": 1,
            "decoder_heads": 2,
        },
    },
    "multitask, learned weights": {
        "model": CLIP,
        "objective": {
            "name": "multitask",
            "tasks": ("segmentation",),
            "weights": "learned",
            "channels": 16,
        },
    },
    "supervised, averaged weights, accumulated": {
        "model": FRAME,
        "objective": {"name": "supervised", "binary": ("bright",), "regression": ("lvef",)},
        "optim": {"ema_decay": 0.9, "accumulate": 2},
    },
}


# The others' parts are in these, too; `make test-slow` runs them.
SLOW = (
    "contrastive, gated studies, chunked",
    "dino on clips, Sinkhorn, iBOT and KoLeo",
    "multitask, learned weights",
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tiny_dataset(tmp_path_factory.mktemp("objectives") / "dataset", masks=True)


def config_of(dataset, name, **changes):
    config = tiny_config(dataset, steps=4, checkpoint_every=2, **RUNS[name] | changes)
    config["batch_size"] = 16
    return config


def run(config, workdir, devices, monkeypatch):
    monkeypatch.setattr(train_job, "make_mesh", lambda sizes: make_mesh(sizes, devices=devices))
    train_job.train(run_config(config), workdir)
    return [row["loss"] for row in read_metrics(workdir)]


def state(workdir, step):
    parts = ("params", "ema", "extra", "opt_state")
    return jax.tree.leaves(checkpoint.restore_parts(workdir, step, parts=parts)[1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in RUNS]
)
def test_a_run_resumes_to_the_bit_and_eight_devices_give_its_losses(
    dataset, name, tmp_path, monkeypatch
):
    one, again, eight = tmp_path / "one", tmp_path / "again", tmp_path / "eight"
    devices = jax.devices()
    losses = run(config_of(dataset, name), one, devices[:1], monkeypatch)
    assert len(losses) == 4
    assert np.isfinite(losses).all()

    shutil.copytree(one, again)
    shutil.rmtree(again / "checkpoints" / "4")
    assert run(config_of(dataset, name), again, devices[:1], monkeypatch) == losses
    for a, b in zip(state(one, 4), state(again, 4), strict=True):
        assert a.tobytes() == b.tobytes()

    mesh = {"data": 4, "fsdp": 2}
    sharded = run(config_of(dataset, name, mesh=mesh), eight, devices, monkeypatch)
    np.testing.assert_allclose(sharded, losses, rtol=1e-4)

    encoder = load_encoder(one)
    t, side = encoder.input.clip_frames, encoder.input.crop_size
    z = encoder.encode_cine(np.random.default_rng(0).random((2, t, side, side)).astype(np.float32))
    assert np.isfinite(z).all()
    assert not np.allclose(z[0], z[1])


def test_a_collapsing_teacher_stops_the_run(dataset, tmp_path, monkeypatch):
    # No centring and a soft teacher: everything becomes one output (Caron et al. 2021, figure 7).
    collapsing = RUNS["dino on frames"]["objective"] | {
        "centring": "none",
        "teacher_temperature": (1.0, 1.0),
        "momentum": (0.9, 1.0),
        "freeze_last_layer": 0.0,
    }
    config = config_of(dataset, "dino on frames", objective=collapsing)
    config |= {"steps": 200, "checkpoint_every": 200}
    config["optim"] = {"learning_rate": 3e-3, "warmup_steps": 2}
    config["health"] = {"min_teacher_information": 1e-3, "grace_steps": 5, "patience": 3}
    with pytest.raises(UserError, match="collapse: teacher_information") as stopped:
        run(config, tmp_path / "w", jax.devices()[:1], monkeypatch)
    assert stopped.value.exit_code == 2
    (event,) = read_events(tmp_path / "w")
    assert event.what == "teacher_information"
    assert json.loads((tmp_path / "w" / "status.json").read_text())["state"] == "failed"
