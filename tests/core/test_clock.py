"""Seconds by part, and the progress line."""

import time

import pytest

from cmrjax.core import clock


def test_parts_add_up_and_count_when_they_fail(monkeypatch):
    now = iter([0.0, 2.0, 10.0, 13.0, 20.0, 20.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    watch = clock.Stopwatch()
    with watch.part("read"):
        pass
    with pytest.raises(ValueError, match="inside"), watch.part("read"):
        raise ValueError("inside")
    with watch.part("write"):
        pass
    assert watch.seconds == {"read": 5.0, "write": 0.5}


def test_progress_is_on_stderr_and_goes_on_from_where_a_run_was(capsys):
    with clock.progress(total=100, initial=40, unit="examples", description="train") as bar:
        bar.update(60)
    out = capsys.readouterr()
    assert out.out == ""
    assert "train" in out.err
    assert "100/100" in out.err
    assert "examples/s" in out.err
