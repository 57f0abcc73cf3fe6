"""Manifests: a file beside others that lists their SHA-256, so that damage is found and named."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cmrjax.core.errors import CorruptDataError
from cmrjax.core.writer import write_json_atomic

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Writes `manifest.json` with the hash of each named file of a folder."""
    write_json_atomic(
        folder / MANIFEST, {"sha256": {name: sha256(folder / name) for name in sorted(names)}}
    )


def read_manifest(folder: Path) -> Mapping[str, str]:
    """File name -> hash, as `write_manifest` wrote them.

    Raises:
        CorruptDataError: the manifest is missing or unreadable.
    """
    path = folder / MANIFEST
    try:
        return dict(json.loads(path.read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptDataError("the manifest cannot be read", where=str(path)) from error


def verify_manifest(folder: Path) -> int:
    """Checks every file that a folder's manifest lists; others may lie beside them.

    Returns:
        The number of files checked.

    Raises:
        CorruptDataError: a file is missing or changed; it is named.
    """
    expected = read_manifest(folder)
    for name in changed(folder, expected):
        raise CorruptDataError(
            "the file is missing or its hash differs from the manifest's", where=str(folder / name)
        )
    return len(expected)


def changed(folder: Path, expected: Mapping[str, str]) -> Iterator[str]:
    """Names of files that are missing, or have another hash than a manifest says."""
    for name, digest in sorted(expected.items()):
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            yield name
