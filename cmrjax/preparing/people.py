"""Who is who in an export: people under several patient ids, and ids that several people share.

Both are counted and warned of, never told by name. They stay what their ids make of them: two
people may share a name and a birth date, and one person may change the name.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

_MOST_IDS = 5  # of one person: a name of more ids is a placeholder
_WARNINGS = {
    "people_with_several_ids": "people (by name and birth date) under several patient ids, who "
    "count as several patients, perhaps in different splits",
    "ids_of_several_people": "patient ids under which several people (by name and birth date) "
    "stand, who count as one patient: a placeholder, or another site's number",
}


def count_mixed(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many people have several ids, and how many ids several people.

    Args:
        rows: of each study, its `patient_id` and its `person`: name and birth date, hashed; empty
            where unknown.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    people: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["person"]:
            ids[row["person"]].add(row["patient_id"])
            people[row["patient_id"]].add(row["person"])
    return {
        "people_with_several_ids": sum(1 < len(held) <= _MOST_IDS for held in ids.values()),
        "ids_of_several_people": sum(len(held) > 1 for held in people.values()),
    }


def warn_of_mixed(counts: Mapping[str, int]) -> None:
    """Says on stderr what `count_mixed` found."""
    for name, meaning in _WARNINGS.items():
        if counts.get(name):
            print(f"cmrjax prepare: warning: {meaning}: {counts[name]}", file=sys.stderr)
