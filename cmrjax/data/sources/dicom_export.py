"""A hospital's DICOM export: any folder tree, files found by content, grouped by study."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.deid.headers import patient_key, study_day
from cmrjax.data.deid.text import clean
from cmrjax.data.dicom import Rejected, study_of
from cmrjax.data.sources.dicom_cines import card_rows, raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask, pack


def list_files(folder: Path) -> list[str]:
    """Every file below a folder, sorted; links are not followed.

    Raises:
        UserError: the folder is missing or empty.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where="--input")
    found = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    if not found:
        raise UserError("the folder is empty", where="--input")
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
    images, rejected = read_headers(task.paths)
    cines, left_out = raw_cines(images, settings)
    rejected += left_out
    if not cines:
        rejected["study.no_cine"] += 1
        return StudyResult(study_id, rejected=rejected)
    known = sorted({pair for image in images for pair in image.identifiers})
    patient_id = settings.hasher.id("patient", patient_key(known) or task.study_uid)
    report = clean(task.report, known)
    # A text that still looks identified is not used; the study is, without it.
    rejected["report.looks_identified"] += report.quarantined
    scrubbed = Counter(report.counts)
    scrubbed.update(f"dropped.{name}" for image in images for name in image.dropped)
    records = tuple(
        pack(
            cine,
            settings,
            study_id=study_id,
            patient_id=patient_id,
            report=report.text,
            labels=task.labels,
        )
        for cine in cines
    )
    return StudyResult(
        study_id,
        patient_id,
        records,
        labels=task.labels,
        rejected=+rejected,
        scrubbed=scrubbed,
        series=card_rows(cines),
        has_report=bool(report.text.strip()),
        day=settings.hasher.shifted_day(patient_id, day) if (day := study_day(known)) else None,
    )
