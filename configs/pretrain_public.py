"""A contrastive run that starts from a public ViT-B/16 of photographs and a BERT-base.

`configs/pretrain_public.py:FOLDER` reads `FOLDER/vit` and `FOLDER/bert`, each with
`model.safetensors`, `config.json` and what lies beside them; see docs/import.md.
"""

from ml_collections import ConfigDict


def get_config(folder: str = "weights") -> ConfigDict:
    """A run for one GPU; `data.dataset` is to be given.

    Args:
        folder: of the weights.
    """
    folder = folder or "weights"
    return ConfigDict(
        {
            "data": {
                "dataset": "",
                "split": "train",
                "fold": (),
                "cines": 4,
                "sentences": 6,
                "statements": 32,
                "clip_frames": 16,
                "clip_sampling": "uniform",
                "crop_size": 0,
                "report_sections": ("findings", "impression"),
                "max_tokens": 64,
            },
            "steps": 10_000,
            "batch_size": 32,
            "seed": 0,
            "checkpoint_every": 1000,
            "log_every": 20,
            "keep_checkpoints": 3,
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "pretrained": {
                "video": {
                    "path": f"{folder}/vit",
                    # Grey as three equal colours, and each frame a half of the photograph's patch.
                    "channels": "sum",
                    "inflate": "average",
                    "positions": "resample",
                    "allow_unexpected": ("classifier.*",),
                },
                "text": {
                    "path": f"{folder}/bert",
                    "allow_unexpected": ("cls.*", "bert.pooler.*"),
                },
            },
            # What the two sources are: anything else is refused by name.
            "model": {
                "family": "vit",
                "variant": "B",
                "tubelet": (2, 16, 16),
                "cls_token": True,
                "pool": "cls",
                "activation": "gelu",
                "epsilon": 1e-12,
                "remat": "full",
                "dtype": "bfloat16",
                "joint": 512,
                "init_temperature": 0.07,
                "init_bias": -4.0,
            },
            "text": {
                "vocabulary": f"{folder}/bert/vocab.txt",
                "lowercase": True,
                "style": "bert",
                "width": 768,
                "depth": 12,
                "heads": 12,
                "pool": "mean",
                "remat": "full",
                "dtype": "bfloat16",
            },
            "objective": {"name": "contrastive", "loss": "softmax", "positives": "statement"},
            # A network whose embeddings are this much alike has collapsed: the run stops.
            "health": {"policy": "stop", "min_spread": 0.005},
            "optim": {
                "learning_rate": 5e-5,
                "warmup_steps": 500,
                "final_ratio": 0.01,
                "weight_decay": 0.05,
                "b1": 0.9,
                "b2": 0.98,
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
