"""Kaggle's Second Annual Data Science Bowl: cines as DICOM, and the left ventricle's volumes.

    train/train/1/study/sax_5/IM-4562-0001.dcm, .../2ch_21/..., .../4ch_15/...
    validate/validate/501/study/..., test/test/701/study/...
    train.csv, validate.csv                     (Id, Systole, Diastole)
    solution.csv                                (Id 701_Diastole, Volume, Usage)

The folder's name is the view and the case's folder the patient: headers were anonymised by many
hands, so no identifier in them is trusted. Some slices were scanned again; the last one is the
best, as the hosts say, and is the one that stays. Volumes are in ml; `solution.csv` came later.

Reference:
    https://www.kaggle.com/c/second-annual-data-science-bowl/data, under the competition's rules.
    The layout as public code reads it: mathpluscode/CineMA `cinema/data/kaggle/preprocess.py`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.masks import ejection_fraction
from cmrjax.data.sources import public
from cmrjax.data.sources.dicom_cines import raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask

TASKS = public.regression(("lvedv_ml", "lvesv_ml", "lvef"))
_SPLITS = {"train": "train", "validate": "val", "test": "test"}
_SERIES = re.compile(r"(sax|2ch|4ch)_(\d+)", re.IGNORECASE)


def plan(root: Path) -> public.Plan:
    """One task for each `study` folder.

    Raises:
        UserError: the folder is missing or holds no study.
    """
    studies, tables = [], []
    for at, folders, files in os.walk(public.require_folder(root)):
        if os.path.basename(at) == "study":
            studies.append(Path(at))
            folders.clear()  # a third of a million images need not be listed to be found
        tables += [Path(at, name) for name in files if name.lower().endswith(".csv")]
    if not studies:
        raise UserError(
            "no train/train/1/study folder below it",
            where="--input",
            fix="give the folder of the unzipped train, validate, test and their CSV files",
        )
    volumes = _volumes(sorted(tables))
    return public.make_plan(_task(study, root, volumes) for study in sorted(studies))


def _volumes(tables: Iterable[Path]) -> dict[str, dict[str, float]]:
    """Case -> 'systole' and 'diastole' in ml, from either kind of table."""
    out: dict[str, dict[str, float]] = defaultdict(dict)
    for table in tables:
        for row in public.read_rows(table, required=()):
            case, _, phase = row.get("Id", "").partition("_")
            if phase and "Volume" in row:
                out[case][phase.lower()] = public.number(row["Volume"])
            elif {"Systole", "Diastole"} <= row.keys():
                names = ("Systole", "Diastole")
                out[case] |= {name.lower(): public.number(row[name]) for name in names}
    return out


def _task(study: Path, root: Path, volumes: dict[str, dict[str, float]]) -> StudyTask:
    case = study.parent.name
    parts = public.parts_below(study, root)
    split = next((_SPLITS[part] for part in parts if part in _SPLITS), "")
    known = volumes.get(case, {})
    edv, esv = (known.get(phase, float("nan")) for phase in ("diastole", "systole"))
    labels = {"lvedv_ml": edv, "lvesv_ml": esv, "lvef": ejection_fraction(edv, esv)}
    return StudyTask(case, (str(study),), "", labels, split)


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One case's cines; each folder is a series of the view that it is named for."""
    images, rejected = [], None
    for folder in sorted(Path(task.paths[0]).iterdir()):
        named = _SERIES.fullmatch(folder.name)
        if not named or not folder.is_dir():
            continue
        found, wrong = read_headers(str(path) for path in public.find_files(folder, "*"))
        rejected = wrong if rejected is None else rejected + wrong
        series = {
            "series_uid": f"{task.study_uid} {folder.name}",
            "series_description": f"{named[1].lower()} cine",
            "series_number": float(named[2]),
        }
        images += [replace(image.in_series(**series), sop_uid=image.path) for image in found]
    cines, left_out = raw_cines(images, settings)
    every = left_out if rejected is None else rejected + left_out
    return public.finish(task, settings, cines, labels={}, rejected=every, images=images)


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "the competition's rules; cite the Second Annual Data Science Bowl, Kaggle 2015",
    masks=False,
)
