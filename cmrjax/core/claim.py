"""A folder that belongs to one sequence of jobs, told by a mark file with its settings."""

import json
from collections.abc import Mapping
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_json_atomic


def claim(folder: Path, mark: str, settings: Mapping[str, object]) -> None:
    """Takes a folder, or finds it taken by the same settings: then the same command goes on.

    Args:
        folder: new, empty, or claimed before.
        mark: name of the mark file in it.
        settings: what the results in the folder depend on; JSON values.

    Raises:
        UserError: the folder holds something else, or was claimed with other settings.
    """
    path = folder / mark
    if path.is_file():
        try:
            before = json.loads(path.read_text())
        except ValueError:
            before = None
        if before != settings:
            raise UserError(
                f"was begun with other settings: {before}",
                where=str(folder),
                fix="remove it, or give another --workdir",
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"not empty, and without {mark}", where=str(folder), fix="give another --workdir"
        )
    write_json_atomic(path, settings)
