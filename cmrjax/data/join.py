"""Studies, their reports and their labels, brought together; what finds no partner is counted."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.data import labels
from cmrjax.data.deid.headers import patient_key, person_key
from cmrjax.data.dicom import people_of
from cmrjax.data.report_table import COLUMN, combine
from cmrjax.data.rows import KEYS
from cmrjax.data.study import StudyTask
from cmrjax.data.tables import Matched, Table

_TAGS: Mapping[str, str] = dict(zip(KEYS, ("StudyInstanceUID", "AccessionNumber"), strict=True))
_ONE_ORDER = 8  # studies: a number that more share is a placeholder
_NOTHING = Matched({}, {}, 0, 0, 0)
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

    def one_patient(uids: Sequence[str]) -> bool:
        return _of_one_patient([studies[uid][1] for uid in uids])

    texts = reports.matched(known, one_patient) if reports else _NOTHING
    rows = table.matched(known, one_patient) if table else _NOTHING
    for uid, (_, paths) in studies.items():
        text, told = combine(row.cells[COLUMN] for row in texts.rows.get(uid, ()))
        counts.update(told)
        mine = rows.rows.get(uid, ())
        counts["studies_with_report"] += bool(text)
        counts["studies_with_labels"] += bool(mine)
        also = tuple(path for other in texts.shared.get(uid, ()) for path in studies[other][1])
        numbers = labels.encode(labels.merged(mine), tasks)
        out.append(StudyTask(uid, paths, text, numbers, shared=also))
    for kind, held, matched in (("report", reports, texts), ("label", table, rows)):
        if held is None:
            continue
        _warn(kind, matched)
        if not counts[f"studies_with_{kind}{'s' * (kind == 'label')}"]:
            raise UserError(
                f"no {kind} matches any of the {len(studies)} studies by {' or '.join(held.keys)}",
                where=f"--{kind}s",
                fix=f"compare it with the scans' {' and '.join(_TAGS[key] for key in held.keys)}, "
                "which exports often replace",
            )
        counts[f"{kind}s_without_study"] = matched.lost
        counts[f"{kind}s_ambiguous"] = matched.ambiguous
        counts[f"{kind}_rows_without_key"] = held.unkeyed
    return out, counts


def _of_one_patient(files: Sequence[Sequence[str]]) -> bool:
    """Whether studies are of one patient, by a header of each; not where one does not say."""
    if len(files) > _ONE_ORDER:
        return False
    said = [people_of(paths[0]) for paths in files]
    patients = {patient_key(known) for known in said}
    # A placeholder of an id, and of a number, would join people who have names of their own.
    people = {person_key(known) for known in said} - {None}
    return len(patients) == 1 and None not in patients and len(people) <= 1


def _warn(kind: str, matched: Matched) -> None:
    """Says on stderr which rows are missing that somebody may expect."""
    said = {
        "may be of several people's studies, whose numbers are equal or differ by zeros before "
        "them, and are left out; give study_instance_uid": matched.ambiguous,
        "would match with zeros before them, or without, as spreadsheets remove them; "
        "give the numbers as text": matched.stripped,
    }
    for what, count in said.items():
        if count:
            print(
                f"cmrjax prepare: warning: --{kind}s: {count} accession numbers {what}",
                file=sys.stderr,
            )
