"""`cmrjax embed`: vectors of every study or cine of a dataset, in a file for other tools."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core.clock import progress
from cmrjax.core.distributed import use_compilation_cache
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.contract import require_same
from cmrjax.data.records import RecordSource
from cmrjax.evals.embeddings import clips_of, embed, read_cohort
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.origin import open_origin, steps_of

SPLITS = ("train", "val", "test")
LEVELS = ("study", "cine")


def main(argv: Sequence[str]) -> int:
    """`cmrjax embed (--workdir D [--step N] | --model D) --data DATASET --output FILE.npz`."""
    parser = argparse.ArgumentParser(prog="cmrjax embed", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--workdir", type=Path, help="of cmrjax train")
    which.add_argument("--model", type=Path, help="a model folder, exported or imported")
    parser.add_argument("--step", type=int, help="of a workdir (default: its last checkpoint)")
    parser.add_argument("--data", type=Path, required=True, help="a dataset")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--level", choices=LEVELS, default="study", help="what has a row")
    parser.add_argument("--batch-size", type=int, default=32, help="cines at a time (default 32)")
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        raise UserError(f"--batch-size {args.batch_size} is less than 1")
    if args.output.suffix != ".npz":
        raise UserError("is not named *.npz", where=str(args.output))
    if args.output.exists():
        raise UserError("is there already", where=str(args.output), fix="give another --output")
    use_compilation_cache()
    origin, source = open_origin(args.workdir, args.model), RecordSource(args.data)
    available = steps_of(origin, args.step)
    encoder = origin.encoder(available[-1] if args.step is None else args.step)
    if origin.contract is not None:
        require_same(source.contract, origin.contract, where=str(args.data))
    else:
        print("cmrjax embed: warning: the model has no dataset contract", file=sys.stderr)
    rows = (_studies if args.level == "study" else _cines)(encoder, source, args.batch_size)
    rows |= {"step": np.array(encoder.step), "weights": np.array(origin.identity(encoder.step))}
    content = io.BytesIO()
    np.savez(content, **rows)
    write_bytes_atomic(args.output, content.getvalue())
    print(f"{args.output}: {len(rows['study_id'])} rows, z {rows['z'].shape[1]} wide")
    return 0


def _studies(encoder: Encoder, source: RecordSource, batch_size: int) -> dict[str, Any]:
    """A row a study, sorted by id: `z` `[n, d]`, `pooled` `[n, views * w]`, and whose they are."""
    found, splits = [], []
    for split in SPLITS:
        cohort = read_cohort(source, split=split)
        if cohort.members:
            found.append(embed(encoder, cohort, batch_size=batch_size))
            splits += [split] * len(cohort.members)
    columns = {
        name: np.concatenate([getattr(part, name) for part in found])
        for name in ("study_id", "patient_id", "z", "pooled")
    }
    columns["split"] = np.array(splits)
    order = np.argsort(columns["study_id"])
    return {name: column[order] for name, column in columns.items()}


def _cines(encoder: Encoder, source: RecordSource, batch_size: int) -> dict[str, Any]:
    """A row a record, in the dataset's order."""
    count, z, pooled = len(source), [], []
    with progress(total=count, unit="cines", description="embed") as bar:
        for start in range(0, count, batch_size):
            chosen = range(start, min(start + batch_size, count))
            vectors = encoder.encode(clips_of(source, chosen, encoder.input, batch_size))
            for into, part in zip((z, pooled), vectors, strict=True):
                into.append(part[: len(chosen)])
            bar.update(len(chosen))
    index, assignment = source.index, source.splits.assignment
    return {
        "study_id": index.study_id,
        "patient_id": index.patient_id,
        "view": index.view,
        "slice_index": index.slice_index,
        "z": np.concatenate(z).astype(np.float32),
        "pooled": np.concatenate(pooled).astype(np.float32),
        "split": np.array([assignment[str(patient)][0] for patient in index.patient_id]),
    }


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("embed", sys.argv[1:]))
