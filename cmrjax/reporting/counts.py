"""What `prepare` counted beside the records: what found no partner, and ids that mix people."""

from collections.abc import Mapping
from typing import Any

# Name in `dataset.json`: what is counted, and what that means.
_JOINED = {
    "studies_without_report": ("studies without a report", "kept, with their cines alone"),
    "studies_with_several_reports": ("studies with several reports", "joined into one text"),
    "reports_without_study": ("reports without a study", "their key is of no study given"),
    "reports_of_studies_left_out": (
        "reports of studies left out",
        "their study gave no cine: see what was left out",
    ),
    "reports_repeated": ("reports repeated", "a copy, or said again in full by another"),
    "reports_empty": ("reports empty", "a row without a text"),
    "report_rows_without_key": ("report rows without a key", "nobody can tell whose they are"),
    "labels_without_study": ("labels without a study", "their key is of no study given"),
    "label_rows_without_key": ("label rows without a key", "nobody can tell whose they are"),
}
_MIXED = {
    "people_with_several_ids": (
        "people under several patient ids",
        "by name and birth date; they count as several patients, perhaps in different splits",
    ),
    "ids_of_several_people": (
        "patient ids of several people",
        "by name and birth date; they count as one patient, perhaps a placeholder",
    ),
}
Noted = list[tuple[str, int, str]]


def joined(card: Mapping[str, Any]) -> Noted:
    """What of reports, labels and studies did not fit together, where there is any.

    Args:
        card: of `data_card`.

    Returns:
        (what is counted, how many, what it means).
    """
    counts = dict(card["counts"])
    if card["text_source"] == "none":  # none was given: no study is missing one
        counts.pop("studies_without_report", None)
    return _above_zero(counts, _JOINED)


def mixed(card: Mapping[str, Any]) -> Noted:
    """People under several ids, and ids of several people, where there are any.

    Args:
        card: of `data_card`.

    Returns:
        (what is counted, how many, what it means).
    """
    return _above_zero(card["counts"], _MIXED)


def _above_zero(counts: Mapping[str, int], named: Mapping[str, tuple[str, str]]) -> Noted:
    return [(what, counts[name], text) for name, (what, text) in named.items() if counts.get(name)]
