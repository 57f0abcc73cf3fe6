"""RVSC, the right ventricle challenge of MICCAI 2012: short-axis cines as DICOM, contours as text.

    TrainingSet/patient01/P01dicom/P01-0000.dcm ... P01list.txt
    TrainingSet/patient01/P01contours-manual/P01-0080-icontour-manual.txt, ...-ocontour-manual.txt
    Test1Set/patient17/P17dicom/..., Test1SetContours/..., Test2Set/..., Test2SetContours/...

The contour's number is the image's, in its file name. `i` is the right ventricle's endocardium,
`o` its epicardium, at end-diastole and end-systole; the test sets' contours came later and in
folders of their own. Patients 1 to 16 train, 17 to 48 are the two test sets. A frame without a
contour is unknown, not empty: see `masks.Drawn`.

Reference:
    Petitjean et al. Right ventricle segmentation from cardiac MRI: a collation study. Medical Image
    Analysis 2015; https://rvsc.projets.litislab.fr. The layout as public code reads it:
    chuckyee/cardiac-segmentation `rvseg/patient.py`, omigeft/RVSC-Medical-Image-Segmentation.
"""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Image
from cmrjax.data.masks import RV, RV_WALL
from cmrjax.data.sources import contours, public
from cmrjax.data.sources.contours import Area
from cmrjax.data.sources.dicom_cines import raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask

_MEASURES = ("rvedv_ml", "rvesv_ml", "rvef")
TASKS = public.regression(_MEASURES)
_TRAINING = 16
_IMAGE = re.compile(r"P(\d\d)-(\d{4})\.dcm", re.IGNORECASE)
_CONTOUR = re.compile(r"P(\d\d)-(\d{4})-([io])contour-manual\.txt", re.IGNORECASE)


def plan(root: Path) -> public.Plan:
    """One task for each patient that has images.

    Raises:
        UserError: the folder is missing or holds no RVSC image.
    """
    images: dict[str, list[str]] = defaultdict(list)
    drawn: dict[str, list[str]] = defaultdict(list)
    for path in public.find_files(root, "P*.dcm", "P*.txt"):
        for pattern, files in ((_IMAGE, images), (_CONTOUR, drawn)):
            if match := pattern.fullmatch(path.name):
                files[f"P{match[1]}"].append(str(path))
    if not images:
        raise UserError(
            "no patient01/P01dicom/P01-0000.dcm below it",
            where="--input",
            fix="give the folder that holds TrainingSet, and Test1Set, Test1SetContours and so on",
        )
    tasks = (
        StudyTask(
            case,
            (*files, *drawn[case]),
            "",
            {},
            "train" if int(case[1:]) <= _TRAINING else "test",
        )
        for case, files in images.items()
    )
    return public.make_plan(tasks, without_images=len(drawn.keys() - images.keys()))


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One patient's cines, with masks where the expert drew."""
    numbered = {path: _CONTOUR.fullmatch(Path(path).name) for path in task.paths}
    headers, rejected = read_headers(path for path, match in numbered.items() if not match)
    files = ((int(m[2]), m[3].lower(), Path(path)) for path, m in numbered.items() if m)
    rings = contours.read_rings(files, first_pixel=0.0, rejected=rejected)
    # One stack, whatever the anonymised headers say of series; the file's number orders its phases.
    series = {"series_uid": task.study_uid, "series_description": "sax cine"}
    images = [
        replace(i.in_series(**series), sop_uid=i.path, instance=float(_number(i) or 0))
        for i in headers
    ]
    found: list[Area] = []
    drawn = contours.drawer(rings, _number, cavity=RV, wall=RV_WALL, found=found)
    cines, left_out = raw_cines(images, settings, drawn=drawn)
    rejected["mask.no_image"] += len(rings) - len(found)
    measured = contours.volumes(found)
    labels = {name: measured[name.removeprefix("rv")] for name in _MEASURES}
    every = rejected + left_out
    return public.finish(task, settings, cines, labels=labels, rejected=every, images=images)


def _number(image: Image) -> int | None:
    match = _IMAGE.fullmatch(Path(image.path).name)
    return int(match[2]) if match else None


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "the challenge's terms (research); cite Petitjean et al., Medical Image Analysis 2015",
)
