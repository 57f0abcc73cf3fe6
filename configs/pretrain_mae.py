"""Masked autoencoding of cines: their frames as images, or clips as videos.

`:frames` (default) is MAE (He et al. 2022; arXiv 2111.06377, ViT-B/16) with every drawn frame of a
cine an image; `:videos` is VideoMAE (Tong et al. 2022; arXiv 2203.12602, ViT-B) with tubes hidden.
Both are for a dataset of 224 pixels or more, which `data.dataset` names. `:debug` and
`:debug_videos` are the same in small, on the demo's data; none of their values is from a paper.

The papers are about photographs and films of people. What differs here on purpose: no flip, which
puts the right ventricle on the wrong side, and mild shifts and zooms for the crops of 20 to 100 %,
which would cut the heart; no class token; learned positions in the encoder, of time and of place.
"""

from typing import Any

from ml_collections import ConfigDict

FORMS = ("frames", "videos", "debug", "debug_videos")

VIT_B = {
    "family": "vit",
    "variant": "B",
    "attention": "joint",
    "positions": "separable",
    "cls_token": False,
    "pool": "mean",
    "final_norm": "tokens",
    "remat": "full",
    "scan": True,
    "unroll": 1,
    "motion_gain": 0.0,
    "dtype": "bfloat16",
}
SMALL_VIT = {"variant": "N", "remat": "none", "unroll": 4, "dtype": "float32"}


def get_config(form: str = "frames") -> ConfigDict:
    """A pretraining run.

    Args:
        form: one of `FORMS`.
    """
    form = form or "frames"
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: use one of {FORMS}")
    debug, videos = form.startswith("debug"), form.endswith("videos")
    config: Any = ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                # Not from the papers: how a batch is drawn from studies. 64 x 4 x 16 frames make
                # the 4096 images of MAE's batch, 256 x 4 clips the 1024 of VideoMAE's.
                "cines": 4,
                "clip_frames": 16,
                "clip_sampling": "uniform",
                "crop_size": 224,
            },
            # 800 epochs, of ImageNet-1k's 1,281,167 images and of Kinetics-400's 240,000 videos.
            # Not from the papers: a set of cines is smaller, and these are then more epochs.
            "steps": 800 * 240_000 // 1024 if videos else 800 * 1_281_167 // 4096,
            "batch_size": 256 if videos else 64,
            "seed": 0,  # not from the papers, like the next four
            "checkpoint_every": 5000,
            "log_every": 50,
            "keep_checkpoints": 3,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": {
                **VIT_B,
                "frames_as_images": not videos,
                "tubelet": (2, 16, 16) if videos else (1, 16, 16),
            },
            "objective": {
                "name": "mae",
                "mask_ratio": 0.9 if videos else 0.75,
                "masking": "tube" if videos else "random",
                "normalise_targets": True,
                "decoder_width": 384 if videos else 512,
                "decoder_depth": 4 if videos else 8,
                "decoder_heads": 6 if videos else 16,
            },
            # Not from the papers: a network whose embeddings are this much alike has collapsed.
            "health": {"policy": "stop", "min_spread": 0.005},
            "optim": {
                # 1.5e-4 times the batch over 256.
                "learning_rate": 6e-4 if videos else 2.4e-3,
                # 40 of the 800 epochs.
                "warmup_steps": 9_375 if videos else 12_511,
                # VideoMAE ends at 1e-5, MAE at 0.
                "final_ratio": 1 / 60 if videos else 0.0,
                "weight_decay": 0.05,
                "b1": 0.9,
                "b2": 0.95,
                "clip_norm": 1.0,  # not from the papers
            },
            # Not from the papers, see above.
            "augment": {
                "shift": 0.06,
                "zoom": 0.1,
                "gain": 0.1,
                "brightness": 0.05,
                "noise": 0.0,
            },
        }
    )
    return _small(config, videos=videos) if debug else config


def _small(config: Any, *, videos: bool) -> ConfigDict:
    """The run in small: two cores need less than two minutes on the demo's data."""
    config.data.update(
        {
            "dataset": "runs/demo/dataset",
            "cines": 2,
            "clip_frames": 8 if videos else 2,
            "crop_size": 0,
        }
    )
    config.update({"steps": 240, "batch_size": 16, "checkpoint_every": 120, "log_every": 10})
    config.model.update(SMALL_VIT | {"tubelet": (4, 8, 8) if videos else (1, 8, 8)})
    config.objective.update({"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 2})
    config.optim.update({"learning_rate": 2e-3, "warmup_steps": 20, "final_ratio": 0.01})
    return config
