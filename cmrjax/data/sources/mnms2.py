"""M&Ms-2 in its own layout: short axis and four chambers, cine, ED and ES with their masks.

    dataset_information.csv
    dataset/001/001_SA_CINE.nii.gz, 001_SA_ED.nii.gz, 001_SA_ED_gt.nii.gz, 001_SA_ES..., 001_LA_...

The table has `SUBJECT_CODE` (a plain number), `DISEASE`, `VENDOR`, `SCANNER`, `FIELD`, and a
million empty rows. Which frames of a cine ED and ES are is written nowhere: they are found by their
pixels. Subjects 1 to 160 train, 161 to 200 validate, 201 to 360 test. Masks are 1 LV, 2
myocardium, 3 RV.

Reference:
    Martin-Isla et al. Deep learning segmentation of the right ventricle in cardiac MRI: the M&Ms
    challenge. IEEE JBHI 2023; https://www.ub.edu/mnms-2. The layout as public code reads it:
    mathpluscode/CineMA `cinema/data/mnms2/preprocess.py`.
"""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import HEART, class_bits, measure
from cmrjax.data.sources import nifti, public
from cmrjax.data.sources.mnms import CLASSES
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask

# Normal; dilated LV, dilated RV; hypertrophic, arrhythmogenic; Fallot's tetralogy; interatrial
# communication; tricuspid regurgitation.
GROUPS = ("NOR", "LV", "RV", "HCM", "ARR", "FALL", "CIA", "TRI")
VENDORS = {"siemens": 0, "philips": 1, "ge": 2}
TASKS = {
    **public.group_tasks(GROUPS),
    "vendor": {"kind": "multiclass", "classes": ["Siemens", "Philips", "GE"]},
    "field_t": {"kind": "regression"},
    **public.regression(public.MEASURES),
}
VIEWS = {"SA": "sax", "LA": "4ch"}
_CODE = "SUBJECT_CODE"
_LAST = {"train": 160, "val": 200, "test": 360}
_SAME = 1e-3  # of the intensities' spread: a frame and its copy differ by rounding at most


def plan(root: Path) -> public.Plan:
    """One task for each subject's folder.

    Raises:
        UserError: the folder is missing, or holds no table or no subject of M&Ms-2.
    """
    files = public.find_files(root, "*_SA_*.nii.gz", "*_LA_*.nii.gz", "*_SA_*.nii", "*_LA_*.nii")
    folders = sorted({path.parent for path in files if re.fullmatch(r"\d{3}", path.parent.name)})
    table = public.find_table(root, _CODE)
    if table is None or not folders:
        raise UserError(
            "no table with SUBJECT_CODE" if folders else "no NNN/NNN_SA_CINE.nii.gz below it",
            where="--input",
            fix="give the M&Ms-2 folder: dataset_information.csv and dataset/001 to dataset/360",
        )
    rows = {}
    for row in public.read_rows(table, required=(_CODE, "DISEASE")):
        if math.isfinite(code := public.number(row[_CODE])):
            rows[f"{int(code):03d}"] = row
    tasks = (_task(folder, rows.get(folder.name, {})) for folder in folders)
    return public.make_plan(tasks, listed=rows)


def _task(folder: Path, row: dict[str, str]) -> StudyTask:
    split = next((name for name, last in _LAST.items() if int(folder.name) <= last), "")
    vendor = (row.get("VENDOR", "").split() or [""])[0]
    labels = {
        **public.group_labels(row.get("DISEASE", "").upper(), GROUPS),
        "vendor": public.one_of(vendor, VENDORS),
        "field_t": public.number(row.get("FIELD")),
    }
    return StudyTask(folder.name, (str(folder),), "", labels, split)


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One subject's short-axis slices and four-chamber view, each with masks at ED and ES."""
    cines, labels, rejected = [], {}, Counter()
    for name, view in VIEWS.items():
        try:
            found, measured, masked = _read(task, settings, name, view)
        except Rejected as reason:
            rejected[f"series.{reason.reason}"] += 1
            continue
        cines += found
        labels |= measured
        rejected["mask.phase_not_found"] += not masked
    cines.sort(key=lambda cine: (cine.view, cine.slice_index))
    return public.finish(task, settings, cines, labels=labels, rejected=+rejected)


def _read(
    task: StudyTask, settings: Settings, name: str, view: str
) -> tuple[list[RawCine], dict[str, float], bool]:
    """One view's cines, what its masks measure, and whether the masks found their frames."""
    folder, asked = Path(task.paths[0]), settings.contract.frames
    stem = f"{folder.name}_{name}"
    whole = nifti.either(folder, f"{stem}_CINE")
    if not whole.is_file():
        nifti.require_cycle(2, settings)
    pair = [nifti.read_volume(nifti.either(folder, f"{stem}_{phase}")) for phase in ("ED", "ES")]
    classes = [
        nifti.read_classes(nifti.either(folder, f"{stem}_{phase}_gt"), image, CLASSES)[..., :1]
        for phase, image in zip(("ED", "ES"), pair, strict=True)
    ]
    if pair[0].values.shape != pair[1].values.shape:
        raise Rejected("shapes_differ")
    image = nifti.mend_directions(pair[0], classes[0][..., 0])
    order = nifti.scanner_order(image.directions)
    values, at = np.concatenate([v.values[..., :1] for v in pair], axis=3), (0, 1)
    if asked != 2:
        values = nifti.read_volume(whole).values
        nifti.require_cycle(values.shape[3], settings)
        if values.shape[:3] != image.values.shape[:3]:
            raise Rejected("shapes_differ")
        at = tuple(find_frame(values, volume.values[..., 0]) for volume in pair)
    stack = nifti.stack_of(replace(image, values=values), order)
    drawn = [nifti.arrange(mask, order)[:, 0] for mask in classes]
    masks = {t: mask for t, mask in zip(at, drawn, strict=True) if t is not None}
    cines = nifti.stack_cines(
        stack,
        masks,
        classes=class_bits(HEART),
        view=view,
        series_id=settings.hasher.id("series", f"{task.study_uid} {name}"),
    )
    measured = measure(drawn[0], drawn[1], stack.voxel_mm3) if view == "sax" else {}
    return cines, measured, len(masks) == 2


def find_frame(cine: np.ndarray, frame: np.ndarray) -> int | None:
    """Which frame of a cine a volume is a copy of.

    Args:
        cine: `[x, y, z, t]`.
        frame: `[x, y, z]`.

    Returns:
        Its number, or nothing when even the most similar one is another image.
    """
    wanted = frame.astype(np.float32)
    apart = [
        float(np.abs(cine[..., t].astype(np.float32) - wanted).mean()) for t in range(cine.shape[3])
    ]
    best = int(np.argmin(apart))
    return best if apart[best] <= _SAME * float(wanted.std()) else None


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "the challenge's terms (research, non-commercial); cite Martin-Isla et al., IEEE JBHI 2023",
    table=_CODE,
)
