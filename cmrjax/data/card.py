"""The data card: what a dataset holds, as one plain object, and a sheet of its cines to look at."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from cmrjax.data.records import RecordSource, studies
from cmrjax.data.shards import SERIES_FILE
from cmrjax.data.splits import SPLIT_NAMES

_OUTLINES = {1: (90, 160, 255), 2: (90, 220, 120), 3: (255, 110, 90)}


def data_card(source: RecordSource) -> dict[str, Any]:
    """Counts what a dataset holds; reads one record of each study, for its labels and report.

    Returns:
        An object of JSON values: 'name', 'source', 'public', 'text_source', 'licence', 'studies',
        'patients', 'cines', 'by_view', 'by_source', 'rejected', 'splits', 'contract', 'labels',
        'reports', 'spacing_mm', 'crops', 'phases', 'near_duplicates', 'series'.
    """
    index, info = source.index, source.info
    grouped = studies(index)
    firsts = [source.decode(source.payload(study.rows[0])) for study in grouped]
    series = _series(source.directory)
    return {
        **{key: info[key] for key in ("name", "source", "public", "text_source", "licence")},
        "studies": len(grouped),
        "patients": len(set(index.patient_id)),
        "cines": len(index),
        "by_view": _counts(str(v) for v in index.view),
        "by_source": {info["source"]: len(grouped)},
        "rejected": info["rejected"],
        "counts": info["counts"],
        "deidentified": info.get("deidentified", {}),
        "splits": _splits(source, [(s.patient_id, len(s.rows)) for s in grouped]),
        "contract": asdict(source.contract),
        "labels": {
            task: _label(spec, np.array([first["labels"][task] for first in firsts]))
            for task, spec in info["label_tasks"].items()
        },
        "reports": _words([first["report"] for first in firsts]),
        "spacing_mm": _spread([row["spacing_mm"][0] for row in series]),
        "crops": _crops(series),
        "near_duplicates": info.get("near_duplicates", []),
        "phases": _counts(str(row["phases"]) for row in series for _ in range(row["slices"])),
        "series": series,
    }


def _series(directory: Path) -> list[dict[str, Any]]:
    path = directory / SERIES_FILE
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def _crops(series: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many cines are cropped around the heart's motion, and how many lacked it."""
    known = [row for row in series if "cropped_at_middle" in row]
    middle = sum(row["cropped_at_middle"] for row in known)
    slices = sum(row["slices"] for row in known)
    return {"around_the_heart": slices - middle, "at_the_middle": middle}


def _counts(values) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _splits(source: RecordSource, members: Sequence[tuple[str, int]]) -> dict[str, Any]:
    assigned = source.splits.assignment
    named = {
        name: {
            "patients": len({p for p, _ in members if assigned[p][0] == name}),
            "studies": sum(assigned[p][0] == name for p, _ in members),
            "cines": sum(n for p, n in members if assigned[p][0] == name),
        }
        for name in SPLIT_NAMES
    }
    folds = Counter(fold for _, fold in assigned.values())
    return {**named, "folds": [folds[i] for i in range(source.splits.folds)]}


def _label(spec: Mapping[str, Any], values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    out: dict[str, Any] = {"kind": spec["kind"], "known": len(known)}
    if spec["kind"] == "binary":
        return out | {"positive": int((known == 1).sum())}
    if spec["kind"] == "multiclass":
        return out | {
            "classes": {name: int((known == i).sum()) for i, name in enumerate(spec["classes"])}
        }
    return out | _spread(known)


def _spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    low, middle, high = (round(float(v), 3) for v in np.quantile(values, [0, 0.5, 1]))
    return {"min": low, "median": middle, "max": high}


def _words(reports: Sequence[str]) -> dict[str, Any]:
    lengths = [len(text.split()) for text in reports if text.strip()]
    return {"studies_with_report": len(lengths), "words": _spread(lengths)}


def contact_sheet(source: RecordSource, *, rows: int = 8, columns: int = 8) -> Picture.Image:
    """A picture of some studies, one a row: their cines at the first frame and in mid-cycle.

    Masks are outlined where a frame has them.
    """
    chosen = studies(source.index)
    chosen = chosen[:: max(1, math.ceil(len(chosen) / rows))][:rows]
    size, text_height = source.contract.size, 12
    wide = max(1, columns // 2)
    sheet = Picture.new("RGB", (2 * wide * (size + 2), len(chosen) * (size + text_height)))
    draw = ImageDraw.Draw(sheet)
    for y, study in enumerate(chosen):
        step = max(1, math.ceil(len(study.rows) / wide))
        for x, row in enumerate(study.rows[::step][:wide]):
            record = source.decode(source.payload(row))
            at = (2 * x * (size + 2), y * (size + text_height))
            draw.text((at[0] + 1, at[1]), f"{record['view']} {record['slice_index']}")
            for i, frame in enumerate((0, -(-len(record["cine"]) * 2 // 5))):
                picture = Picture.fromarray(_outlined(record, frame))
                sheet.paste(picture, (at[0] + i * size, at[1] + text_height))
    return sheet


def _outlined(record: Mapping[str, Any], frame: int) -> np.ndarray:
    picture = np.repeat(record["cine"][frame][..., None], 3, axis=-1)
    if "mask" in record and record["mask_frames"][frame]:
        mask = record["mask"][frame]
        for label, colour in _OUTLINES.items():
            inside = np.pad(mask == label, 1)
            core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
            picture[inside[1:-1, 1:-1] & ~core] = colour
    return picture
