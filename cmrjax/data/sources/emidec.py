"""EMIDEC in its own layout: late enhancement, one short-axis volume a case, and its masks.

    emidec-dataset-1.0.1/Case_N006/Images/Case_N006.nii.gz, Case_N006/Contours/Case_N006.nii.gz
    emidec-dataset-1.0.1/Case N006.txt
    emidec-segmentation-testset-1.0.0/Case_101/images/Case_101.nii.gz

These are still images, not cines: a record holds a single frame, its view is 'unknown' (the view
vocabulary is of cines), and more than one frame a cycle is refused. N is a normal case, P a
pathological one; the public test cases have neither a letter nor masks. Masks are 1 cavity, 2
normal myocardium, 3 infarct, 4 no-reflow. As in the published volumes the wall is 2, 3 and 4
together and the infarct 3 and 4. The text file's `FEVG` is the ejection fraction of an
echocardiogram, not of these images.

Reference:
    Lalande et al. Emidec: a database usable for the automatic evaluation of myocardial infarction
    from delayed-enhancement cardiac MRI. Data 2020; https://emidec.com/dataset. CC BY-NC-SA 4.0.
"""

import re
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Rejected
from cmrjax.data.masks import INFARCT, LV, MYOCARDIUM, NO_REFLOW, class_bits
from cmrjax.data.sources import nifti, public
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask

CLASSES = {1: LV, 2: MYOCARDIUM, 3: INFARCT, 4: NO_REFLOW}
_VOLUMES = ("cavity_ml", "wall_ml", "infarct_ml", "no_reflow_ml")
TASKS = {
    **{name: {"kind": "binary"} for name in ("pathological", "infarct", "no_reflow", "male")},
    **public.regression(("age", "echo_lvef", *_VOLUMES)),
}
_CASE = re.compile(r"Case_([A-Z]?)(\d{3})", re.IGNORECASE)
_PATHOLOGICAL = {"n": 0.0, "p": 1.0}


def plan(root: Path) -> public.Plan:
    """One task for each case folder.

    Raises:
        UserError: the folder is missing or holds no EMIDEC case.
    """
    folders = sorted(
        path
        for path in public.require_folder(root).rglob("Case_*")
        if path.is_dir() and _CASE.fullmatch(path.name)
    )
    tasks = [_task(folder) for folder in folders if _volumes(folder, "images")]
    if not tasks:
        raise UserError(
            "no Case_P001/Images/Case_P001.nii.gz below it",
            where="--input",
            fix="give the folder of EMIDEC's unzipped downloads",
        )
    return public.make_plan(tasks)


def _volumes(case: Path, kind: str) -> list[Path]:
    """The NIfTI file of a case: the test set writes `images`, the training set `Images`."""
    folders = [path for path in sorted(case.iterdir()) if path.name.lower() == kind]
    found = [p for folder in folders for p in public.find_files(folder, "*.nii.gz", "*.nii")]
    return found[:1]


def _task(case: Path) -> StudyTask:
    paths = [*_volumes(case, "images"), *_volumes(case, "contours")]
    match = _CASE.fullmatch(case.name)
    letter = match[1].lower() if match else ""
    facts = read_case(case.with_name(f"{case.name.replace('_', ' ')}.txt"))
    labels = {
        "pathological": public.one_of(letter, _PATHOLOGICAL),
        "male": public.one_of(facts.get("Sex"), public.MALE),
        "age": public.number(facts.get("Age")),
        "echo_lvef": public.number(facts.get("FEVG")),
    }
    split = "train" if letter else "test"
    return StudyTask(case.name, tuple(map(str, paths)), "", labels, split)


def read_case(path: Path) -> dict[str, str]:
    """The lines `key: value` of a case's text file, which is in Latin-1 with odd marks."""
    if not path.is_file():
        return {}
    pairs = (line.split(":", 1) for line in path.read_text("latin-1").splitlines() if ":" in line)
    return {re.sub(r"[^\w ()+]", "", key).strip(): value.strip() for key, value in pairs}


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One case's slices as single frames."""
    try:
        cines, labels = _read(task, settings)
    except Rejected as reason:
        return public.left_out(task, settings, reason)
    return public.finish(task, settings, cines, labels=labels)


def _read(task: StudyTask, settings: Settings) -> tuple[list[RawCine], dict[str, float]]:
    image = nifti.read_volume(Path(task.paths[0]))
    if image.values.shape[3] != 1:
        raise Rejected("not_a_stack")
    order = nifti.scanner_order(image.directions)
    stack, masks, labels = nifti.stack_of(image, order), {}, {}
    if len(task.paths) > 1:
        drawn = nifti.arrange(nifti.read_classes(Path(task.paths[1]), image, CLASSES), order)
        masks = {0: drawn[:, 0]}
        ml = {c: float((drawn == c).sum()) * stack.voxel_mm3 / 1000 for c in CLASSES.values()}
        scar = ml[INFARCT] + ml[NO_REFLOW]
        amounts = (ml[LV], ml[MYOCARDIUM] + scar, scar, ml[NO_REFLOW])
        labels = dict(zip(_VOLUMES, amounts, strict=True))
        labels |= {"infarct": float(scar > 0), "no_reflow": float(ml[NO_REFLOW] > 0)}
    cines = nifti.stack_cines(
        stack,
        masks,
        classes=class_bits(CLASSES.values()),
        view="unknown",
        series_id=settings.hasher.id("series", task.study_uid),
    )
    return cines, labels


SOURCE = public.PublicSource(
    plan,
    process,
    TASKS,
    "CC BY-NC-SA 4.0; cite Lalande et al., Data 2020",
    frames=1,
    imaging="late enhancement",
)
