"""Zero-shot: findings read from sentences alone.

A study's score for a finding is the mean similarity to sentences that state it, minus the mean
similarity to sentences that deny it. No label is looked at: neither a threshold nor a direction is
fitted, so an AUROC below .5 stays below .5.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.evals import metrics, plots
from cmrjax.evals.base import Result
from cmrjax.evals.embeddings import StudyEmbeddings
from cmrjax.evals.predictions import Predictions

PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Ensemble:
    """Sentences that state a finding, and sentences that deny it."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]


def load_prompts(name: str) -> dict[str, Ensemble]:
    """Reads prompt ensembles.

    Args:
        name: a file that comes with the package ('phantom', 'acdc'), or the path of a JSON file
            `{task: {"positive": [...], "negative": [...]}}`.

    Raises:
        UserError: there is no such file, or a task lacks one of the two lists.
    """
    path = PROMPTS / f"{name}.json" if not name.endswith(".json") else Path(name)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in PROMPTS.glob("*.json")))
        raise UserError(
            f"no prompts {name!r}", where="config.prompts", fix=f"use {known} or a .json file"
        ) from None
    except (OSError, ValueError):
        raise UserError("is not readable JSON", where=str(path)) from None
    if not isinstance(data, dict) or not data:
        raise UserError("is not an object of tasks", where=str(path))
    return {task: _ensemble(task, lists, path) for task, lists in data.items()}


def _ensemble(task: str, lists: object, path: Path) -> Ensemble:
    sides = []
    for side in ("positive", "negative"):
        found = lists.get(side) if isinstance(lists, dict) else None
        if not isinstance(found, list) or not found or not all(isinstance(s, str) for s in found):
            raise UserError(f"task {task!r} has no list of {side} sentences", where=str(path))
        sides.append(tuple(found))
    return Ensemble(*sides)


def scores(
    z_video: np.ndarray, ensemble: Ensemble, encode_text: Callable[[Sequence[str]], np.ndarray]
) -> np.ndarray:
    """Mean similarity to the positive sentences minus that to the negative ones.

    Args:
        z_video: `[n, d]` unit vectors of studies.
        ensemble: the sentences of one finding.
        encode_text: sentences to unit vectors `[m, d]`.

    Returns:
        `[n]`.
    """
    z_text = np.asarray(encode_text([*ensemble.positive, *ensemble.negative]), np.float64)
    m = len(ensemble.positive)
    direction = z_text[:m].mean(axis=0) - z_text[m:].mean(axis=0)
    return np.asarray(z_video, np.float64) @ direction


def evaluate(
    embeddings: Mapping[str, StudyEmbeddings],
    encode_text: Mapping[str, Callable[[Sequence[str]], np.ndarray]],
    prompts: Mapping[str, Ensemble],
    how: metrics.Resampling,
    *,
    evaluator: str = "zero_shot",
) -> Result:
    """Scores every finding that has prompts with every encoder.

    Args:
        embeddings: encoder name -> its embeddings of the same studies.
        encode_text: encoder name -> its text tower.
        prompts: task -> ensemble; each task is a binary label of the studies.
        how: the resampling.
        evaluator: name for rows and predictions.
    """
    first = next(iter(embeddings.values()))
    found: dict[str, dict[str, np.ndarray]] = {
        name: {t: scores(e.z, p, encode_text[name]) for t, p in prompts.items()}
        for name, e in embeddings.items()
    }
    found["trivial"] = {task: np.zeros(len(first.study_id)) for task in prompts}
    predictions = [
        Predictions(
            evaluator=evaluator,
            encoder=name,
            task=task,
            kind="binary",
            patient_id=first.patient_id,
            study_id=first.study_id,
            target=first.labels[task],
            prediction=score,
        ).known()
        for name, by_task in found.items()
        for task, score in by_task.items()
    ]
    return Result(
        rows=metrics.all_rows(predictions, how),
        predictions=predictions,
        figures=plots.figures(predictions),
    )
