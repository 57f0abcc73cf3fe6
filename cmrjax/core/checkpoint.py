"""Checkpoints: orbax writes the arrays, a manifest of file hashes says when one is whole.

Orbax alone restores flipped bits silently and reports a save that failed on a full disk as the
latest. Here a step counts only once `manifest.json`, written last, lists every file's SHA-256, and
the hashes are checked before anything is restored.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from cmrjax.core.distributed import barrier
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.manifest import MANIFEST, sha256
from cmrjax.core.writer import write_json_atomic

PyTree = Any


def folder(workdir: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return workdir / "checkpoints" / str(step)


def _state_path(workdir: Path, step: int) -> str:
    return str(folder(workdir, step).absolute() / "state")


def steps(workdir: Path) -> list[int]:
    """The steps of all complete checkpoints, ascending."""
    root = workdir / "checkpoints"
    if not root.is_dir():
        return []
    return sorted(int(p.parent.name) for p in root.glob(f"*/{MANIFEST}") if p.parent.name.isdigit())


def save(workdir: Path, step: int, state: PyTree, *, keep: int | None = None) -> None:
    """Writes a checkpoint and then its manifest; returns when both are on disk.

    Args:
        workdir: the run's directory.
        step: optimizer steps done.
        state: a tree of arrays.
        keep: how many checkpoints to keep, the newest; None keeps all.
    """
    target = folder(workdir, step)
    if jax.process_index() == 0:
        shutil.rmtree(target, ignore_errors=True)  # an unfinished one of a killed run
        target.mkdir(parents=True)
    barrier(f"checkpoint-folder-{step}")
    ocp.save(_state_path(workdir, step), state)
    if jax.process_index() == 0:
        write_json_atomic(target / MANIFEST, {"step": step, "sha256": _hashes(target)})
        for old in steps(workdir)[: -keep or None] if keep else []:
            _remove(workdir, old)
    barrier(f"checkpoint-done-{step}")


def remove(workdir: Path, step: int) -> None:
    """Removes a checkpoint, in every process at the same time."""
    barrier(f"checkpoint-remove-{step}")
    if jax.process_index() == 0:
        _remove(workdir, step)
    barrier(f"checkpoint-removed-{step}")


def _remove(workdir: Path, step: int) -> None:
    # The manifest goes first, so that a half-deleted step is never taken for a whole one.
    (folder(workdir, step) / MANIFEST).unlink()
    shutil.rmtree(folder(workdir, step), ignore_errors=True)


def _hashes(target: Path) -> dict[str, str]:
    files = sorted(p for p in target.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {str(p.relative_to(target)): sha256(p) for p in files}


def verify(workdir: Path, step: int) -> int:
    """Checks every file of a checkpoint against its manifest.

    Returns:
        The number of files checked.

    Raises:
        CorruptDataError: a file is missing, changed or extra; it is named.
    """
    target = folder(workdir, step)
    try:
        expected = dict(json.loads((target / MANIFEST).read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptDataError(
            "the manifest cannot be read", where=f"checkpoints/{step}/{MANIFEST}"
        ) from error
    found = _hashes(target)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise CorruptDataError(
                "the file is missing, extra or its hash differs from the manifest's",
                where=f"checkpoints/{step}/{name}",
                fix=f"delete checkpoints/{step} to go on from an earlier one",
            )
    return len(expected)


def restore(workdir: Path, step: int, target: PyTree) -> PyTree:
    """Restores a checkpoint onto the shapes, dtypes and shardings of `target`.

    Args:
        workdir: the run's directory.
        step: one of `steps(workdir)`.
        target: a tree of `jax.ShapeDtypeStruct` with shardings.
    """
    verify(workdir, step)
    return ocp.load(_state_path(workdir, step), target)


def restore_parts(
    workdir: Path, step: int | None = None, *, parts: Sequence[str]
) -> tuple[int, dict[str, Any]]:
    """Restores some parts of a state, as NumPy arrays, for a job that does not train.

    Args:
        workdir: the run's directory.
        step: which step; the newest by default.
        parts: names of the state's parts; one that the checkpoint does not hold is empty.

    Returns:
        The step, and part -> nested dict.

    Raises:
        UserError: the workdir has no such checkpoint.
        CorruptDataError: a file does not match its hash.
    """
    available = steps(workdir)
    if not available or (step is not None and step not in available):
        raise UserError(
            f"no checkpoint of step {step}" if step is not None else "no complete checkpoint",
            where=str(workdir),
            fix=f"available steps: {available or 'none; run cmrjax train first'}",
        )
    step = available[-1] if step is None else step
    verify(workdir, step)
    path = _state_path(workdir, step)
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    metadata = ocp.metadata(path).metadata
    with context:
        wanted = {
            part: jax.tree.map(_on_host, metadata[part]) for part in parts if part in metadata
        }
        tree = ocp.load(path, wanted)
    return step, {part: jax.tree.map(np.asarray, tree.get(part) or {}) for part in parts}


def restore_params(workdir: Path, step: int | None = None) -> tuple[int, dict[str, Any]]:
    """The parameters alone; see `restore_parts`."""
    found, state = restore_parts(workdir, step, parts=("params",))
    return found, state["params"]


def _on_host(leaf) -> np.ndarray:
    return np.empty(leaf.shape, leaf.dtype)
