"""Studies, their reports and their labels, brought together; what finds no partner is counted."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.data import labels
from cmrjax.data.report_table import COLUMN, combine
from cmrjax.data.rows import KEYS
from cmrjax.data.study import StudyTask
from cmrjax.data.tables import Table

_TAGS: Mapping[str, str] = dict(zip(KEYS, ("StudyInstanceUID", "AccessionNumber"), strict=True))
Found = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


def join(
    studies: Found,
    *,
    reports: Table | None,
    table: Table | None,
    tasks: Mapping[str, Mapping[str, Any]],
) -> tuple[list[StudyTask], Counter[str]]:
    """Gives every study its report and labels.

    Args:
        studies: study uid -> (accession numbers, files).
        reports: texts, or nothing.
        table: labels, or nothing.
        tasks: kind of each label.

    Returns:
        A task for each study, in the order given, and what was joined and not.

    Raises:
        UserError: no report, or no label, is of any of these studies.
    """
    out, counts = [], Counter(studies_with_report=0, studies_with_labels=0)
    known = {uid: accessions for uid, (accessions, _) in studies.items()}
    texts, lost_texts = reports.matched(known) if reports else ({}, 0)
    rows, lost_rows = table.matched(known) if table else ({}, 0)
    for uid, (_, paths) in studies.items():
        text, told = combine(row.cells[COLUMN] for row in texts.get(uid, ()))
        counts.update(told)
        mine = rows.get(uid, ())
        counts["studies_with_report"] += bool(text)
        counts["studies_with_labels"] += bool(mine)
        out.append(StudyTask(uid, paths, text, labels.encode(labels.merged(mine), tasks)))
    for kind, held, lost in (("report", reports, lost_texts), ("label", table, lost_rows)):
        if held is None:
            continue
        if not counts[f"studies_with_{kind}{'s' * (kind == 'label')}"]:
            raise UserError(
                f"no {kind} matches any of the {len(studies)} studies by {' or '.join(held.keys)}",
                where=f"--{kind}s",
                fix=f"compare it with the scans' {' and '.join(_TAGS[key] for key in held.keys)}, "
                "which exports often replace",
            )
        counts[f"{kind}s_without_study"] = lost
        counts[f"{kind}_rows_without_key"] = held.unkeyed
    return out, counts
