"""Retrieval between reports and studies."""

from ml_collections import ConfigDict


def get_config(schedule: str = "last_checkpoint") -> ConfigDict:
    """Ranks the test studies for each report and the reports for each study.

    Args:
        schedule: `last_checkpoint` or `every_checkpoint`.
    """
    return ConfigDict(
        {
            "evaluator": "retrieval",
            "data": "",  # a dataset directory; empty: the one that the run was trained on
            "split": "test",
            "fold": (),  # (i, k); with an empty `data` the run's own fold
            "n_bootstrap": 2000,
            "seed": 0,
            "batch_size": 32,
            "schedule": schedule or "last_checkpoint",
            "suffix": "",
            "patience_s": 600.0,
        }
    )
