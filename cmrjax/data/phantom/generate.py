"""Writes a phantom population: DICOM studies, reports and labels."""

import csv
import hashlib
import multiprocessing
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.phantom.dicom_writer import study_uid, write_study
from cmrjax.data.phantom.findings import FINDINGS, Truth, truth
from cmrjax.data.phantom.render import render_study
from cmrjax.data.phantom.report_text import write_report
from cmrjax.data.phantom.scanner import DEMO, FULL, Profile

__all__ = ["DEMO", "FULL", "Profile", "truth", "write_phantom"]

REGRESSION = ("lvef", "lvedv_ml")


def write_phantom(
    output: Path,
    *,
    patients: int,
    seed: int,
    profile: Profile,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes ``dicom/``, ``reports.csv`` and ``labels.csv``.

    The files are the same for any number of workers, and patient i is the same in any population
    of a seed.

    Args:
        output: the folder; made if missing.
        patients: how many.
        seed: fixes everything.
        profile: `DEMO` or `FULL`.
        workers: processes; 1 works in this one.
        progress: called with (patients done, patients) after each.

    Raises:
        UserError: fewer than one patient, or ``output`` already holds a dicom folder.
    """
    if patients < 1:
        raise UserError("a phantom needs at least one patient", fix="give --patients a number")
    dicom = output / "dicom"
    if dicom.exists():
        raise UserError("already holds a dicom folder", where=str(output), fix="give an empty one")
    dicom.mkdir(parents=True)
    write_one = partial(_write_patient, dicom=dicom, seed=seed, profile=profile)
    rows = []
    for row in _mapped(write_one, range(patients), workers):
        rows.append(row)
        if progress is not None:
            progress(len(rows), patients)
    rows.sort()  # by UID, which says nothing of the order of drawing
    _write_tables(output, rows)


def _mapped(function: Callable, indices: range, workers: int) -> Iterable:
    if workers <= 1:
        yield from map(function, indices)
        return
    # Spawned, not forked: the caller may hold JAX's threads.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(function, indices, chunksize=4)


def _write_patient(index: int, *, dicom: Path, seed: int, profile: Profile):
    patient = truth(seed, index)
    name = hashlib.blake2b(f"{seed}/{index}/folder".encode(), digest_size=6).hexdigest()
    write_study(render_study(patient, profile), dicom / name, seed=seed, index=index)
    return study_uid(seed, index), write_report(patient), label_row(patient)


def label_row(patient: Truth) -> list[str]:
    """One line of ``labels.csv`` after the UID."""
    labels = patient.labels
    return [str(labels[name]) for name in FINDINGS] + [
        f"{getattr(patient, name):.2f}" for name in REGRESSION
    ]


def _write_tables(output: Path, rows: list) -> None:
    with open(output / "reports.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study_instance_uid", "report"])
        writer.writerows([uid, report] for uid, report, _ in rows)
    with open(output / "labels.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study_instance_uid", *FINDINGS, *REGRESSION])
        writer.writerows([uid, *labels] for uid, _, labels in rows)
