"""Sunnybrook (SCD): short-axis cines as DICOM, expert contours as text files.

    SCD_IMAGES_01/SCD0000101/CINESAX_300/IM-0003-0048.dcm
    SCD_ManualContours/SC-HF-I-01/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt
    scd_patientdata.csv                     (PatientID, OriginalID, Gender, Age, ...)

and the tree of the MICCAI 2009 challenge, where images and contours carry the same names
(`SC-HF-I-1`, zeros before the number or not). `i` is the endocardium at end-diastole and
end-systole, `o` the epicardium, often at end-diastole alone; the file's number is the image's
InstanceNumber. A frame without a contour is unknown, not empty: see `masks.Drawn`.

The format's description does not say where points count from. Measured on two stacks, edges in the
image lie (-0.3, -0.2) pixels from the epicardial contours, standard error 0.2, and up to (-1, -1)
from the endocardial ones, which papillary muscles disturb: so (0.5, 0.5) is taken for the first
pixel's centre, as where points count from the image's corner. Volumes do not depend on it.
Groups and the challenge's three parts of 15 come from the original id.

Reference:
    Radau et al. Evaluation framework for algorithms segmenting short axis cardiac MRI. MIDAS
    Journal 2009; https://www.cardiacatlas.org/sunnybrook-cardiac-data. CC0. The parts:
    https://smial.sri.utoronto.ca/LV_Challenge/Data.html.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Image
from cmrjax.data.masks import LV, MYOCARDIUM, MYOCARDIUM_G_PER_ML
from cmrjax.data.sources import contours, public
from cmrjax.data.sources.contours import Area, Ring
from cmrjax.data.sources.dicom_cines import raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask

# Heart failure with and without infarction, hypertrophy, normal.
GROUPS = ("HF-I", "HF-NI", "HYP", "N")
_MEASURES = ("lvedv_ml", "lvesv_ml", "lvef", "lv_mass_g")
TASKS = {
    **public.group_tasks(GROUPS),
    "male": {"kind": "binary"},
    **public.regression(("age", *_MEASURES)),
}
PARTS = {
    "train": {
        "HF-I": (1, 2, 4, 40),
        "HF-NI": (3, 4, 34, 36),
        "HYP": (1, 3, 38, 40),
        "N": (2, 3, 40),
    },
    "val": {"HF-I": (5, 6, 7, 8), "HF-NI": (7, 11, 31, 33), "HYP": (6, 7, 8, 37), "N": (5, 6, 7)},
    "test": {
        "HF-I": (9, 10, 11, 12),
        "HF-NI": (12, 13, 14, 15),
        "HYP": (9, 10, 11, 12),
        "N": (9, 10, 11),
    },
}
_ORIGINAL = re.compile(r"SC-(HF-I|HF-NI|HYP|N)-0*(\d+)", re.IGNORECASE)
_NUMBERED = re.compile(r"SCD\d{7}", re.IGNORECASE)
_CONTOUR = re.compile(r"IM-\d+-(\d+)-([io])contour-manual\.txt", re.IGNORECASE)
_TABLES = (".csv", ".txt", ".xls", ".xlsx", ".md", ".pdf")


def plan(root: Path) -> public.Plan:
    """One task for each case that has images, its contours with it.

    Raises:
        UserError: the folder is missing or holds no Sunnybrook case.
    """
    rows = _read_link(root)
    images: dict[str, list[str]] = defaultdict(list)
    drawn: dict[str, list[str]] = defaultdict(list)
    for path in public.find_files(root, "*"):
        case = _case(path, rows)
        if case and _CONTOUR.fullmatch(path.name):
            drawn[case].append(str(path))
        elif case and path.suffix.lower() not in _TABLES:
            images[case].append(str(path))
    if not images:
        raise UserError(
            "no SCD0000101 or SC-HF-I-1 folder with DICOM below it",
            where="--input",
            fix="give the folder that holds SCD_IMAGES_NN, SCD_ManualContours, scd_patientdata.csv",
        )
    tasks = (_task(case, (*images[case], *drawn[case]), rows) for case in images)
    return public.make_plan(tasks, without_images=len(drawn.keys() - images.keys()))


def _read_link(root: Path) -> dict[str, dict[str, str]]:
    """The table's rows by original id, and by the number that the images are filed under."""
    for path in public.find_files(root, "*.csv"):
        rows = [
            {key.lower().replace("_", ""): value for key, value in row.items()}
            for row in public.read_rows(path, required=())
        ]
        if rows and {"patientid", "originalid"} <= rows[0].keys():
            return {
                key: row | {"originalid": original}
                for row in rows
                if (original := _original(row["originalid"]))
                for key in (original, row["patientid"].upper())
            }
    return {}


def _original(text: str) -> str:
    match = _ORIGINAL.fullmatch(text)
    return f"SC-{match[1].upper()}-{int(match[2])}" if match else ""


def _case(path: Path, rows: Mapping[str, Mapping[str, str]]) -> str:
    """The case that a file is of, by its folders: the original id where that is known."""
    for part in reversed(path.parts[:-1]):
        if original := _original(part):
            return original
        if _NUMBERED.fullmatch(part):
            return rows.get(part.upper(), {}).get("originalid", part.upper())
    return ""


def _task(case: str, paths: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> StudyTask:
    match = _ORIGINAL.fullmatch(case)
    group, number = (match[1], int(match[2])) if match else ("", 0)
    split = next((name for name, part in PARTS.items() if number in part.get(group, ())), "")
    row = rows.get(case, {})
    labels = {
        **public.group_labels(group, GROUPS),
        "male": public.one_of(row.get("gender"), public.MALE),
        "age": public.number(row.get("age")),
    }
    return StudyTask(case, tuple(sorted(paths)), "", labels, split)


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One case's cines, with masks where an expert drew."""
    numbered = {path: _CONTOUR.fullmatch(Path(path).name) for path in task.paths}
    images, rejected = read_headers(path for path, match in numbered.items() if not match)
    files = ((int(m[1]), m[2].lower(), Path(path)) for path, m in numbered.items() if m)
    rings = contours.read_rings(files, first_pixel=0.5, rejected=rejected)
    series = _drawn_series(images, rings)
    found: list[Area] = []
    drawn = contours.drawer(
        rings,
        lambda i: (
            int(i.instance) if i.shared.series_uid == series and i.instance in rings else None
        ),
        cavity=LV,
        wall=MYOCARDIUM,
        found=found,
    )
    cines, left_out = raw_cines(images, settings, drawn=drawn)
    rejected["mask.no_image"] += len(rings) - len(found)
    measured = contours.volumes(found)
    mass = measured["wall_ml"] * MYOCARDIUM_G_PER_ML
    values = (*(measured[name] for name in ("edv_ml", "esv_ml", "ef")), mass)
    labels: dict[str, float] = dict(zip(_MEASURES, values, strict=True))
    every = rejected + left_out
    return public.finish(task, settings, cines, labels=labels, rejected=every, images=images)


def _drawn_series(images: Sequence[Image], rings: Mapping[int, Ring]) -> str:
    """The series that the contours were drawn on: the one that has most of their numbers."""
    matches = Counter(i.shared.series_uid for i in images if i.instance in rings)
    return min(matches, key=lambda uid: (-matches[uid], uid), default="")


SOURCE = public.PublicSource(
    plan, process, TASKS, "CC0; cite Radau et al., MIDAS Journal 2009", frames=16
)
