"""M&Ms in its own layout: a folder a case, one 4-D short-axis cine and its masks each.

    211230_M&Ms_Dataset_information_diagnosis_opendataset.csv
    Training/Labeled/A0S9V9/A0S9V9_sa.nii.gz, A0S9V9_sa_gt.nii.gz
    Training/Unlabeled/..., Validation/..., Testing/...

The table has `External code`, `VendorName`, `Vendor`, `Centre`, `ED`, `ES` (counted from 0), `Age`,
`Pathology`, `Sex`, `Height`, `Weight`. Masks are 1 LV, 2 myocardium, 3 RV, drawn in the frames ED
and ES alone. The unlabelled cases come with mask files that hold nothing, and are read without.

Reference:
    Campello et al. Multi-centre, multi-vendor and multi-disease cardiac segmentation: the M&Ms
    challenge. IEEE TMI 2021; https://www.ub.edu/mnms. The layout as public code reads it:
    mathpluscode/CineMA `cinema/data/mnms/preprocess.py`.
"""

from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import HEART, LV, MYOCARDIUM, RV, class_bits, measure
from cmrjax.data.sources import nifti, public
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask

GROUPS = ("NOR", "DCM", "HCM", "HHD", "ARV", "AHS", "IHD", "LVNC", "Other")
VENDORS = ("A", "B", "C", "D")  # Siemens, Philips, GE, Canon
CLASSES = {1: LV, 2: MYOCARDIUM, 3: RV}
TASKS = {
    **public.group_tasks(GROUPS),
    "vendor": {"kind": "multiclass", "classes": list(VENDORS)},
    "male": {"kind": "binary"},
    **public.regression(("age", "height", "weight")),
    **public.regression(public.MEASURES),
}
_CODE, _IMAGE = "External code", "_sa.nii"
_SPLITS = {"training": "train", "validation": "val", "testing": "test"}


def plan(root: Path) -> public.Plan:
    """One task for each case that has an image.

    Raises:
        UserError: the folder is missing, or holds no table or no case of M&Ms.
    """
    images = public.find_files(root, f"*{_IMAGE}.gz", f"*{_IMAGE}")
    table = public.find_table(root, _CODE)
    if table is None or not images:
        raise UserError(
            "no table with `External code`" if images else "no CODE/CODE_sa.nii.gz below it",
            where="--input",
            fix="give M&Ms' OpenDataset folder: its CSV, Training, Validation, Testing",
        )
    rows = {row[_CODE]: row for row in public.read_rows(table, required=(_CODE, "ED", "ES"))}
    tasks = (_task(path, root, rows.get(path.name.split(_IMAGE)[0], {})) for path in images)
    return public.make_plan(tasks, listed=rows)


def _task(path: Path, root: Path, row: dict[str, str]) -> StudyTask:
    parts = public.parts_below(path, root)
    labelled = not any(part.startswith("unlabel") for part in parts)
    mask = path.with_name(path.name.replace("_sa.nii", "_sa_gt.nii"))
    paths = (str(path), str(mask)) if labelled and mask.is_file() else (str(path),)
    split = next((_SPLITS[part] for part in parts if part in _SPLITS), "")
    facts = {key: row.get(key, "") for key in ("ED", "ES")}
    return StudyTask(path.name.split(_IMAGE)[0], paths, "", _labels(row), split, facts)


def _labels(row: dict[str, str]) -> dict[str, float]:
    group = row.get("Pathology", "")
    known = {name.lower(): name for name in GROUPS}
    vendor = row.get("Vendor", "").upper()
    return {
        **public.group_labels(known.get(group.lower(), "Other") if group else "", GROUPS),
        "vendor": public.one_of(vendor, {name.lower(): i for i, name in enumerate(VENDORS)}),
        "male": public.one_of(row.get("Sex"), public.MALE),
        "age": public.number(row.get("Age")),
        "height": public.number(row.get("Height")),
        "weight": public.number(row.get("Weight")),
    }


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One case's slices, with masks at end-diastole and end-systole where they are drawn."""
    try:
        cines, labels, rejected = _read(task, settings)
    except Rejected as reason:
        return public.left_out(task, settings, reason)
    return public.finish(task, settings, cines, labels=labels, rejected=rejected)


def _read(
    task: StudyTask, settings: Settings
) -> tuple[list[RawCine], dict[str, float], dict[str, int]]:
    image = nifti.read_volume(Path(task.paths[0]))
    nifti.require_cycle(image.values.shape[3], settings)
    masks, labels, rejected = {}, {}, {}
    phases = nifti.phase_numbers(task.facts, image)
    if len(task.paths) > 1:
        if phases is None:
            raise Rejected("no_phases")
        classes = nifti.read_classes(Path(task.paths[1]), image, CLASSES)
        if classes.shape != image.values.shape:
            raise Rejected("shapes_differ")
        image = nifti.mend_directions(image, classes[..., phases[0]])
        drawn = nifti.arrange(classes, nifti.scanner_order(image.directions))
        masks = {phase: drawn[:, phase] for phase in phases if drawn[:, phase].any()}
        if len(masks) < 2:
            masks, rejected = {}, {"mask.empty": 1}
    stack = nifti.stack_of(image, nifti.scanner_order(image.directions))
    if masks and phases:
        labels = measure(masks[phases[0]], masks[phases[1]], stack.voxel_mm3)
    if settings.contract.frames == 2:
        if phases is None:
            raise Rejected("no_phases")
        stack = nifti.only_frames(stack, phases)
        masks = {i: masks[phase] for i, phase in enumerate(phases) if masks}
    cines = nifti.stack_cines(
        stack,
        masks,
        classes=class_bits(HEART),
        view="sax",
        series_id=settings.hasher.id("series", task.study_uid),
    )
    return cines, labels, rejected


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "the challenge's terms (research, non-commercial); cite Campello et al., IEEE TMI 2021",
    table=_CODE,
)
