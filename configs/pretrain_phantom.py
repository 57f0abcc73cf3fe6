"""Contrastive pretraining of a small video ViT and text encoder: the demo's main job.

Arguments: `:steps=N,batch_size=N` are ordinary overrides; none are taken here.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """A run that a laptop finishes in minutes."""
    return ConfigDict(
        {
            "data": {
                "dataset": "runs/demo/dataset",
                "split": "train",
                "fold": (),
                "cines": 4,
                "sentences": 3,
                "statements": 32,
                "clip_frames": 8,
                "clip_sampling": "uniform",
                "crop_size": 0,
                "report_sections": ("findings", "impression"),
                "max_tokens": 24,
            },
            "steps": 500,
            "batch_size": 64,
            "seed": 0,
            "checkpoint_every": 250,
            "log_every": 10,
            "keep_checkpoints": 0,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": {
                "variant": "N",
                "tubelet": (8, 8, 8),
                "remat": True,
                "dtype": "float32",
                "joint": 128,
                "init_temperature": 0.07,
                "init_bias": -4.0,
            },
            "text": {
                "vocabulary": "",
                "vocabulary_size": 600,
                "width": 128,
                "depth": 2,
                "heads": 4,
            },
            "objective": {"name": "contrastive", "loss": "softmax", "positives": "statement"},
            "optim": {
                "learning_rate": 1e-3,
                "warmup_steps": 50,
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
                "noise": 0.02,
            },
        }
    )
