"""The page of a dataset: its data card with a contact sheet of its cines. No report's text."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmrjax.data.splits import SPLIT_NAMES
from cmrjax.reporting import words
from cmrjax.reporting.cines import data_uri
from cmrjax.reporting.contact_sheet import COLOURS, ViewSheet
from cmrjax.reporting.counts import joined, mixed
from cmrjax.reporting.datacard import CONTRACT_MEANING
from cmrjax.reporting.html import render_template
from cmrjax.reporting.reasons import counted, meaning

_QUALITY = 88  # of WebP: outlines one pixel wide stay clean
_LISTED = 12  # rows of a table of counts
_TEXT_SOURCE: Mapping[str, str] = {
    "report": "reports",
    "from_labels": "made from the labels: no radiologist wrote it",
    "none": "none",
}
_VENDORS = {"ge": "GE", "united_imaging": "United Imaging"}
_CLASSES = {
    "rv": "RV cavity",
    "myocardium": "LV myocardium",
    "lv": "LV cavity",
    "infarct": "infarct",
    "no_reflow": "no-reflow",
    "rv_wall": "RV wall",
}
_KINDS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Count:
    """A count and its share of all, in percent."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class Label:
    """One label: how many studies have it, what they say, and that as a picture.

    Args:
        name: as a clinician writes it.
        kind: 'binary', 'multiclass' or 'regression'.
        known: studies whose value is known.
        says: positives, or mean and standard deviation.
        range: the smallest and largest value; empty but for numbers.
        percent: of the known ones that are positive, or nothing.
        histogram: of numbers, or nothing.
    """

    name: str
    kind: str
    known: int
    says: str
    range: str = ""
    percent: float | None = None
    histogram: Mapping[str, Any] | None = None


def render(card: Mapping[str, Any], sheets: Sequence[ViewSheet]) -> bytes:
    """The page as HTML.

    Args:
        card: of `data_card`.
        sheets: of `contact_sheet.sheets`.
    """
    return render_template(
        "dataset.html",
        card=card,
        title=card["name"],
        facts=_facts(card),
        notices=_notices(card),
        sheets=[(_heading(sheet, card["by_view"]), _picture(sheet)) for sheet in sheets],
        legend=_legend(sheets),
        counts=_counts(card),
        spreads=_spreads(card),
        labels=_all_labels(card["labels"]),
        split_names=SPLIT_NAMES,
        rejected=[
            (reason, n, counted(reason), meaning(reason)) for reason, n in card["rejected"].items()
        ],
        joined=joined(card),
        several_ids=bool(card["counts"].get("people_with_several_ids")),
        contract=[
            (name, _plain(card["contract"][name]), text) for name, text in CONTRACT_MEANING.items()
        ],
    )


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    contract = card["contract"]
    stored = f"{contract['frames']} frames of {contract['size']} x {contract['size']} pixels"
    if card["faded"]:
        stored += " (fading where two phases alone were there)"
    return [
        ("source", card["source"]),
        ("licence", card["licence"]),
        ("stored", f"{stored}, {contract['spacing_mm']:g} mm, {contract['dtype']}"),
        ("masks", "yes" if contract["masks"] else "no"),
        ("text", _TEXT_SOURCE.get(card["text_source"], card["text_source"])),
    ]


def _notices(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    out = []
    if not card["public"]:
        out.append(("privacy", "This page shows pixels of patients: treat it as the data it is."))
    if pairs := card["near_duplicates"]:
        across = sum(pair["split_a"] != pair["split_b"] for pair in pairs)
        text = "Some studies of different patients look alike, and may be one scan. Pairs listed "
        out.append(("data", f"{text}below: {len(pairs)}, {across} of them across splits."))
    out += [("data", f"{what.capitalize()}: {n} ({text}).") for what, n, text in mixed(card)]
    if n := card["crops"]["at_the_middle"]:
        out.append(("data", f"No heart was found by its motion in {n} of {card['cines']} cines."))
    return out


def _heading(sheet: ViewSheet, by_view: Mapping[str, int]) -> str:
    """`SAX: 11 of 46 cines`: how many of a view the picture shows."""
    view = "view unknown" if sheet.view == "unknown" else sheet.view.upper()
    drawn = f", {sheet.contoured} of these with contours" if sheet.contoured else ""
    return f"{view}: {sheet.shown} of {by_view[sheet.view]} cines{drawn}"


def _picture(sheet: ViewSheet) -> str:
    buffer = io.BytesIO()
    sheet.picture.save(buffer, "WEBP", quality=_QUALITY)
    return data_uri(buffer.getvalue(), "image/webp")


def _legend(sheets: Sequence[ViewSheet]) -> list[tuple[str, str]]:
    """The outlined classes with their colours."""
    used = {name for sheet in sheets for name in sheet.classes}
    return [
        (_CLASSES[name], "#{:02x}{:02x}{:02x}".format(*colour))
        for name, colour in COLOURS.items()
        if name in used
    ]


def _counts(card: Mapping[str, Any]) -> list[tuple[str, str, list[Count]]]:
    """(heading, what is counted, counts) of each table of counts."""
    tables = (
        ("Views", "cines", card["by_view"]),
        ("Vendors", "studies", {_vendor(k): n for k, n in card["by_vendor"].items()}),
        ("Field strengths", "studies", card["by_field_strength"]),
        ("Phases as scanned", "cines", card["phases"]),
        ("Slices of a short-axis stack", "stacks", card["slices"]),
    )
    return [(heading, what, _shares(values)) for heading, what, values in tables if values]


def _shares(values: Mapping[str, int]) -> list[Count]:
    """At most `_LISTED` rows, the most frequent, in their order; the others are added up."""
    total, listed = sum(values.values()), dict(values)
    if len(values) > _LISTED:
        most = sorted(values, key=lambda name: -values[name])[: _LISTED - 1]
        listed = {name: n for name, n in values.items() if name in most}
        listed["others"] = total - sum(listed.values())
    return [Count(name, n, 100 * n / total) for name, n in listed.items()]


def _vendor(name: str) -> str:
    return _VENDORS.get(name, name if " " in name or name in ("other", "unknown") else name.title())


def _spreads(card: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(heading, unit, spread) of what is measured."""
    rows = (
        ("Pixel spacing as scanned", "mm", card["spacing_mm"]),
        ("Gap between short-axis slices", "mm", card["gap_mm"]),
        ("Length of a report", "words", card["reports"]["words"]),
    )
    return [row for row in rows if row[2]]


def _all_labels(labels: Mapping[str, Mapping[str, Any]]) -> list[Label]:
    """Findings, then classes that are no finding, too, then numbers."""
    ordered = sorted(labels.items(), key=lambda item: _KINDS.index(item[1]["kind"]))
    return [
        label for task, row in ordered for label in _labels(task, _without_findings(row, labels))
    ]


def _without_findings(row: Mapping[str, Any], labels: Mapping[str, Any]) -> Mapping[str, Any]:
    classes = {k: n for k, n in row.get("classes", {}).items() if k.lower() not in labels}
    return {**row, "classes": classes} if "classes" in row else row


def _labels(task: str, row: Mapping[str, Any]) -> list[Label]:
    name, kind, known = words.task_name(task), row["kind"], row["known"]
    if kind == "multiclass":
        return [_share(f"{name}: {label}", kind, known, n) for label, n in row["classes"].items()]
    if kind == "binary":
        return [_share(name, kind, known, row["positive"])]
    if not known:
        return [Label(name, kind, 0, words.DASH)]
    says = f"{words.quantity(row['mean'])} ± {words.quantity(row['sd'])}"
    ends = f"{words.quantity(row['min'])} to {words.quantity(row['max'])}"
    return [Label(name, kind, known, says, ends, histogram=row["histogram"])]


def _share(name: str, kind: str, known: int, positive: int) -> Label:
    if not known:
        return Label(name, kind, 0, words.DASH)
    percent = 100 * positive / known
    return Label(name, kind, known, f"{positive} ({percent:.0f} %)", percent=percent)


def _plain(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)
