"""The errors a user can meet, and the exit code each one ends a command with."""

import re
import traceback
from pathlib import PurePath

EXIT_OK = 0
EXIT_USER = 2
EXIT_CORRUPT = 3
EXIT_PREEMPTED = 75


class CmrjaxError(Exception):
    """Base of every error that ends a command with one line instead of a traceback.

    Args:
        what: what is wrong, in a few words.
        where: file, record or key it was found at; never patient data.
        fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None):
        self.what, self.where, self.fix = what, where, fix
        line = what if where is None else f"{where}: {what}"
        line = line if fix is None else f"{line}; {fix}"
        super().__init__(" ".join(line.split()))


class UserError(CmrjaxError):
    """The input or the command line is wrong (exit code 2)."""

    exit_code = EXIT_USER


class CorruptDataError(CmrjaxError):
    """A dataset or checkpoint is damaged (exit code 3)."""

    exit_code = EXIT_CORRUPT


class PreemptedError(CmrjaxError):
    """The job was stopped before its end; the same command resumes it (exit code 75)."""

    exit_code = EXIT_PREEMPTED


def without_text(error: Exception) -> CmrjaxError:
    """What can be told of an error that nobody foresaw, where its text may name a patient.

    Returns:
        Its type and the lines of code that it went through, those of a worker process included.
    """
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    frames += re.findall(r'File "([^"\n]+)", line (\d+)', str(error.__cause__ or ""))
    places = " > ".join(f"{PurePath(name).name}:{line}" for name, line in frames[-8:])
    return CmrjaxError(
        f"{type(error).__name__} at {places}",
        fix="its text may quote a header or a path and is not shown",
    )
