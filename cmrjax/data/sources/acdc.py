"""ACDC in its own layout: `patientNNN/Info.cfg`, ED and ES volumes as NIfTI, their masks, the cine.

`training/patientNNN` and `testing/patientNNN` hold `Info.cfg` (`ED: 1`, `ES: 12`, counted from 1,
and `Group: DCM`), `patientNNN_frame01.nii.gz`, `patientNNN_frame01_gt.nii.gz`, the same for ES, and
`patientNNN_4d.nii.gz`. Two frames a cycle (the default) are the ED and ES files; more come from the
4-D file, with the masks in their two frames; a patient without it is left out then.

The data set has no reports. The text here is made from the group and from what the masks measure:
it holds the labels, and datasets made so are marked `text_source: from_labels`.

Reference:
    Bernard et al. Deep learning techniques for automatic MRI cardiac multi-structures segmentation
    and diagnosis. IEEE TMI 2018. Licence CC BY-NC-SA 4.0.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import HEART, LV, MYOCARDIUM, RV, class_bits, measure
from cmrjax.data.sources import nifti, public
from cmrjax.data.sources.acdc_text import write_report
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask

GROUPS = ("NOR", "DCM", "HCM", "MINF", "RV")
TASKS = {**public.group_tasks(GROUPS), **public.regression(public.MEASURES)}
_CLASSES = {1: RV, 2: MYOCARDIUM, 3: LV}
_SPLITS = {"training": "train", "testing": "test"}


def plan(root: Path) -> public.Plan:
    """One task for each patient folder.

    Raises:
        UserError: the folder is missing or holds no ACDC patient.
    """
    found = [path.parent for path in public.find_files(root, "Info.cfg")]
    if not found:
        raise UserError(
            "no patientNNN/Info.cfg below it", where="--input", fix="give ACDC's training folder"
        )
    return public.make_plan(_task(folder, root) for folder in found)


def _task(folder: Path, root: Path) -> StudyTask:
    files = tuple(sorted(str(f) for f in folder.iterdir() if f.is_file()))
    parts = public.parts_below(folder / "Info.cfg", root)
    split = next((_SPLITS[part] for part in parts if part in _SPLITS), "")
    return StudyTask(folder.name, files, "", {}, split)


def read_info(path: Path) -> dict[str, str]:
    """The lines `key: value` of an Info.cfg."""
    pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One patient's slices with masks at end-diastole, then at end-systole."""
    folder = Path(task.paths[0]).parent
    try:
        info = read_info(folder / "Info.cfg")
        cines, labels = _read(folder, info, settings, settings.hasher.id("series", task.study_uid))
    except Rejected as reason:
        return public.left_out(task, settings, reason)
    labels |= public.group_labels(info.get("Group", ""), GROUPS)
    report = ""
    if math.isfinite(labels["group"]):
        variant = int(re.sub(r"\D", "", folder.name) or 0)
        report = write_report(info["Group"], labels, variant=variant)
    return public.finish(task, settings, cines, labels=labels, report=report)


def _read(
    folder: Path, info: dict[str, str], settings: Settings, series_id: str
) -> tuple[list[RawCine], dict[str, float]]:
    numbers = [public.number(info.get(key)) for key in ("ED", "ES")]
    if not all(n >= 1 for n in numbers):
        raise Rejected("no_phases")
    stems = [f"{folder.name}_frame{int(n):02d}" for n in numbers]
    whole = nifti.either(folder, f"{folder.name}_4d")
    if not whole.is_file():
        nifti.require_cycle(len(stems), settings)
    volumes = [nifti.read_volume(nifti.either(folder, stem)) for stem in stems]
    masks = [
        nifti.read_classes(nifti.either(folder, f"{stem}_gt"), volume, _CLASSES)[..., :1]
        for stem, volume in zip(stems, volumes, strict=True)
    ]
    if len({v.values.shape for v in volumes}) > 1:
        raise Rejected("shapes_differ")
    first = nifti.mend_directions(volumes[0], masks[0][..., 0])
    order = nifti.scanner_order(first.directions)
    pair = nifti.stack_of(first, order)
    frames = [nifti.arrange(v.values.astype(np.float32), order) for v in volumes]
    stack = replace(pair, frames=np.concatenate(on_one_scale(frames), 1))
    at = (0, 1)
    if settings.contract.frames != 2 and whole.is_file():
        cine = nifti.read_volume(whole)
        if cine.values.shape[:3] != first.values.shape[:3]:
            raise Rejected("shapes_differ")
        nifti.require_cycle(cine.values.shape[3], settings)
        stack = replace(pair, frames=nifti.arrange(cine.values, order))
        at = (int(numbers[0]) - 1, int(numbers[1]) - 1)
        if max(at) >= stack.frames.shape[1]:
            raise Rejected("no_phases")
    drawn = [nifti.arrange(mask, order)[:, 0] for mask in masks]
    cines = nifti.stack_cines(
        stack,
        dict(zip(at, drawn, strict=True)),
        classes=class_bits(HEART),
        view="sax",
        series_id=series_id,
    )
    return cines, measure(drawn[0], drawn[1], stack.voxel_mm3)


def on_one_scale(volumes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Scales each volume so that its 99th percentile is the first one's.

    ACDC stores ED and ES as two files, and in about one patient of five their intensities differ by
    more than a factor of 1.7. Left so, one window over both makes one of them nearly black, and the
    difference between them is no longer motion.

    Args:
        volumes: of one shape each.
    """
    reference = float(np.percentile(volumes[0], 99))
    tops = [float(np.percentile(volume, 99)) for volume in volumes]
    return [v * (reference / top) if top > 0 else v for v, top in zip(volumes, tops, strict=True)]


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "CC BY-NC-SA 4.0; cite Bernard et al., IEEE TMI 2018",
    frames=2,
    text_source="from_labels",
)
