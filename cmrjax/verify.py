"""`cmrjax verify DIR`: every checksum of a dataset, a run's checkpoints or a model folder."""

import argparse
import sys
from pathlib import Path

from cmrjax.core.clock import progress
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.manifest import MANIFEST, verify_manifest
from cmrjax.data import tfrecord
from cmrjax.data.card import read_series
from cmrjax.data.contract import load_contract
from cmrjax.data.records import (
    INDEX_FILE,
    INFO_FILE,
    Index,
    load_features,
    load_index,
    load_info,
    shard_lengths,
    shard_paths,
)
from cmrjax.data.shards import SERIES_FILE
from cmrjax.data.splits import load_splits

_SHOWN = 20


def verify_dataset(directory: Path) -> tuple[int, list[str]]:
    """Reads every record of a dataset.

    Returns:
        How many records are whole, and a line for each thing that is wrong, file names first. A
        shard is left at its first damaged record: behind a wrong length nothing can be found.

    Raises:
        CorruptDataError: a file that describes the records is missing or damaged.
    """
    try:
        load_contract(directory)
        load_info(directory)
        patients = load_splits(directory).assignment.keys()
    except UserError as error:  # elsewhere it may be the wrong folder; this one is a dataset
        raise CorruptDataError(error.what, where=error.where, fix=error.fix) from None
    features, paths = load_features(directory), shard_paths(directory)
    lengths, index = shard_lengths(directory), load_index(directory)
    wrong, whole = [], 0
    with progress(total=sum(lengths), unit="record", description="verify") as bar:
        for shard, path in enumerate(paths):
            found, line = _read_shard(path, features, bar)
            whole += len(found)
            if line is not None:
                wrong.append(line)
            elif len(found) != lengths[shard]:
                wrong.append(f"{path.name}: {len(found)} records where {lengths[shard]} should be")
            elif found != _indexed(index, shard):
                wrong.append(f"{INDEX_FILE}: does not match {path.name}; remove it, it is rebuilt")
    if strangers := {str(p) for p in index.patient_id} - patients:
        wrong.append(f"splits.json: {len(strangers)} patients of the records are not in it")
    try:
        described = {str(row["study_id"]) for row in read_series(directory)}
    except CorruptDataError as error:
        wrong.append(str(error))
    else:
        if strangers := described - {str(study) for study in index.study_id}:
            wrong.append(f"{SERIES_FILE}: {len(strangers)} of its studies have no record")
    return whole, wrong


def _indexed(index: Index, shard: int) -> list[tuple[int, int]]:
    of_shard = index.shard == shard
    pairs = zip(index.offset[of_shard], index.length[of_shard], strict=True)
    return [(int(offset), int(length)) for offset, length in pairs]


def _read_shard(path: Path, features, bar) -> tuple[list[tuple[int, int]], str | None]:
    """Offset and length of each whole record of a shard, and what is wrong with the next one."""
    found: list[tuple[int, int]] = []
    try:
        for offset, payload in tfrecord.scan(path):
            features.deserialize_example_np(payload)
            found.append((offset, len(payload)))
            bar.update(1)
    except CorruptDataError as error:
        return found, str(error)
    except OSError:
        return found, f"{path.name}: the shard is missing or unreadable"
    except Exception:  # the payload is whole, so the schema beside it is not
        return found, f"features.json: does not describe record {len(found)} of {path.name}"
    return found, None


def verify_checkpoints(workdir: Path) -> tuple[int, list[str]]:
    """Hashes every file of a run's checkpoints.

    Returns:
        How many checkpoints are whole, and a line for each that is not.

    Raises:
        UserError: the directory holds no checkpoint.
    """
    from cmrjax.core import checkpoint  # brings jax and orbax, which a dataset needs not

    steps = checkpoint.steps(workdir)
    if not steps:
        raise UserError(
            "is no dataset, no workdir with checkpoints and no model folder", where=str(workdir)
        )
    wrong = []
    for step in steps:
        try:
            checkpoint.verify(workdir, step)
        except CorruptDataError as error:
            wrong.append(str(error))
    return len(steps) - len(wrong), wrong


def main(argv: list[str]) -> int:
    """Runs `cmrjax verify`; prints what it checked, or what is wrong.

    Raises:
        CorruptDataError: something is damaged; the line names the first file.
        UserError: the directory is no dataset, workdir or model folder.
    """
    parser = argparse.ArgumentParser(prog="cmrjax verify", description="check every checksum")
    parser.add_argument("directory", type=Path, help="a dataset, workdir or model folder")
    directory: Path = parser.parse_args(argv).directory
    if (directory / INFO_FILE).is_file():
        whole, wrong = verify_dataset(directory)
        what = f"{whole} records"
    elif (directory / MANIFEST).is_file():
        wrong, what = [], f"{verify_manifest(directory)} files"
    else:
        whole, wrong = verify_checkpoints(directory)
        what = f"{whole} checkpoints"
    for line in wrong[1:_SHOWN]:
        print(line, file=sys.stderr)
    if wrong:
        more = f" ({len(wrong)} defects in all)" if len(wrong) > 1 else ""
        raise CorruptDataError(wrong[0] + more)
    print(f"{directory}: {what}, all whole")
    return 0


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("verify", sys.argv[1:]))
