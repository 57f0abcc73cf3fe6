"""`cmrjax verify DIR`: every checksum of a dataset, a run's checkpoints or a model folder."""

import argparse
import sys
from pathlib import Path

from cmrjax.core.clock import progress
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.manifest import MANIFEST, changed, read_manifest, verify_manifest
from cmrjax.core.terminal import printable
from cmrjax.data import tfrecord
from cmrjax.data.records import (
    FEATURES_FILE,
    INDEX_FILE,
    INFO_FILE,
    TFDS_INFO_FILE,
    Index,
    load_features,
    load_index,
    shard_lengths,
    shard_paths,
)

_SHOWN = 20


def verify_dataset(directory: Path) -> tuple[int, list[str]]:
    """Reads every record of a dataset, and hashes what describes them.

    Returns:
        How many records are whole, and a line for each thing that is wrong, file names first. A
        shard is left at its first damaged record: behind a wrong length nothing can be found.

    Raises:
        CorruptDataError: the manifest of the files that describe the records cannot be read.
    """
    damaged = [*changed(directory, read_manifest(directory))]
    wrong = [f"{name}: is missing, or is not what prepare wrote" for name in damaged]
    if {FEATURES_FILE, TFDS_INFO_FILE} & {*damaged}:
        return 0, wrong  # what says how to read the records
    features, paths = load_features(directory), shard_paths(directory)
    lengths, index = shard_lengths(directory), load_index(directory)
    whole = 0
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
        return found, f"{FEATURES_FILE}: does not describe record {len(found)} of {path.name}"
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
        print(printable(line), file=sys.stderr)
    if wrong:
        more = f" ({len(wrong)} defects in all)" if len(wrong) > 1 else ""
        raise CorruptDataError(wrong[0] + more)
    print(f"{directory}: {what}, all whole")
    return 0


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("verify", sys.argv[1:]))
