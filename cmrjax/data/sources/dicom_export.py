"""A hospital's DICOM export: any folder tree, files found by content, grouped by study."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.data import geometry
from cmrjax.data.deid.headers import patient_key, study_day
from cmrjax.data.deid.text import clean
from cmrjax.data.dicom import Image, Rejected, read_header, read_pixels, study_of
from cmrjax.data.series import Cine, cines_of
from cmrjax.data.standardise import motion_centre
from cmrjax.data.study import RawCine, Settings, StudyResult, StudyTask, pack


def list_files(folder: Path) -> list[str]:
    """Every file below a folder, sorted; links are not followed.

    Raises:
        UserError: the folder is missing or empty.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder))
    found = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    if not found:
        raise UserError("the folder is empty", where=str(folder))
    return sorted(path for path in found if not os.path.islink(path))


def scan_files(paths: Sequence[str]) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """The study and accession number of each file.

    Returns:
        (study uid, accession number, path) of the readable ones, and the others by reason.
    """
    found, rejected = [], Counter()
    for path in paths:
        try:
            found.append((*study_of(path), path))
        except Rejected as reason:
            rejected[f"file.{reason.reason}"] += 1
    return found, rejected


def group_studies(found: Iterable[tuple[str, str, str]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Study uid -> (accession number, its files), both sorted."""
    files: dict[str, list[str]] = defaultdict(list)
    accession: dict[str, str] = {}
    for uid, number, path in found:
        files[uid].append(path)
        if number:
            accession[uid] = min(number, accession.get(uid, number))
    return {uid: (accession.get(uid, ""), tuple(sorted(files[uid]))) for uid in sorted(files)}


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One study's records, or the reasons why there are none; a function of its files alone."""
    study_id = settings.hasher.id("study", task.study_uid)
    images, rejected = _headers(task.paths)
    cines, left_out = cines_of(images)
    rejected.update({f"cine.{reason}": n for reason, n in left_out.items()})
    loaded = []
    for cine in cines:
        try:
            loaded.append((cine, _frames(cine)))
        except (Rejected, OSError):
            rejected["cine.bad_pixels"] += 1
    if not loaded:
        rejected["study.no_cine"] += 1
        return StudyResult(study_id, rejected=rejected)
    known = sorted({pair for image in images for pair in image.identifiers})
    patient_id = settings.hasher.id("patient", patient_key(known) or task.study_uid)
    report = clean(task.report, known)
    # A text that still looks identified is not used; the study is, without it.
    rejected["report.looks_identified"] += report.quarantined
    scrubbed = Counter(report.counts)
    scrubbed.update(f"dropped.{name}" for image in images for name in image.dropped)
    raw = [
        _raw_cine(cine, frames, centre, settings)
        for (cine, frames), centre in zip(loaded, _centres(loaded), strict=True)
    ]
    records = tuple(
        pack(
            cine,
            settings,
            study_id=study_id,
            patient_id=patient_id,
            report=report.text,
            labels=task.labels,
        )
        for cine in raw
    )
    return StudyResult(
        study_id,
        patient_id,
        records,
        labels=task.labels,
        rejected=+rejected,
        scrubbed=scrubbed,
        series=card_rows(raw),
        has_report=bool(report.text.strip()),
        day=settings.hasher.shifted_day(patient_id, day) if (day := study_day(known)) else None,
    )


def _headers(paths: Sequence[str]) -> tuple[list[Image], Counter[str]]:
    images, rejected = [], Counter()
    for path in paths:
        try:
            image = read_header(path)
        except Rejected as reason:
            rejected[f"file.{reason.reason}"] += 1
            continue
        if image.quarantine:
            rejected[f"file.{image.quarantine}"] += 1
        else:
            images.append(image)
    return images, rejected


def _frames(cine: Cine) -> np.ndarray:
    return np.stack([read_pixels(image) for image in cine.images])


def _centres(loaded: Sequence[tuple[Cine, np.ndarray]]) -> list[np.ndarray]:
    """Where each crop goes: a short-axis stack shares one point, other cines have their own.

    A stack's point is the median over its slices, so that an apical or basal slice without much
    motion, or one with an artefact, does not pull its own crop away.
    """
    own = []
    for cine, frames in loaded:
        own.append(motion_centre(frames, np.array(cine.images[0].spacing)))
    centres = {i: centre for i, (centre, _) in enumerate(own)}
    stack: list[int] = []
    for i, (cine, _) in enumerate(loaded):
        first = cine.images[0].orientation
        if stack and (
            cine.view != "sax"
            or not geometry.parallel(loaded[stack[0]][0].images[0].orientation, first)
        ):
            centres.update(_share(loaded, own, stack))
            stack = []
        if cine.view == "sax":
            stack.append(i)
    centres.update(_share(loaded, own, stack))
    return [centres[i] for i in range(len(own))]


def _share(
    loaded: Sequence[tuple[Cine, np.ndarray]],
    own: Sequence[tuple[np.ndarray, float]],
    stack: Sequence[int],
) -> dict[int, np.ndarray]:
    moving = [i for i in stack if own[i][1] > 0]
    if not moving:
        return {}
    planes = {
        i: {
            "origin": loaded[i][0].images[0].position,
            "orientation": loaded[i][0].images[0].orientation,
            "spacing": np.array(loaded[i][0].images[0].spacing),
        }
        for i in stack
    }
    point = np.median([geometry.to_plane(own[i][0], **planes[i]) for i in moving], axis=0)
    return {i: geometry.from_plane(point, **planes[i]) for i in stack}


def _raw_cine(cine: Cine, frames: np.ndarray, centre: np.ndarray, settings: Settings) -> RawCine:
    first = cine.images[0]
    return RawCine(
        frames=frames,
        spacing=np.array(first.spacing),
        centre=centre,
        view=cine.view,
        slice_index=cine.slice_index,
        position_mm=cine.position_mm,
        gap_mm=cine.gap_mm,
        trigger_ms=np.array([image.trigger for image in cine.images]),
        series_id=settings.hasher.id("series", first.series_uid),
    )


def card_rows(cines: Sequence[RawCine]) -> list[dict[str, object]]:
    """For the data card: one row for each view, spacing, gap and phase count of a study."""
    rows: Counter[tuple] = Counter()
    for c in cines:
        spacing = tuple(round(float(v), 4) for v in c.spacing)
        rows[c.view, len(c.frames), spacing, round(c.gap_mm, 3), c.frames.shape[1:]] += 1
    return [
        {
            "view": view,
            "slices": n,
            "phases": phases,
            "spacing_mm": list(spacing),
            "gap_mm": gap,
            "size": list(size),
        }
        for (view, phases, spacing, gap, size), n in sorted(rows.items())
    ]
