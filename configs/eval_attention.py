"""Where the model looks: maps over the cines, drawn, and scored against masks of the heart."""

from ml_collections import ConfigDict


def get_config(schedule: str = "last_checkpoint") -> ConfigDict:
    """Draws some studies and scores all that have masks.

    Args:
        schedule: `last_checkpoint` or `every_checkpoint`.
    """
    return ConfigDict(
        {
            "evaluator": "attention",
            "data": "",  # a dataset directory; empty: the one that the run was trained on
            "split": "test",
            "fold": (),  # (i, k); with an empty `data` the run's own fold
            "sentence": "",  # what the gradient map asks for; empty: all of the embedding
            "drawn_studies": 2,
            "n_bootstrap": 2000,
            "seed": 0,
            "batch_size": 32,
            "schedule": schedule or "last_checkpoint",
            "suffix": "",
            "patience_s": 600.0,
        }
    )
