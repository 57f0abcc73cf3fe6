"""Files are whole or absent; metrics survive a kill and a resume."""

import json
import os

import pytest

from cmrjax.core.errors import UserError
from cmrjax.core.writer import (
    MetricWriter,
    new_folder,
    read_metrics,
    write_bytes_atomic,
    write_json_atomic,
)


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json_atomic(path, {"a": 1})

    def full_disk(_descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_json_atomic(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_value_that_json_cannot_hold_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "results.json"
    write_json_atomic(path, [1])
    with pytest.raises(TypeError):
        write_json_atomic(path, [1, object()])
    assert json.loads(path.read_text()) == [1]


def test_a_write_leaves_nothing_beside_the_file_and_makes_its_folder(tmp_path):
    write_bytes_atomic(tmp_path / "deep" / "er" / "x.bin", b"\x00\x01")
    assert [p.name for p in (tmp_path / "deep" / "er").iterdir()] == ["x.bin"]
    assert (tmp_path / "deep" / "er" / "x.bin").read_bytes() == b"\x00\x01"


def test_what_is_not_a_number_becomes_null(tmp_path):
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": [float("nan"), 1.5], "b": (float("inf"), {"c": -float("inf")})})
    assert json.loads(path.read_text()) == {"a": [None, 1.5], "b": [None, {"c": None}]}


def write(workdir, first, last, *, resume_step):
    writer = MetricWriter(workdir, resume_step=resume_step)
    for step in range(first, last + 1):
        writer.write(step, {"loss": float(step) + resume_step / 100})
    writer.close()


def test_a_resumed_run_writes_later_steps_again(tmp_path):
    write(tmp_path, 1, 5, resume_step=0)
    write(tmp_path, 4, 6, resume_step=3)
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows] == [1.0, 2.0, 3.0, 4.03, 5.03, 6.03]


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    writer = MetricWriter(tmp_path, resume_step=0)
    writer.write(1, {"loss": float("nan")})
    assert read_metrics(tmp_path) == [{"step": 1, "loss": None}]
    writer.close()


def test_a_last_line_that_was_cut_off_is_left_out_and_goes_on_resuming(tmp_path):
    write(tmp_path, 1, 3, resume_step=0)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-8])
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]
    write(tmp_path, 3, 3, resume_step=2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_no_metrics_are_no_rows(tmp_path):
    assert read_metrics(tmp_path) == []
    writer = MetricWriter(tmp_path / "new", resume_step=0)
    writer.close()
    assert read_metrics(tmp_path / "new") == []
    assert list((tmp_path / "new" / "tensorboard").iterdir())


def test_a_folder_is_whole_or_absent(tmp_path):
    with new_folder(tmp_path / "made" / "here") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "made" / "here").exists()
    assert (tmp_path / "made" / "here" / "a").read_text() == "1"

    def fail():
        with new_folder(tmp_path / "failed") as folder:
            (folder / "a").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["here"]


def test_a_folder_replaces_nothing_but_an_empty_one(tmp_path):
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("1")
    for taken in (tmp_path / "empty", tmp_path / "empty" / "a"):
        with pytest.raises(UserError, match="exists already"), new_folder(taken):
            pass
    with pytest.raises(UserError, match="cannot be made"), new_folder(tmp_path / "empty/a/b"):
        pass
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["a"]
