"""ACDC in its own layout: `patientNNN/Info.cfg`, ED and ES volumes as NIfTI, and their masks.

The data set has no reports. The text here is made from the group and from what the masks measure:
it holds the labels, and datasets made so are marked `text_source: from_labels`.

Reference:
    Bernard et al. Deep learning techniques for automatic MRI cardiac multi-structures segmentation
    and diagnosis. IEEE TMI 2018. Licence CC BY-NC-SA 4.0.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data.sources.acdc_text import write_report
from cmrjax.data.sources.dicom_export import card_rows
from cmrjax.data.standardise import motion_centre
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask, pack

GROUPS = ("NOR", "DCM", "HCM", "MINF", "RV")
LICENCE = "CC BY-NC-SA 4.0; cite Bernard et al., IEEE TMI 2018"
RV, MYOCARDIUM, LV = 1, 2, 3
MYOCARDIUM_G_PER_ML = 1.05
_MEASURES = ("lvedv_ml", "lvesv_ml", "lvef", "rvedv_ml", "rvesv_ml", "rvef", "lv_mass_g")
TASKS: dict[str, dict[str, Any]] = {
    "group": {"kind": "multiclass", "classes": list(GROUPS)},
    **{group.lower(): {"kind": "binary"} for group in GROUPS},
    **{name: {"kind": "regression"} for name in _MEASURES},
}


def plan(folder: Path) -> list[StudyTask]:
    """One task for each patient folder.

    Raises:
        UserError: the folder is missing or holds no ACDC patient.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder))
    found = sorted(path.parent for path in folder.rglob("Info.cfg"))
    if not found:
        raise UserError(
            "no patientNNN/Info.cfg below it", where=str(folder), fix="give ACDC's training folder"
        )
    return [
        StudyTask(p.name, tuple(sorted(str(f) for f in p.iterdir() if f.is_file())), "", {})
        for p in found
    ]


def read_info(path: Path) -> dict[str, str]:
    """The lines `key: value` of an Info.cfg."""
    pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A NIfTI volume as slices.

    Returns:
        `[z, rows, columns]`; mm between rows and between columns `[2]`; mm along z and the voxel's
        volume in mm3 `[2]`. Rows and columns stay as the file has them: y down, x across.
    """
    image = nib.load(path)  # type: ignore[attr-defined]
    assert isinstance(image, nib.Nifti1Image)
    volume = np.asarray(image.dataobj).transpose(2, 1, 0)
    x, y, z = (float(v) for v in image.header.get_zooms()[:3])
    return volume, np.array([y, x]), np.array([z, x * y * z])


def measure(ed: np.ndarray, es: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    """Volumes in ml, ejection fractions in percent and the LV's mass in g, from two masks.

    Args:
        ed: class numbers at end-diastole, any shape.
        es: the same at end-systole.
        voxel_mm3: volume of a voxel.
    """

    def ml(mask: np.ndarray, label: int) -> float:
        return float((mask == label).sum()) * voxel_mm3 / 1000

    out = {"lv_mass_g": ml(ed, MYOCARDIUM) * MYOCARDIUM_G_PER_ML}
    for side, label in (("lv", LV), ("rv", RV)):
        largest, smallest = ml(ed, label), ml(es, label)
        out |= {f"{side}edv_ml": largest, f"{side}esv_ml": smallest}
        out[f"{side}ef"] = 100 * (1 - smallest / largest) if largest else float("nan")
    return out


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One patient's slices as two-frame cines with masks, end-diastole first."""
    study_id = settings.hasher.id("study", task.study_uid)
    folder = Path(task.paths[0]).parent
    info = read_info(folder / "Info.cfg")
    volumes, masks = [], []
    spacing, depth = np.ones(2), np.ones(2)
    for key in ("ED", "ES"):
        stem = f"{folder.name}_frame{int(info[key]):02d}"
        volume, spacing, depth = read_volume(_existing(folder, stem))
        volumes.append(volume.astype(np.float32))
        masks.append(read_volume(_existing(folder, f"{stem}_gt"))[0].astype(np.uint8))
    if len({v.shape for v in (*volumes, *masks)}) > 1:
        return StudyResult(study_id, rejected={"study.shapes_differ": 1})
    labels = _labels(info["Group"], measure(masks[0], masks[1], float(depth[1])))
    report = write_report(info["Group"], labels, variant=int(re.sub(r"\D", "", folder.name) or 0))
    cines = _cines(
        np.stack(on_one_scale(volumes), 1),
        np.stack(masks, 1),
        spacing,
        float(depth[0]),
        settings.hasher.id("series", task.study_uid),
    )
    patient_id = settings.hasher.id("patient", task.study_uid)
    records = tuple(
        pack(
            cine,
            settings,
            study_id=study_id,
            patient_id=patient_id,
            report=report,
            labels=labels,
        )
        for cine in cines
    )
    return StudyResult(
        study_id, patient_id, records, labels, series=card_rows(cines), has_report=True
    )


def on_one_scale(volumes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Scales each volume so that its 99th percentile is the first one's.

    ACDC stores ED and ES as two files, and in about one patient of five their intensities differ by
    more than a factor of 1.7. Left so, one window over both makes one of them nearly black, and the
    difference between them is no longer motion.

    Args:
        volumes: `[z, h, w]` each.
    """
    reference = float(np.percentile(volumes[0], 99))
    tops = [float(np.percentile(volume, 99)) for volume in volumes]
    return [v * (reference / top) if top > 0 else v for v, top in zip(volumes, tops, strict=True)]


def _existing(folder: Path, stem: str) -> Path:
    for ending in (".nii.gz", ".nii"):
        if (path := folder / f"{stem}{ending}").is_file():
            return path
    raise FileNotFoundError


def _labels(group: str, measured: Mapping[str, float]) -> dict[str, float]:
    one_hot = {name.lower(): float(name == group) for name in GROUPS}
    return {"group": float(GROUPS.index(group)), **one_hot, **measured}


def _cines(
    frames: np.ndarray, masks: np.ndarray, spacing: np.ndarray, gap_mm: float, series_id: str
) -> list[RawCine]:
    """Slices `[z, 2, h, w]` as cines that share one centre, found without the masks."""
    own = [motion_centre(slice_frames, spacing) for slice_frames in frames]
    centre = np.median([c for c, share in own if share > 0] or [own[0][0]], axis=0)
    return [
        RawCine(
            frames=slice_frames,
            spacing=spacing,
            centre=centre,
            view="sax",
            slice_index=z,
            position_mm=z * gap_mm,
            gap_mm=gap_mm,
            trigger_ms=np.full(2, np.nan),
            series_id=series_id,
            mask=mask,
        )
        for z, (slice_frames, mask) in enumerate(zip(frames, masks, strict=True))
    ]
