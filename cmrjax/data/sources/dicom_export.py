"""A hospital's DICOM export: any folder tree or archive, files found by content, by study."""

import hashlib
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from cmrjax.core.clock import progress
from cmrjax.core.errors import UserError
from cmrjax.data import engine
from cmrjax.data.deid.headers import Identifier, patient_key, person_key, study_day
from cmrjax.data.deid.text import clean
from cmrjax.data.dicom import Image, Reason, Rejected, guard, people_of, study_of, tags
from cmrjax.data.reasons import MEANINGS
from cmrjax.data.sources.dicom_cines import Stacks, raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask, pack

_BATCH = 256


def find_studies(
    root: Path, executor: engine.Workers, *, scratch: Path, workers: int
) -> tuple[dict[str, tuple[tuple[str, ...], tuple[str, ...]]], Counter[str]]:
    """Finds the studies of an export.

    Args:
        root: a folder, or one archive or file.
        executor: runs the look at the files.
        scratch: folder for what has to be unpacked.
        workers: of the executor.

    Returns:
        Study uid -> (accession numbers, references of its files), and what was left out, by reason.

    Raises:
        UserError: nothing is there that belongs to a study.
    """
    paths, rejected = list_files(root)
    look = partial(scan_files, scratch=str(scratch))
    found = []
    with progress(total=len(paths), unit="file", description="look at files") as bar:
        for some, wrong in engine.map_batches(executor, look, paths, size=_BATCH, workers=workers):
            found += some
            rejected += wrong
            bar.set_postfix(images=len(found), refresh=False)
            bar.update(min(_BATCH, len(paths) - bar.n))
    if not found:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(rejected.items()))
        raise UserError(f"no DICOM file of a study ({reasons})", where="--input", fix=MEANINGS)
    return group_studies(found), rejected


def list_files(root: Path) -> tuple[list[str], Counter[str]]:
    """Every file below a folder, sorted; links are not followed.

    Returns:
        The files, and how many links to files and to folders there are, and closed folders.

    Raises:
        UserError: nothing is there.
    """
    if root.is_file():
        return [str(root)], Counter()
    if not root.is_dir():
        raise UserError("no such folder", where="--input")
    found, folders = _entries(str(root))
    if not found:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(folders.items()))
        what = f"no file can be read below it ({reasons})" if reasons else "the folder is empty"
        raise UserError(what, where="--input")
    paths = sorted(entry.path for entry in found if not entry.is_symlink())
    folders["file.link"] = len(found) - len(paths)
    return paths, +folders


def _entries(root: str) -> tuple[list[os.DirEntry[str]], Counter[str]]:
    """Everything below a folder but folders, and how many of those were not entered, by reason.

    The system says with each name whether it is a link: nothing is asked file by file.
    """
    found, left_out, folders = [], Counter(), [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_symlink() and entry.is_dir():
                        left_out["folder.link"] += 1
                    else:
                        found.append(entry)
        except OSError:
            left_out["folder.unreadable"] += 1
    return found, left_out


def scan_files(
    paths: Sequence[str], *, scratch: str
) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """The study and accession number of each file; archives are looked into.

    Args:
        paths: files as they lie in the export.
        scratch: folder for what has to be unpacked.

    Returns:
        (study uid, accession number, reference) of the readable ones, and the others by reason.
    """
    found, rejected = [], Counter()
    for path in paths:
        try:
            found.append((*study_of(path), path))
        except Rejected as reason:
            if reason.reason != Reason.ARCHIVE:
                rejected[f"file.{reason.reason}"] += 1
                continue
            some, wrong = _scan_archive(path, scratch)
            found += some
            rejected += wrong
    return found, rejected


def _scan_archive(path: str, scratch: str) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """The same of what an archive holds; archives in it stay closed."""
    # The same order in every run, and a folder of its own where a cluster reads an archive twice.
    name = f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.{secrets.token_hex(4)}"
    try:
        members, left_out = guard.members(path, scratch=os.path.join(scratch, name))
    except Rejected as reason:
        if reason.reason == Reason.NO_SPACE:
            raise UserError(
                "no space left to unpack a compressed archive",
                where="--output",
                fix="free some, or unpack it yourself",
            ) from None
        return [], Counter({f"archive.{reason.reason}": 1})
    found, rejected = [], Counter(left_out)
    for member in members:
        try:
            found.append((*study_of(member), member))
        except Rejected as reason:
            nested = reason.reason == Reason.ARCHIVE
            rejected[f"file.{Reason.NESTED_ARCHIVE if nested else reason.reason}"] += 1
    return found, rejected


def group_studies(
    found: Iterable[tuple[str, str, str]],
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Study uid -> (its accession numbers, its files), all sorted; some studies have several."""
    files: dict[str, list[str]] = defaultdict(list)
    accessions: dict[str, set[str]] = defaultdict(set)
    for uid, number, path in found:
        files[uid].append(path)
        if number:
            accessions[uid].add(number)
    return {
        uid: (tuple(sorted(accessions[uid])), tuple(sorted(files[uid]))) for uid in sorted(files)
    }


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One study's records, or the reasons why there are none; a function of its files alone."""
    study_id = settings.hasher.id("study", task.study_uid)
    images, rejected = read_headers(task.paths)
    if _several_patients(images):
        return StudyResult(study_id, rejected=rejected + Counter({"study.several_patients": 1}))
    rejected["file.repeated"] += len(images) - len({(i.sop_uid or i.path, i.frame) for i in images})
    cines, left_out = raw_cines(images, settings)
    rejected += left_out
    if not cines:
        rejected["study.no_cine"] += 1
        return StudyResult(study_id, rejected=rejected)
    known = sorted({pair for image in images for pair in image.shared.identifiers})
    patient_id = settings.hasher.id("patient", patient_key(known) or task.study_uid)
    report = clean(task.report, _people(task, images) if task.report else ())
    # A text that still looks identified is not used; the study is, without it.
    rejected["report.looks_identified"] += report.quarantined
    scrubbed = Counter(report.counts)
    scrubbed.update(f"dropped.{name}" for image in images for name in image.shared.dropped)
    records, stacks = [], Stacks()
    for cine in cines:
        stacks.add(cine)
        record = pack(
            cine,
            settings,
            study_id=study_id,
            patient_id=patient_id,
            report=report.text,
            labels=task.labels,
        )
        records.append(record)
    return StudyResult(
        study_id,
        patient_id,
        tuple(records),
        labels=task.labels,
        rejected=+rejected,
        scrubbed=scrubbed,
        series=stacks.rows(images),
        has_report=bool(report.text.strip()),
        day=settings.hasher.shifted_day(patient_id, day) if (day := study_day(known)) else None,
        person=settings.hasher.id("person", person) if (person := person_key(known)) else "",
    )


def _several_patients(images: Iterable[Image]) -> bool:
    """Whether the images of a study are of different people: whose heart it is, nobody knows then.

    Ids may differ where name and birth date agree: one person, known under two numbers.
    """
    said = {image.shared.identifiers for image in images}
    if len(said) < 2:
        return False
    ids = {key for known in said if (key := patient_key(known))}
    # Of one id, who issued it may be said in some images alone.
    ids -= {key for key in ids if any(other.startswith(f"{key}\0") for other in ids)}
    people = {person_key(known) for known in said}
    return len(ids) > 1 and (len(people) > 1 or None in people)


def _people(task: StudyTask, images: Iterable[Image]) -> list[Identifier]:
    """What the headers of a study say of people, those of files that are not used included.

    So are those of the studies that share its report, and the study's own UIDs.
    """
    found: set[Identifier] = {(tags.STUDY, task.study_uid)}
    used = {}
    for image in images:
        used[image.path] = image.shared.identifiers
        found |= {(tags.SERIES, image.shared.series_uid), (tags.SOP_UID, image.sop_uid)}
    paths = (*task.paths, *task.shared)
    return sorted(found.union(*(used.get(path) or people_of(path) for path in paths)))
