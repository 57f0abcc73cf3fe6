"""What `prepare` is to do for a source, found but not read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.data import engine, labels
from cmrjax.data.sources.public import PublicSource
from cmrjax.data.study import StudyTask
from cmrjax.data.tables import Table


@dataclass(frozen=True)
class Job:
    """A source's studies and what is known before reading them.

    Args:
        studies: what to prepare.
        process: the pure function of one study.
        label_tasks: kind of each label task.
        rejected: files left out already, by reason.
        counts: of reports and labels, joined and not.
        text_source: 'report', 'from_labels' or 'none'.
        licence: what the data may be used for.
    """

    studies: Sequence[StudyTask]
    process: engine.Process
    label_tasks: Mapping[str, Mapping[str, Any]]
    text_source: str
    licence: str
    rejected: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def public_job(
    source: PublicSource, folder: Path, table_path: Path | None, tasks_path: Path | None
) -> Job:
    """The job of a public dataset.

    Args:
        source: the dataset.
        folder: where it is.
        table_path: labels of the user's own, by the dataset's names of its cases.
        tasks_path: which of their columns are tasks.

    Raises:
        UserError: the folder holds none of it, or the table does not fit.
    """
    plan, tasks, counts = source.plan(folder), dict(source.tasks), Counter()
    studies = plan.studies
    if table_path:
        table, own = labels.read_labels(table_path, tasks_path)
        if both := sorted(own.keys() & tasks.keys()):
            raise UserError(f"the dataset has these itself: {', '.join(both)}", where="--labels")
        tasks |= own
        studies, counts = _add_labels(studies, table, own)
    return Job(
        studies, source.process, tasks, source.text_source, source.licence, plan.rejected, counts
    )


def _add_labels(
    studies: Sequence[StudyTask],
    table: Table,
    tasks: Mapping[str, Mapping[str, Any]],
) -> tuple[list[StudyTask], Counter[str]]:
    """Gives a public dataset's studies the labels of a table that names its cases."""
    matched = table.matched({task.study_uid: (task.study_uid,) for task in studies})
    rows = matched.rows
    if not rows:
        raise UserError(
            f"no {' or '.join(table.keys)} is the name of any of the {len(studies)} cases",
            where="--labels",
        )
    out = [
        replace(
            task,
            labels={
                **task.labels,
                **labels.encode(labels.merged(rows.get(task.study_uid, ())), tasks),
            },
        )
        for task in studies
    ]
    return out, Counter(studies_with_labels=len(rows), labels_without_study=matched.lost)
