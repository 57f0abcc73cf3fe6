"""The demo's runs on the phantom: contrastive pretraining, and the supervised ceiling.

`:contrastive` (default) trains a small video ViT against the reports; `:supervised` trains the same
trunk on the labels themselves, which no report-trained model is expected to pass. `:mvit` is
`:contrastive` with a small multiscale tower.
"""

from ml_collections import ConfigDict

from cmrjax.data.phantom.findings import FINDINGS

OBJECTIVES = {
    "contrastive": {"name": "contrastive", "loss": "softmax", "positives": "statement"},
    "supervised": {"name": "supervised", "binary": FINDINGS, "regression": ("lvef",)},
}

# The ceiling sees a label a study, not a sentence: it needs fewer steps.
STEPS = {"contrastive": 300, "supervised": 250}

VIT = {
    "family": "vit",
    "variant": "N",
    # All frames of a place in one token: few tokens, and motion inside each.
    "tubelet": (8, 16, 16),
    "attention": "joint",
    "temporal_depth": 1,
    "positions": "separable",
    "cls_token": False,
    "registers": 0,
    "pool": "mean",
    "final_norm": "tokens",
    "layer_scale": False,
    "remat": "none",
    "scan": True,
    "unroll": 4,
    "motion_gain": 4.0,
    "dtype": "float32",
}

# Two stages on 4 x 16 x 16 tokens; every number is our own.
MVIT = {
    "family": "mvit",
    "size": (32, 4, 1),
    "stages": (1, 2),
    "kv_stride": (1, 4, 4),
    "remat": "none",
    "dtype": "float32",
}


def get_config(form: str = "contrastive") -> ConfigDict:
    """A run that a laptop finishes in minutes.

    Args:
        form: one of `OBJECTIVES`, or 'mvit'.
    """
    form = form or "contrastive"
    objective = "contrastive" if form == "mvit" else form
    config = ConfigDict(
        {
            "data": {
                "dataset": "runs/demo/dataset",
                "split": "train",
                "fold": (),
                "cines": 4,
                "sentences": 6,
                "statements": 32,
                "clip_frames": 8,
                "clip_sampling": "uniform",
                "crop_size": 0,
                "report_sections": ("findings", "impression"),
                "max_tokens": 20,
            },
            "steps": STEPS[objective],
            "batch_size": 64,
            "seed": 0,
            "checkpoint_every": STEPS[objective] // 2,
            "log_every": 10,
            "keep_checkpoints": 0,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {"workdir": "", "step": -1, "take": ("video",)},
            "model": {
                **(MVIT if form == "mvit" else VIT),
                "joint": 128,
                "init_temperature": 0.07,
                "init_bias": -4.0,
            },
            "objective": dict(OBJECTIVES[objective]),
            "optim": {
                "learning_rate": 1e-3,
                "warmup_steps": 30,
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
        }
    )
    if objective == "contrastive":
        # A network whose embeddings are this much alike has collapsed: the run stops.
        config.health = ConfigDict({"policy": "stop", "min_spread": 0.005})
        config.text = ConfigDict(
            {"vocabulary": "", "vocabulary_size": 600, "width": 128, "depth": 1, "heads": 4}
        )
    return config
