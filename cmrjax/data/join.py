"""Studies, their reports and their labels, brought together; what finds no partner is counted."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.data import labels
from cmrjax.data.report_table import COLUMN, combine
from cmrjax.data.study import StudyTask
from cmrjax.data.tables import KEYS, Table

_TAGS: Mapping[str, str] = dict(zip(KEYS, ("StudyInstanceUID", "AccessionNumber"), strict=True))
Found = Mapping[str, tuple[str, tuple[str, ...]]]


def join(
    studies: Found,
    *,
    reports: Table | None,
    table: Table | None,
    tasks: Mapping[str, Mapping[str, Any]],
) -> tuple[list[StudyTask], Counter[str]]:
    """Gives every study its report and labels.

    Args:
        studies: study uid -> (accession number, files).
        reports: texts, or nothing.
        table: labels, or nothing.
        tasks: kind of each label.

    Returns:
        A task for each study, in the order given, and what was joined and not.

    Raises:
        UserError: no report, or no label, is of any of these studies.
    """
    out, counts = [], Counter(studies_with_report=0, studies_with_labels=0)
    for uid, (accession, paths) in studies.items():
        texts = [row[COLUMN] for row in reports.of(uid, accession)] if reports else []
        text, told = combine(texts)
        counts.update(told)
        rows = table.of(uid, accession) if table else ()
        counts["studies_with_report"] += bool(text)
        counts["studies_with_labels"] += bool(rows)
        out.append(StudyTask(uid, paths, text, labels.encode(labels.merged(rows), tasks)))
    for kind, held in (("report", reports), ("label", table)):
        if held is None:
            continue
        column = KEYS.index(held.key)
        ours = {(uid, accession)[column] for uid, (accession, _) in studies.items()}
        if not counts[f"studies_with_{kind}{'s' * (kind == 'label')}"]:
            raise UserError(
                f"no {kind} matches any of the {len(studies)} studies by {held.key}",
                where=f"--{kind}s",
                fix=f"compare it with the scans' {_TAGS[held.key]}, which exports often replace",
            )
        counts[f"{kind}s_without_study"] = len(held.rows.keys() - ours)
        counts[f"{kind}_rows_without_key"] = held.unkeyed
    return out, counts
