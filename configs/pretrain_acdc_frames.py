"""Pretraining on single frames of ACDC without labels, and the same network trained on labels.

`:mae` and `:dino` see end-diastolic and end-systolic frames alone; `:supervised` trains the tower
end to end on the five groups and the LVEF. One network, a ViT-Ti/8 on frames of 64 x 64: what two
cores can train in minutes, after Jacob et al. 2025, who train a ViT-S/8 by DINO on 36 M frames.
`cmrjax reproduce acdc_pretraining` runs all three inside each fold.
"""

from ml_collections import ConfigDict

GROUPS = ("nor", "dcm", "hcm", "minf", "rv")
OBJECTIVES = {
    "mae": {
        "name": "mae",
        "mask_ratio": 0.75,
        "masking": "random",
        # With normalised targets 300 steps told nothing of a patch (R2 .02).
        "normalise_targets": False,
        "decoder_width": 96,
        "decoder_depth": 2,
        "decoder_heads": 3,
    },
    # Fewer and larger crops and fewer prototypes than published, and Sinkhorn-Knopp: a few thousand
    # frames and minutes of two cores are all there is, and with so few a running centre collapses.
    "dino": {
        "name": "dino",
        "prototypes": 512,
        "hidden": 256,
        "bottleneck": 64,
        "global_crops": 2,
        "global_scale": (0.5, 1.0),
        "local_crops": 2,
        "local_scale": (0.15, 0.5),
        "local_size": 32,
        "teacher_temperature": (0.04, 0.07),
        "teacher_warmup": 0.3,
        "momentum": (0.996, 1.0),
        "centring": "sinkhorn",
        "freeze_last_layer": 0.05,
        "koleo_weight": 0.1,
    },
    "supervised": {"name": "supervised", "binary": GROUPS, "regression": ("lvef",)},
}
# Steps, warm-up, studies of a batch, cines of a study, learning rate. Masked autoencoding tells the
# mean image for its first thousand steps, whatever the batch: many small batches.
SCHEDULES = {
    "mae": (3000, 150, 4, 4, 1e-3),
    "dino": (160, 20, 8, 3, 5e-4),
    "supervised": (60, 7, 8, 6, 5e-4),
}


def get_config(arm: str = "mae") -> ConfigDict:
    """A run that two cores finish in minutes (MAE: ten).

    Args:
        arm: one of `OBJECTIVES`.
    """
    arm = arm or "mae"
    steps, warmup, batch, cines, learning_rate = SCHEDULES[arm]
    return ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                "cines": cines,
                "clip_frames": 2,
                "clip_sampling": "uniform",
                "crop_size": 0,
            },
            "steps": steps,
            "batch_size": batch,
            "seed": 0,
            "checkpoint_every": steps,
            "log_every": 10,
            "keep_checkpoints": 1,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": {
                "family": "vit",
                "variant": "Ti",
                "frames_as_images": True,
                "tubelet": (1, 8, 8),
                "cls_token": False,
                "pool": "mean",
                "remat": "none",
                "unroll": 4,
                "dtype": "float32",
            },
            "objective": dict(OBJECTIVES[arm]),
            "optim": {
                "learning_rate": learning_rate,
                "warmup_steps": warmup,
                "final_ratio": 0.01,
                "weight_decay": 0.05,
                "b1": 0.9,
                "b2": 0.95,
                "clip_norm": 1.0,
            },
            "augment": {
                "shift": 0.06,
                "zoom": 0.1,
                "gain": 0.2,
                "brightness": 0.08,
                "noise": 0.0,
            },
        }
    )
