"""What a stopped run was asked for, so that only the same command goes on from it.

The records kept in `<output>.partial/` depend on the flags, the tables and the scans. All of it is
noted as hashes, part by part: a part that differs can be named, and no path or value is written.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from cmrjax import __version__
from cmrjax.core.errors import UserError
from cmrjax.core.lock import LOCK_FILE
from cmrjax.core.writer import write_json_atomic
from cmrjax.data.contract import DatasetContract
from cmrjax.data.shards import record_features
from cmrjax.data.sources.public import find_table
from cmrjax.data.sources.table import PUBLIC
from cmrjax.data.splits import SPLITS_FILE

_MARK = "job.json"
_FLAGS_OF = {"spacing_mm": "--spacing", "id_namespace": "--deid-key-file"}
_NAMED = ("size", "frames", "dtype")  # fields of the contract that are a flag's name themselves


def asked(args: argparse.Namespace, contract: DatasetContract) -> dict[str, str]:
    """What a dataset's bytes depend on.

    Args:
        args: the flags of `prepare`.
        contract: of the dataset.

    Returns:
        Part, in words for a message -> its hash. Scans are known by their names, sizes and times,
        as reading an archive twice would cost what resuming saves; tables by their content.

    Raises:
        UserError: a table cannot be read; a file in a folder of them is not named.
    """
    parts: dict[str, object] = {
        _FLAGS_OF.get(field, f"--{field}" if field in _NAMED else f"contract ({field})"): value
        for field, value in asdict(contract).items()
    }
    parts |= {
        "--source": args.source,
        "--public": args.public,
        "--fade": args.fade,
        "--fractions": args.fractions,
        "--split-seed": args.split_seed,
        "version of cmrjax": __version__,
        "layout of records": list(record_features(contract, ())),
        "--input": str(args.input and args.input.resolve()),
        "files in --input": args.input and _listing(args.input),
    }
    if args.source == "phantom":
        parts |= {f"--{name}": getattr(args, name) for name in ("patients", "seed", "profile")}
    if args.source in PUBLIC and (column := PUBLIC[args.source].table):
        parts["table of the dataset"] = _content(find_table(args.input, column))
    if args.splits is not None:
        parts["--splits"] = _content(args.splits / SPLITS_FILE)
    for flag in ("reports", "labels", "label_tasks"):
        parts[f"--{flag.replace('_', '-')}"] = _content(getattr(args, flag))
    return {name: _hash([json.dumps(value).encode()]) for name, value in parts.items()}


def claim(partial: Path, wanted: dict[str, str]) -> None:
    """Takes the partial folder, or goes on from it.

    Args:
        partial: where a run keeps what is done.
        wanted: from `asked`.

    Raises:
        UserError: a run that asked for something else left it; each part that differs is named. Or
            it cannot be written.
    """
    if is_new(partial):
        try:
            write_json_atomic(partial / _MARK, wanted)
        except OSError as error:
            raise UserError(
                f"cannot be written: {error.strerror}",
                where=str(partial),
                fix="give an --output elsewhere",
            ) from None
        return
    if differing := _differing(partial, wanted):
        raise UserError(
            f"was begun with other settings (what differs: {', '.join(differing)})",
            where=str(partial),
            fix="repeat that command, or remove the folder",
        )


def is_done(output: Path, partial: Path, wanted: dict[str, str]) -> bool:
    """Whether this very run was killed after the dataset got its name, before it tidied up."""
    return (
        output.is_dir()
        and any(output.iterdir())
        and partial.is_dir()
        and not (partial / "final").exists()
        and not _differing(partial, wanted)
    )


def is_new(partial: Path) -> bool:
    """Whether no run has left more there than a lock; one may have been killed at its mark."""
    begun = partial.iterdir() if partial.is_dir() else ()
    return all(path.name == LOCK_FILE or path.name.startswith(f".{_MARK}.") for path in begun)


def keeps_work(partial: Path, wanted: dict[str, str]) -> bool:
    """Whether the folder holds what this or another command should find again."""
    if is_new(partial):
        return False
    return bool(_differing(partial, wanted)) or any((partial / "studies").glob("*.json"))


def tidy(partial: Path) -> None:
    """Removes the partial folder of a run that ended; the mark goes last.

    Killed meanwhile, the same command still knows the folder by it, and tidies up the rest.
    """
    for path in partial.iterdir():
        if path.name in (_MARK, LOCK_FILE):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for name in (LOCK_FILE, _MARK):
        (partial / name).unlink(missing_ok=True)
    with suppress(OSError):  # another command may be looking at it by now
        partial.rmdir()


def _differing(partial: Path, wanted: dict[str, str]) -> list[str]:
    try:
        before = dict(json.loads((partial / _MARK).read_text()))
    except (OSError, ValueError, TypeError):
        return ["beginning, which cannot be read"]
    return sorted(n for n in wanted.keys() | before.keys() if wanted.get(n) != before.get(n))


def _hash(parts: Iterable[bytes]) -> str:
    body = hashlib.sha256()
    for part in parts:
        body.update(hashlib.sha256(part).digest())
    return body.hexdigest()


def _files(path: Path) -> list[str]:
    if not path.is_dir():
        return [str(path)] if path.exists() else []
    return sorted(os.path.join(at, name) for at, _, names in os.walk(path) for name in names)


def _listing(path: Path) -> str:
    """Of every file's name, size and time of change."""

    def line(name: str) -> bytes:
        try:
            info = os.lstat(name)
        except OSError:
            return os.fsencode(name)
        return os.fsencode(name) + f"\0{info.st_size} {info.st_mtime_ns}".encode()

    return _hash(map(line, _files(path)))


def _content(path: Path | None) -> str | None:
    """Of a table, or of a folder's texts with their names, which may be a patient's."""
    if path is None:
        return None
    names = [name for name in _files(path) if os.path.isfile(name)]
    try:
        return _hash(b for n in names for b in (os.fsencode(n), Path(n).read_bytes()))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
