"""Linear probe of frozen features: findings, diagnosis, LVEF."""

from ml_collections import ConfigDict


def get_config(schedule: str = "last_checkpoint") -> ConfigDict:
    """Fits on the training patients, chooses on the validation patients, scores the test patients.

    Args:
        schedule: `last_checkpoint` or `every_checkpoint`.
    """
    return ConfigDict(
        {
            "evaluator": "linear_probe",
            "data": "",  # a dataset directory; empty: the one that the run was trained on
            "split": "test",
            "fold": (),  # (i, k); with an empty `data` the run's own fold
            "tasks": (),  # empty: all
            "ceiling_workdir": "",  # a supervised run of the same trunk, for the rows `supervised`
            "n_bootstrap": 2000,
            "seed": 0,
            "batch_size": 32,
            "schedule": schedule or "last_checkpoint",
            "suffix": "",
            "patience_s": 600.0,
        }
    )
