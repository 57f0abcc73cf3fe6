"""Segmentation and diagnosis from one network, after Snaauw et al. 2019 (ISBI; arXiv 1810.10117).

`:joint` (default) trains both tasks on ACDC, `:segmentation` and `:diagnosis` each alone with all
else the same: the paper's claim is that the joint run diagnoses better (errors of 22 % against 32 %
on the 50 test patients) and converges faster. `data.dataset` is to be given: ACDC from
`cmrjax prepare --source acdc --frames 2 --size 128 --spacing 1.5`, whose two frames are the drawn
ones. `:debug` is the joint run in small, on ACDC prepared with the defaults.

From the paper: the data and its split, the two tasks, four classes of pixels, five diagnoses, one
loss of both. All else is marked: of its network and its weights no source here tells more.
"""

from ml_collections import ConfigDict

FORMS = {
    "joint": ("segmentation", "diagnosis"),
    "segmentation": ("segmentation",),
    "diagnosis": ("diagnosis",),
    "debug": ("segmentation", "diagnosis"),
}


def get_config(form: str = "joint") -> ConfigDict:
    """A supervised run.

    Args:
        form: one of `FORMS`.
    """
    form = form or "joint"
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: use one of {(*FORMS,)}")
    debug = form == "debug"
    return ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                # Short-axis slices of an example; not from the paper.
                "cines": 4 if debug else 8,
                # End-diastole and end-systole, which ACDC draws.
                "clip_frames": 2,
                "clip_sampling": "ed_es",
                "crop_size": 0 if debug else 128,  # not from the paper
            },
            # Not from the paper, all six.
            "steps": 100 if debug else 3000,
            "batch_size": 8 if debug else 16,
            "seed": 0,
            "checkpoint_every": 50 if debug else 500,
            "log_every": 10,
            "keep_checkpoints": 3,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            # Not from the paper, all of it.
            "model": {
                "family": "vit",
                "variant": "N" if debug else "S",
                # Both frames of a place in one token: motion is inside each.
                "tubelet": (2, 8, 8),
                "attention": "joint",
                "positions": "separable",
                "cls_token": False,
                "pool": "mean",
                "final_norm": "tokens",
                "remat": "none" if debug else "full",
                "unroll": 4 if debug else 1,
                "motion_gain": 1.0,
                "dtype": "float32" if debug else "bfloat16",
            },
            "objective": {
                "name": "multitask",
                "tasks": FORMS[form],
                "classes": 4,
                "label": "group",
                "diagnoses": 5,
                "weights": "fixed",  # not from the paper, like the rest
                "segmentation_weight": 1.0,
                "diagnosis_weight": 1.0,
                "pool": "mean",
                "channels": 32 if debug else 64,
            },
            # Not from the paper, all of it.
            "optim": {
                "learning_rate": 1e-3 if debug else 3e-4,
                "warmup_steps": 10 if debug else 150,
                "final_ratio": 0.01,
                "weight_decay": 0.05,
                "b1": 0.9,
                "b2": 0.95,
                "clip_norm": 1.0,
            },
            # Not from the paper, all of it.
            "augment": {
                "shift": 0.06,
                "zoom": 0.1,
                "gain": 0.2,
                "brightness": 0.08,
                "noise": 0.02,
            },
        }
    )
