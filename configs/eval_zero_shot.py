"""Zero-shot findings from prompts. `:phantom` (default) or `:acdc` chooses the sentences."""

from ml_collections import ConfigDict


def get_config(prompts: str = "phantom") -> ConfigDict:
    """Scores every binary task that has prompts; no label is looked at."""
    return ConfigDict(
        {
            "evaluator": "zero_shot",
            "data": "",  # a dataset directory; empty: the one that the run was trained on
            "split": "test",
            "fold": (),  # (i, k); with an empty `data` the run's own fold
            "tasks": (),  # empty: all
            "prompts": prompts or "phantom",
            "n_bootstrap": 2000,
            "seed": 0,
            "batch_size": 32,
            "schedule": "every_checkpoint",
            "suffix": "",
            "patience_s": 600.0,
        }
    )
