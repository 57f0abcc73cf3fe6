"""Retrieval: does a report find its study among all, and a study its report?

A report's vector is the mean of its sentences' vectors, since sentences are what the text tower is
trained on. Many reports say the same in other numbers; the strict tasks count the one right study,
the tasks `*_or_duplicate` also count studies whose report makes the same set of statements.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.reports import near_key, sentences
from cmrjax.evals import metrics
from cmrjax.evals.base import Result, Row
from cmrjax.evals.embeddings import StudyEmbeddings
from cmrjax.evals.predictions import RANK_TASKS, Predictions

EncodeText = Callable[[Sequence[str]], np.ndarray]


def report_vectors(listed: Sequence[Sequence[str]], encode_text: EncodeText) -> np.ndarray:
    """Unit vectors `[n, d]`, the mean over each report's sentences.

    Args:
        listed: the sentences of each report, at least one each.
        encode_text: sentences to unit vectors; called once with each distinct sentence.
    """
    unique = list(dict.fromkeys(s for report in listed for s in report))
    row = {s: i for i, s in enumerate(unique)}
    z = np.asarray(encode_text(unique), np.float64)
    means = np.stack([z[[row[s] for s in report]].mean(axis=0) for report in listed])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def ranks(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of the best relevant candidate of each query; ties take their middle.

    Args:
        similarity: `[n, m]`, queries by candidates.
        relevant: bool `[n, m]`, at least one in each row.

    Returns:
        float `[n]`, 1 is best. Candidates as similar as the best relevant one, and not relevant
        themselves, count half: an encoder that gives everything one vector gains nothing.
    """
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    others = ~relevant
    above = np.sum((similarity > best) & others, axis=1)
    equal = np.sum((similarity == best) & others, axis=1)
    return 1.0 + above + equal / 2


def same_statements(listed: Sequence[Sequence[str]]) -> np.ndarray:
    """Bool `[n, n]`: reports whose sentences are equal but for numbers and punctuation."""
    keys = [frozenset(near_key(s) for s in report) for report in listed]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    codes = np.array([number[key] for key in keys])
    return codes[:, None] == codes[None, :]


def chance_rows(
    relevant: np.ndarray, how: metrics.Resampling, *, evaluator: str, task: str
) -> list[Row]:
    """The expectation under a random order, exactly; there is nothing to resample, so no interval.

    Args:
        relevant: bool `[n, m]`.
        how: names split and step.
        evaluator: name for the rows.
        task: name for the rows.
    """
    m, right = relevant.shape[1], relevant.sum(axis=1)
    values = {}
    for k in metrics.RECALL_AT:
        # All of the first k are wrong: C(m - right, k) / C(m, k), as a product over the k draws.
        draws = np.arange(min(k, m))
        wrong = np.clip((m - right)[:, None] - draws, 0, None) / (m - draws)
        values[f"recall_at_{k}"] = float(np.mean(1 - np.prod(wrong, axis=1)))
    values["median_rank"] = float(np.median((m + 1) / (right + 1)))
    return [
        Row(evaluator, "trivial", task, metric, value, None, None, m, None, how.split, how.step)
        for metric, value in values.items()
    ]


def evaluate(
    embeddings: Mapping[str, StudyEmbeddings],
    encode_text: Mapping[str, EncodeText],
    report_sections: Sequence[str],
    how: metrics.Resampling,
    *,
    evaluator: str = "retrieval",
) -> Result:
    """Ranks studies for each report and reports for each study, over the studies with a report.

    Args:
        embeddings: encoder name -> its embeddings of the same studies.
        encode_text: encoder name -> its text tower.
        report_sections: sections of the report that the text tower reads.
        how: the resampling.
        evaluator: name for rows and predictions.

    Raises:
        UserError: fewer than two studies have a report.
    """
    first = next(iter(embeddings.values()))
    listed = [sentences(r, report_sections) if r else [] for r in first.reports]
    have = np.array([i for i, s in enumerate(listed) if s], int)
    if len(have) < 2:
        raise UserError("fewer than two studies have a report", where="config.data")
    listed = [listed[i] for i in have]
    strict, loose = np.eye(len(have), dtype=bool), same_statements(listed)

    def predictions(encoder: str, task: str, rank: np.ndarray) -> Predictions:
        ids = (first.patient_id[have], first.study_id[have])
        return Predictions(evaluator, encoder, task, "rank", *ids, np.ones(len(have)), rank)

    out = []
    for name, embedded in embeddings.items():
        by_report = report_vectors(listed, encode_text[name]) @ embedded.z[have].T
        for task, similarity in zip(RANK_TASKS, (by_report, by_report.T), strict=True):
            out.append(predictions(name, task, ranks(similarity, strict)))
            out.append(predictions(name, f"{task}_or_duplicate", ranks(similarity, loose)))
    rows = metrics.all_rows(out, how)
    for task in RANK_TASKS:
        rows += chance_rows(strict, how, evaluator=evaluator, task=task)
        rows += chance_rows(loose, how, evaluator=evaluator, task=f"{task}_or_duplicate")
    return Result(rows=rows, predictions=out)
