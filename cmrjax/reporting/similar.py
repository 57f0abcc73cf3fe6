"""Studies found by similarity: neighbours of a study, and studies that fit a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmrjax.data.records import Study
from cmrjax.data.reports import sections
from cmrjax.evals.embeddings import Cohort, StudyEmbeddings
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.zero_shot import Ensemble, scores
from cmrjax.reporting import words
from cmrjax.reporting.cines import representative

QUERIES, NEIGHBOURS, TOP = 6, 4, 5
CINES_A_STUDY = 2
MAX_REPORT = 3000  # characters of a report that the page shows
_MAX_NUMBERS = 3


@dataclass(frozen=True)
class StudyCard:
    """A study as the page shows it.

    Args:
        name: the first characters of its hashed id.
        split: its split.
        cines: (row of the index, view).
        findings: names of its positive labels and its classes.
        numbers: its measured labels with their units.
        impression: the report's impression, '' without text.
        report: the whole report, '' without text.
        score: similarity to what was asked, as text.
        truth: 'present', 'absent' or '' for what was asked, by the study's label.
    """

    name: str
    split: str
    cines: tuple[tuple[int, str], ...]
    findings: tuple[str, ...]
    numbers: tuple[str, ...]
    impression: str
    report: str
    score: str = ""
    truth: str = ""


@dataclass(frozen=True)
class Neighbours:
    """A study and those most similar to it, best first."""

    query: StudyCard
    found: tuple[StudyCard, ...]


@dataclass(frozen=True)
class TextQuery:
    """A query and the studies that fit it best.

    Args:
        name: what the select box calls it.
        kind: 'sentence' or 'ensemble'.
        positive: sentences that were asked for.
        negative: sentences that were subtracted.
        found: best first.
        summary: how many of them have the finding, beside how many in all.
    """

    name: str
    kind: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    found: tuple[StudyCard, ...]
    summary: str


def study_card(
    cohort: Cohort,
    i: int,
    tasks: Mapping[str, Mapping],
    *,
    show_text: bool,
    score: str = "",
    truth: str = "",
) -> StudyCard:
    """The card of study `i` of a cohort."""
    study: Study = cohort.members[i]
    values = {task: float(cohort.labels[task][i]) for task in tasks}
    known = {task: value for task, value in values.items() if np.isfinite(value)}
    report = cohort.reports[i][:MAX_REPORT].strip() if show_text else ""
    return StudyCard(
        name=study.study_id[:8],
        split=cohort.split,
        cines=tuple(representative(study, limit=CINES_A_STUDY)),
        findings=tuple(_findings(known, tasks)),
        numbers=tuple(
            words.measured(task, value)
            for task, value in sorted(known.items(), key=lambda pair: words.measured_order(pair[0]))
            if tasks[task]["kind"] == "regression"
        )[:_MAX_NUMBERS],
        impression=_impression(report),
        report=report,
        score=score,
        truth=truth,
    )


def _findings(known: Mapping[str, float], tasks: Mapping[str, Mapping]) -> list[str]:
    binary = [t for t, value in known.items() if tasks[t]["kind"] == "binary" and value == 1]
    classes = [
        tasks[task]["classes"][int(value)]
        for task, value in known.items()
        if tasks[task]["kind"] == "multiclass"
    ]
    # ACDC gives the class both ways; one of them is enough.
    return classes or [words.task_name(task) for task in binary]


def _impression(report: str) -> str:
    if not report:
        return ""
    found = sections(report)
    return " ".join((found.get("impression") or found.get("findings") or report).split())[:400]


def choose_queries(cohort: Cohort, tasks: Mapping[str, Mapping], *, count: int) -> list[int]:
    """Studies to show, by label and id alone: never by how well the model does on them.

    One study a binary finding, the rarest first, then studies evenly spread.
    """
    rank = {t: np.nansum(cohort.labels[t]) for t in tasks if tasks[t]["kind"] == "binary"}
    chosen: list[int] = []
    for task in sorted((t for t in rank if rank[t] > 0), key=lambda t: (rank[t], t)):
        free = [i for i in np.flatnonzero(cohort.labels[task] == 1).tolist() if i not in chosen]
        chosen += free[:1]
    spread = np.linspace(0, len(cohort.members) - 1, min(count, len(cohort.members))).astype(int)
    return list(dict.fromkeys([*chosen, *spread.tolist()]))[:count]


def neighbours(
    cohorts: Sequence[Cohort],
    embedded: Sequence[StudyEmbeddings],
    tasks: Mapping[str, Mapping],
    *,
    show_text: bool,
) -> list[Neighbours]:
    """The studies most similar to some test studies.

    Args:
        cohorts: the test split first; then further splits whose studies may be found.
        embedded: their embeddings.
        tasks: the dataset's labels.
        show_text: whether cards hold report text.

    Returns:
        One entry a query; studies of the query's own patient are left out.
    """
    z = np.concatenate([e.z for e in embedded])
    patient = np.concatenate([e.patient_id for e in embedded])
    place = [(c, i) for c in cohorts for i in range(len(c.members))]
    out = []
    for i in choose_queries(cohorts[0], tasks, count=QUERIES):
        similarity = np.where(patient == patient[i], -np.inf, z @ z[i])
        found = []
        for j in np.argsort(-similarity, kind="stable")[:NEIGHBOURS].tolist():
            if np.isfinite(similarity[j]):
                cohort, k = place[j]
                score = words.number(float(similarity[j]))
                found.append(study_card(cohort, k, tasks, show_text=show_text, score=score))
        query = study_card(cohorts[0], i, tasks, show_text=show_text)
        out.append(Neighbours(query, tuple(found)))
    return out


def text_queries(
    encoder: Encoder,
    cohort: Cohort,
    embedded: StudyEmbeddings,
    prompts: Mapping[str, Ensemble],
    tasks: Mapping[str, Mapping],
    *,
    show_text: bool,
) -> list[TextQuery]:
    """The studies that fit each prompt best: one sentence by itself, and the whole ensemble.

    Args:
        encoder: with a text tower.
        cohort: the studies to search.
        embedded: their embeddings.
        prompts: task -> ensemble.
        tasks: the dataset's labels.
        show_text: whether cards hold report text.

    Raises:
        NoTextTowerError: the encoder has none.
    """
    # All sentences in one batch: another number of sentences would be another compiled program.
    listed = sorted({s for p in prompts.values() for s in (*p.positive, *p.negative)})
    vector = dict(zip(listed, encoder.encode_text(listed), strict=True))

    def encode(sentences: Sequence[str]) -> np.ndarray:
        return np.stack([vector[s] for s in sentences])

    out = []
    for task, ensemble in prompts.items():
        sentence = ensemble.positive[0]
        single = embedded.z @ vector[sentence]
        both = scores(embedded.z, ensemble, encode)
        label = cohort.labels.get(task) if tasks.get(task, {}).get("kind") == "binary" else None
        for kind, name, score, used in (
            ("sentence", sentence, single, Ensemble((sentence,), ())),
            ("ensemble", words.task_name(task), both, ensemble),
        ):
            best = np.argsort(-score, kind="stable")[:TOP]
            found = tuple(
                study_card(
                    cohort,
                    int(i),
                    tasks,
                    show_text=show_text,
                    score=words.number(float(score[i])),
                    truth=_truth(label, int(i)),
                )
                for i in best
            )
            out.append(
                TextQuery(name, kind, used.positive, used.negative, found, _summary(label, best))
            )
    return sorted(out, key=lambda query: query.kind != "ensemble")


def _truth(label: np.ndarray | None, i: int) -> str:
    if label is None or not np.isfinite(label[i]):
        return ""
    return "present" if label[i] == 1 else "absent"


def _summary(label: np.ndarray | None, best: np.ndarray) -> str:
    """Hits among those shown, and what a random draw would hold."""
    if label is None or not np.isfinite(label[best]).all():
        return ""
    known = label[np.isfinite(label)]
    hits, chance = int(label[best].sum()), float(known.mean()) * len(best)
    return (
        f"{hits} of the {len(best)} studies shown have the finding; {chance:.1f} would by chance "
        f"({int(known.sum())} of {len(known)} studies have it)."
    )
