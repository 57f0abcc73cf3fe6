"""`cmrjax prepare`: scans and reports in, a dataset out.

Every study is one pure function call, kept in `<output>.partial/` as it is done; the dataset is put
together in study order and appears under its name in one rename. So a stopped run goes on where it
was, and any number of workers gives the same bytes, here or under Apache Beam.
"""

import argparse
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cmrjax.core.errors import CmrjaxError, PreemptedError, UserError, without_text
from cmrjax.core.interrupt import interruptible
from cmrjax.core.lock import sole_user
from cmrjax.core.memory import keep_freed_memory
from cmrjax.data import engine, labels, shards
from cmrjax.data.contract import DatasetContract
from cmrjax.data.deid import allowlist
from cmrjax.data.deid.ids import Hasher, days_since_first, keyed_hasher, public_hasher
from cmrjax.data.duplicates import LISTED, Scan, as_rows, near_duplicates
from cmrjax.data.join import join
from cmrjax.data.reasons import MEANINGS, advice
from cmrjax.data.report_table import read_reports
from cmrjax.data.sources import dicom_export
from cmrjax.data.sources.jobs import Job, public_job
from cmrjax.data.sources.table import PUBLIC
from cmrjax.data.splits import FOLDS, Splits, make_splits
from cmrjax.data.study import Settings
from cmrjax.preparing import resume
from cmrjax.preparing.fit import contract_of, kept_splits
from cmrjax.preparing.flags import check, parse
from cmrjax.preparing.people import count_mixed, warn_of_mixed
from cmrjax.preparing.workers import open_workers

_UNPACKED = "unpacked"


def main(argv: list[str]) -> int:
    """Runs `cmrjax prepare`; prints the dataset's directory and counts."""
    args = parse(argv)
    check(args)
    hasher = _hasher(args)
    contract = contract_of(args, id_namespace=hasher.namespace)
    if args.splits is not None:
        kept_splits(args.splits, contract.id_namespace)  # refused now, not after a night's work
    output = args.output.resolve()
    partial = output.with_name(output.name + ".partial")
    workers = open_workers(args, partial)
    keep_freed_memory()
    wanted = resume.asked(args, contract)
    kept = "finished studies"
    # Ctrl-C unwinds by itself; the signal of a cluster would end the process where it stands.
    with sole_user(partial), interruptible(kept, (signal.SIGTERM,)):
        if resume.is_done(output, partial, wanted):
            resume.tidy(partial)
            info = json.loads((output / shards.INFO_FILE).read_text())
        else:
            info = _fresh_or_resumed(args, contract, hasher, output, partial, wanted, workers)
    _say(args.output, info)
    return 0


def _fresh_or_resumed(
    args: argparse.Namespace,
    contract: DatasetContract,
    hasher: Hasher,
    output: Path,
    partial: Path,
    wanted: dict[str, str],
    workers: AbstractContextManager[engine.Workers],
) -> dict[str, Any]:
    """A run, new or gone on with; whatever it raises says nothing of a patient."""
    new = resume.is_new(partial)
    try:
        _check_output(args.output)
        resume.claim(partial, wanted)
        return _run(args, contract, hasher, output, partial, workers)
    except engine.TooManyRejectedError:
        raise
    except UserError:
        if new or not resume.keeps_work(partial, wanted):  # wrong input leaves nothing behind
            resume.tidy(partial)
        raise
    except BrokenProcessPool:
        raise PreemptedError(
            "a worker process died, perhaps of too little memory",
            fix="the same command goes on; try fewer --workers",
        ) from None
    except OSError as error:
        if error.errno not in engine.NO_ROOM:
            raise without_text(error) from None
        raise UserError(str(error.strerror), where=str(args.output)) from None
    except CmrjaxError:
        raise
    except Exception as error:
        raise without_text(error) from None
    finally:  # what identifies people does not outlive the run, even one that goes on later
        shutil.rmtree(partial / _UNPACKED, ignore_errors=True)


def _say(output: Path, info: Mapping[str, Any]) -> None:
    print(json.dumps({"dataset": str(output), **info["counts"], "rejected": info["rejected"]}))
    counts = info["counts"]
    print(
        f"cmrjax prepare: {counts['patients']} patients, {counts['studies']} studies, "
        f"{counts['cines']} cines; `cmrjax inspect {output}` shows them, and what was left out",
        file=sys.stderr,
    )


def _check_output(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(
            "is there already and not empty", where=str(output), fix="give another --output"
        )


def _hasher(args: argparse.Namespace) -> Hasher:
    if args.deid_key_file is not None:
        return keyed_hasher(args.deid_key_file)
    if args.source == "dicom" and not args.public:
        raise UserError(
            "--source dicom needs --deid-key-file",
            fix="make a key with `openssl rand -hex 32`, or say --public if the input is public",
        )
    return public_hasher(args.source)


def _run(
    args: argparse.Namespace,
    contract: DatasetContract,
    hasher: Hasher,
    output: Path,
    partial: Path,
    workers: AbstractContextManager[engine.Workers],
) -> dict[str, Any]:
    with workers as executor:
        job = _public_job(args) if args.source in PUBLIC else _dicom_job(args, executor, partial)
        settings = Settings(contract, tuple(sorted(job.label_tasks)), hasher, args.fade)
        engine.run_studies(
            executor,
            job.studies,
            job.process,
            settings,
            folder=partial / "studies",
            workers=args.workers,
            max_rejected=args.max_rejected,
        )
    official = {hasher.id("study", task.study_uid): task.split for task in job.studies}
    return _assemble(args, contract, job, official, output, partial)


def _public_job(args: argparse.Namespace) -> Job:
    if args.reports:
        raise UserError(f"--source {args.source} takes no reports", fix="leave --reports out")
    return public_job(PUBLIC[args.source], args.input, args.labels, args.label_tasks)


def _dicom_job(args: argparse.Namespace, executor: engine.Workers, partial: Path) -> Job:
    folder, reports_path, labels_path = args.input, args.reports, args.labels
    if args.source == "phantom":
        from cmrjax.data.sources import phantom  # the renderer is not needed to read an export

        made = partial / "phantom"
        phantom.ensure_phantom(
            made,
            patients=200 if args.patients is None else args.patients,
            seed=args.seed or 0,
            profile=args.profile or "demo",
            workers=args.workers,
        )
        folder = made / "dicom"
        reports_path = reports_path or made / "reports.csv"
        labels_path = labels_path or made / "labels.csv"
    reports = read_reports(reports_path) if reports_path else None
    table, tasks = labels.read_labels(labels_path, args.label_tasks) if labels_path else (None, {})
    scratch = partial / _UNPACKED
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was stopped
    studies, rejected = dicom_export.find_studies(
        folder, executor, scratch=scratch, workers=args.workers
    )
    joined, counts = join(studies, reports=reports, table=table, tasks=tasks)
    licence = "generated" if args.source == "phantom" else "as the input's"
    source = "report" if reports else "none"
    return Job(joined, dicom_export.process, tasks, source, licence, rejected, counts)


def _assemble(
    args: argparse.Namespace,
    contract: DatasetContract,
    job: Job,
    official: Mapping[str, str],
    output: Path,
    partial: Path,
) -> dict[str, Any]:
    """Puts the kept studies together and gives the dataset its name."""
    kept_in = partial / "studies"
    # A stopped run may have kept what this one did not find: an archive that is too slow today.
    every = [row for row in engine.summaries(kept_in) if row["study_id"] in official]
    rows = [row for row in every if row["records"]]
    rejected = Counter(job.rejected) + engine.total(every, "rejected")
    if not rows:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(rejected.items()))
        raise UserError(
            f"no cine found ({reasons})", where="--input", fix=advice(rejected) or MEANINGS
        )
    patient_of = {row["study_id"]: row["patient_id"] for row in rows}
    known = {row["study_id"]: row["labels"] for row in rows}
    splits = make_splits(
        labels.strata(known, job.label_tasks, patient_of),
        fractions=args.fractions,
        folds=FOLDS,
        seed=args.split_seed,
        official={patient_of[study]: official[study] for study in patient_of},
        kept=kept_splits(args.splits, contract.id_namespace) if args.splits else None,
    )
    alike = _alike(rows, splits)
    texts = {study: task.report for study, task in zip(official, job.studies, strict=True)}
    lost = sum(bool(text) for study, text in texts.items() if study not in patient_of)
    info = _info(args, job, rows, rejected, alike, lost)
    warn_of_mixed(info["counts"])
    since = days_since_first((row["patient_id"], row["study_id"], row["day"]) for row in rows)
    series = [
        {"study_id": row["study_id"], "days_since_first": since[row["study_id"]], **s}
        for row in rows
        for s in row["series"]
    ]
    allowlist.check(info=info, series=series, studies=rows)
    final = partial / "final"
    shutil.rmtree(final, ignore_errors=True)
    final.mkdir()
    shards.write_dataset(
        final,
        info=info,
        series=series,
        contract=contract,
        splits=splits,
        studies=((row["study_id"], engine.stored_records(kept_in, row)) for row in rows),
        shards=shards.shard_count(sum(row["bytes"] for row in rows)),
    )
    os.replace(final, output)
    resume.tidy(partial)
    return info


def _alike(rows: Sequence[dict[str, Any]], splits: Splits) -> list[dict[str, Any]]:
    """Pairs of studies that may be one scan under two patients' names; warns of them."""
    scans = [Scan(row["study_id"], row["patient_id"], row["looks"]) for row in rows]
    pairs = as_rows(near_duplicates(scans), lambda patient: splits.assignment[patient][0])
    if pairs:
        across = sum(pair["split_a"] != pair["split_b"] for pair in pairs)
        print(
            "cmrjax prepare: warning: studies of different patients look alike: "
            f"{len(pairs)} pairs, {across} of them across splits; `cmrjax inspect` lists them",
            file=sys.stderr,
        )
    return pairs


def _info(
    args: argparse.Namespace,
    job: Job,
    rows: Sequence[dict[str, Any]],
    rejected: Counter[str],
    alike: Sequence[dict[str, Any]],
    lost: int,
) -> dict[str, Any]:
    """What `dataset.json` holds; `lost` reports are of studies that gave no cine."""
    people = count_mixed(rows) if args.source == "dicom" else {}
    with_report = sum(row["has_report"] for row in rows)
    return {
        "name": f"cmr_{args.source}",
        "source": args.source,
        "public": bool(args.public or args.source in (*PUBLIC, "phantom")),
        "text_source": job.text_source,
        "licence": job.licence,
        "faded": args.fade,
        "imaging": PUBLIC[args.source].imaging if args.source in PUBLIC else "cine",
        "label_tasks": {task: dict(spec) for task, spec in sorted(job.label_tasks.items())},
        "counts": {
            **job.counts,
            **people,
            "patients": len({row["patient_id"] for row in rows}),
            "studies": len(rows),
            "cines": sum(len(row["records"]) for row in rows),
            "studies_with_report": with_report,
            "studies_without_report": len(rows) - with_report,
            "reports_of_studies_left_out": lost,
            "near_duplicates": len(alike),
            "near_duplicates_across_splits": sum(p["split_a"] != p["split_b"] for p in alike),
        },
        "near_duplicates": alike[:LISTED],
        "rejected": dict(sorted(rejected.items())),
        "deidentified": dict(sorted(engine.total(rows, "scrubbed").items())),
    }


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("prepare", sys.argv[1:]))
