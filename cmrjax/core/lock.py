"""A folder that one process works in at a time."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmrjax.core.errors import UserError

LOCK_FILE = "lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Holds a folder for this process, until it leaves the block or ends in whatever way.

    Args:
        folder: made if missing; a file `lock` lies in it meanwhile, and stays.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        while (descriptor := _locked(folder)) is None:
            pass
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}",
            where=str(folder),
            fix="give an --output elsewhere",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor of the lock; nothing where the folder was removed meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            "another process is at work in it",
            where=str(folder),
            fix="wait for its end, or stop it",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        print(
            f"cmrjax: warning: {folder}: this file system has no locks; see that no other process "
            "works in it",
            file=sys.stderr,
        )
    # Its last user may have removed it before this one had it.
    if _is_at(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
