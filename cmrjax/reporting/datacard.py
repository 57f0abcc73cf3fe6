"""The data card: what the dataset holds, by view, by split and by label."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrjax.data.contract import VIEWS, DatasetContract, InputContract
from cmrjax.data.records import RecordSource, Study
from cmrjax.data.splits import SPLIT_NAMES
from cmrjax.evals.embeddings import Cohort
from cmrjax.reporting import words

CONTRACT_MEANING = {
    "spacing_mm": "mm between stored pixels, rows and columns alike",
    "size": "rows and columns of a stored frame",
    "frames": "frames stored for one cardiac cycle",
    "orientation": "how rows and columns lie",
    "intensity": "what became black and white",
    "dtype": "stored pixel type",
    "crop": "how the crop around the heart was found",
    "views": "view vocabulary",
    "masks": "whether records hold contours",
    "id_namespace": "which key hashed the identifiers",
    "version": "version of the record layout",
}
_INPUT = {
    "clip_frames": "frames the network sees",
    "clip_sampling": "how they are picked from the cycle",
    "crop_size": "rows and columns the network sees",
    "normalise": "scale of the pixel values",
    "report_sections": "parts of a report the text tower reads",
    "tokenizer": "how text is cut into tokens",
    "max_tokens": "longest text in tokens",
}


@dataclass(frozen=True)
class Share:
    """A count and its share of the largest, in percent."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class SplitCounts:
    """Patients, studies and cines of one split."""

    name: str
    patients: int
    studies: int
    cines: int


@dataclass(frozen=True)
class LabelLine:
    """One label: its text in each split, and its share of the studies where it is binary."""

    name: str
    cells: tuple[str, ...]
    percent: float | None


@dataclass(frozen=True)
class DataCard:
    """Everything the section shows but the pictures.

    Args:
        views: cines of each view.
        splits: counts of each split.
        label_splits: the splits whose labels were read.
        labels: one line a label.
        rejected: reason -> how many.
        contract: (field, value, meaning) of the dataset.
        input: the same of the model's own input.
    """

    views: tuple[Share, ...]
    splits: tuple[SplitCounts, ...]
    label_splits: tuple[str, ...]
    labels: tuple[LabelLine, ...]
    rejected: tuple[tuple[str, int], ...]
    contract: tuple[tuple[str, str, str], ...]
    input: tuple[tuple[str, str, str], ...]


def data_card(
    source: RecordSource,
    members: Mapping[str, Sequence[Study]],
    cohorts: Mapping[str, Cohort],
    contract: InputContract,
) -> DataCard:
    """Counts a dataset.

    Args:
        source: the dataset.
        members: split -> its studies.
        cohorts: the splits whose labels were read.
        contract: the model's own input.
    """
    counts = Counter(source.index.view.tolist())
    most = max(counts.values(), default=1)
    return DataCard(
        views=tuple(
            Share(view, counts[view], 100 * counts[view] / most) for view in VIEWS if counts[view]
        ),
        splits=tuple(_split(name, members[name]) for name in SPLIT_NAMES),
        label_splits=tuple(cohorts),
        labels=tuple(_labels(source.info.get("label_tasks", {}), list(cohorts.values()))),
        rejected=tuple(_rejected(source.info.get("rejected", {}))),
        contract=_fields(source.contract, CONTRACT_MEANING),
        input=_fields(contract, _INPUT),
    )


def _split(name: str, members: Sequence[Study]) -> SplitCounts:
    patients = {study.patient_id for study in members}
    return SplitCounts(name, len(patients), len(members), sum(len(s.rows) for s in members))


def _rejected(rejected: Mapping[str, Any]) -> list[tuple[str, int]]:
    pairs = [(str(k), n if isinstance(n, int) else len(n)) for k, n in rejected.items()]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _fields(contract: DatasetContract | InputContract, meaning: Mapping[str, str]):
    values = {name: getattr(contract, name) for name in meaning}
    texts = {k: ", ".join(v) if isinstance(v, tuple) else str(v) for k, v in values.items()}
    return tuple((name, texts[name], meaning[name]) for name in meaning)


def _labels(tasks: Mapping[str, Mapping[str, Any]], cohorts: Sequence[Cohort]) -> list[LabelLine]:
    """Binary labels by falling prevalence, then classes, then measured quantities."""
    lines: dict[str, list[LabelLine]] = {"binary": [], "multiclass": [], "regression": []}
    for task, spec in tasks.items():
        parts = [c.labels[task][np.isfinite(c.labels[task])] for c in cohorts]
        kind, name = spec["kind"], words.task_name(task)
        if kind == "multiclass":
            for k, label in enumerate(spec["classes"]):
                if label.lower() in tasks:  # given as a binary label, too
                    continue
                lines[kind].append(_share_line(f"{name}: {label}", [p == k for p in parts]))
        elif kind == "binary":
            lines[kind].append(_share_line(name, [p == 1 for p in parts]))
        else:
            lines[kind].append(LabelLine(name, tuple(_spread(p) for p in parts), None))
    lines["binary"].sort(key=lambda line: -(line.percent or 0.0))
    return [line for kind in lines.values() for line in kind]


def _share_line(name: str, parts: Sequence[np.ndarray]) -> LabelLine:
    cells = tuple(f"{int(p.sum())} of {len(p)}" if len(p) else words.DASH for p in parts)
    every = np.concatenate(parts) if parts else np.zeros(0, bool)
    return LabelLine(name, cells, 100 * float(every.mean()) if len(every) else 0.0)


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return words.DASH
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    spread = f" ± {words.quantity(deviation)}" if math.isfinite(deviation) else ""
    return f"{words.quantity(float(values.mean()))}{spread}"
