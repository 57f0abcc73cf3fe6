"""DINO on the frames of cines, each an image: Jacob et al. 2025 (JCMR; arXiv 2410.01665).

The paper gives the network (ViT-S/8), the objective (DINO self-distillation) and the data (36
million two-dimensional CMR images of 27,524 subjects). Its other settings are not published: every
value marked "not from the paper" below is DINO's own (Caron et al. 2021 and its code) unless the
mark says otherwise.

What differs from DINO on purpose: no flip, which puts the right ventricle on the wrong side; no
colour, blur and solarisation, for which contrast, brightness and noise stand; no drop path; and
gradients are clipped by the norm of all together, where DINO clips each parameter's by its own.

The default form is for a dataset of 224 pixels or more, which `data.dataset` names. `:debug` is the
same in small, on the demo's data; none of its values is from a paper.
"""

from typing import Any

from ml_collections import ConfigDict

FORMS = ("", "debug")

VIT_S8 = {
    "family": "vit",
    "variant": "S",
    "tubelet": (1, 8, 8),
    "frames_as_images": True,
    "attention": "joint",
    "positions": "learned",
    "cls_token": True,
    "registers": 0,
    "pool": "cls",
    "final_norm": "tokens",
    "activation": "gelu",
    "remat": "full",
    "scan": True,
    "unroll": 1,
    "motion_gain": 0.0,
    "dtype": "bfloat16",  # not from the paper, nor DINO's
}
SMALL_VIT = {"size": (96, 4, 3), "remat": "none", "unroll": 4, "dtype": "float32"}


def get_config(form: str = "") -> ConfigDict:
    """A pretraining run.

    Args:
        form: one of `FORMS`.
    """
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: use one of {FORMS}")
    config: Any = ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                # Not from the paper, nor DINO's: how images are drawn from studies. 64 studies x 4
                # cines x 4 frames make the 1024 images of DINO's batch.
                "cines": 4,
                "clip_frames": 4,
                "clip_sampling": "uniform",
                "crop_size": 224,  # not from the paper
            },
            # Not from the paper, nor DINO's (which runs for 100 to 800 epochs of 1.28 million
            # images): ten times through 36 million images.
            "steps": 350_000,
            "batch_size": 64,  # not from the paper
            "seed": 0,
            "checkpoint_every": 5000,  # not from the paper, like the next three
            "log_every": 50,
            "keep_checkpoints": 3,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": dict(VIT_S8),
            # Not from the paper, all of it.
            "objective": {
                "name": "dino",
                "prototypes": 65536,
                "hidden": 2048,
                "bottleneck": 256,
                "global_crops": 2,
                "global_scale": (0.4, 1.0),
                "local_crops": 8,
                "local_scale": (0.05, 0.4),
                "local_size": 96,
                "aspect": (3 / 4, 4 / 3),
                "student_temperature": 0.1,
                "teacher_temperature": (0.04, 0.07),
                # 30 of 300 epochs.
                "teacher_warmup": 0.1,
                "momentum": (0.996, 1.0),
                "centring": "centre",
                "centre_momentum": 0.9,
                # One of 100 epochs.
                "freeze_last_layer": 0.01,
                "ibot_weight": 0.0,
                "ibot_mask": (0.1, 0.5),
                "koleo_weight": 0.0,
            },
            # Not from the paper: a teacher whose outputs tell so little has collapsed.
            "health": {"policy": "stop", "min_teacher_information": 1e-3},
            # Not from the paper, all of it.
            "optim": {
                # 5e-4 times the batch over 256.
                "learning_rate": 2e-3,
                # 10 of 100 epochs.
                "warmup_steps": 35_000,
                # To 1e-6.
                "final_ratio": 5e-4,
                "weight_decay": 0.04,
                "final_weight_decay": 0.4,
                "b1": 0.9,
                "b2": 0.999,
                "clip_norm": 3.0,
            },
            # Not from the paper, nor DINO's: see above. Crops take the place of shift and zoom.
            "augment": {
                "shift": 0.0,
                "zoom": 0.0,
                "gain": 0.4,
                "brightness": 0.1,
                "noise": 0.02,
            },
        }
    )
    return _small(config) if form == "debug" else config


def _small(config: Any) -> ConfigDict:
    """The run in small: two cores need less than two minutes on the demo's data."""
    config.data.update(
        {"dataset": "runs/demo/dataset", "cines": 2, "clip_frames": 2, "crop_size": 0}
    )
    config.update({"steps": 60, "batch_size": 16, "checkpoint_every": 30, "log_every": 10})
    config.model.update(SMALL_VIT)
    config.objective.update(
        {
            "prototypes": 1024,
            "hidden": 256,
            "bottleneck": 64,
            "local_crops": 4,
            "local_size": 32,
            # A short run sees few images: larger crops agree more, and the teacher follows sooner.
            "local_scale": (0.1, 0.4),
            "momentum": (0.99, 1.0),
        }
    )
    config.optim.update({"learning_rate": 1e-3, "warmup_steps": 10, "final_ratio": 0.01})
    return config
