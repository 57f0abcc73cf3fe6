"""Pretraining on end-diastole and end-systole: on ACDC, and on a phantom to start from.

ACDC has no reports: its text is made from its labels (`text_source: from_labels`), so what a run
learns from it shows that the way works on real hearts, not what reading real reports would give.

`:acdc` (default) trains on ACDC, from scratch or from what `config.pretrained.workdir` names;
`:phantom` is the run on the phantom that it may name. Both have one network.
"""

from ml_collections import ConfigDict

# Steps, warm-up, learning rate and studies of a batch.
SCHEDULES = {"acdc": (80, 8, 5e-4, 24), "phantom": (300, 30, 1e-3, 64)}


def get_config(source: str = "acdc") -> ConfigDict:
    """A run that two cores finish in a minute or a few.

    Args:
        source: one of `SCHEDULES`.
    """
    steps, warmup, learning_rate, batch = SCHEDULES[source or "acdc"]
    return ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                "cines": 4,
                "sentences": 6,
                "statements": 32,
                # The first frame, and the one that differs most from it.
                "clip_frames": 2,
                "clip_sampling": "ed_es",
                "crop_size": 0,
                "report_sections": ("findings", "impression"),
                "max_tokens": 20,
            },
            "steps": steps,
            "batch_size": batch,
            "seed": 0,
            "checkpoint_every": steps,
            "log_every": 10,
            "keep_checkpoints": 0,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": {
                "variant": "N",
                # Both frames of a place in one token: motion is inside each.
                "tubelet": (2, 16, 16),
                "remat": "none",
                "unroll": 4,
                "motion_gain": 4.0,
                "dtype": "float32",
                "joint": 128,
                "init_temperature": 0.07,
                "init_bias": -4.0,
            },
            "objective": {"name": "contrastive", "loss": "softmax", "positives": "statement"},
            # A network whose embeddings are this much alike has collapsed: the run stops.
            "health": {"policy": "stop", "min_spread": 0.005},
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
                "zoom": 0.06,
                "gain": 0.2,
                "brightness": 0.08,
                "noise": 0.0,
            },
            "text": {
                "vocabulary": "",
                "vocabulary_size": 600,
                "width": 128,
                "depth": 1,
                "heads": 4,
            },
        }
    )
