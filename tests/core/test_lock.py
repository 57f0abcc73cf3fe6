"""One process at a time: another is told so at once, and a killed one leaves no trace."""

import errno
import fcntl
import shutil
import signal
import subprocess
import sys

import pytest

from cmrjax.core.errors import UserError
from cmrjax.core.lock import LOCK_FILE, sole_user

HOLD = """
import sys, time
from pathlib import Path
from cmrjax.core.lock import sole_user
with sole_user(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "work"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match="another process is at work") as caught,
            sole_user(folder),
        ):
            pass
        assert str(folder) in str(caught.value)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with sole_user(folder):
        assert (folder / LOCK_FILE).exists()


def test_a_folder_that_its_last_user_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    folder, real, removed = tmp_path / "work", fcntl.flock, []

    def flock(descriptor, how):
        if not removed:  # between opening the file and holding it
            removed.append(True)
            shutil.rmtree(folder)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with sole_user(folder):
        assert (folder / LOCK_FILE).exists()
        with pytest.raises(UserError), sole_user(folder):
            pass


def test_without_locks_it_warns(tmp_path, monkeypatch, capsys):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with sole_user(tmp_path / "work"):
        pass
    assert "has no locks" in capsys.readouterr().err
