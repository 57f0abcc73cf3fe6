import json
import os
import time

import pytest

from cmrjax.core.errors import CorruptDataError
from cmrjax.evals.base import Result, Row, is_done, read_rows, rebuild_results, write_result
from cmrjax.evals.stats import Interval
from tests.evals.test_predictions import predictions

KEYS = ["evaluator", "encoder", "task", "metric", "value", "ci_low", "ci_high", "n"]
KEYS += ["n_positive", "split", "step"]


def result(value=0.5, *, step=3, evaluator="probe"):
    row = Row.of(
        evaluator=evaluator,
        encoder="checkpoint",
        task="mi",
        metric="auroc",
        n=4,
        n_positive=2,
        interval=Interval(value, float("nan"), float("nan")),
        split="test",
        step=step,
    )
    return Result([row], [predictions(target=[1.0], prediction=[2.0])], {"roc.png": b"png"})


def test_a_result_folder_is_whole_and_the_summary_follows(tmp_path):
    folder = write_result(tmp_path, "probe", 3, result(), settings={"a": 1})
    assert sorted(p.name for p in folder.iterdir()) == [
        "predictions.csv",
        "results.json",
        "roc.png",
        "settings.json",
    ]
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert list(row) == KEYS
    assert (row["value"], row["ci_low"]) == (0.5, None)
    assert is_done(tmp_path, "probe", 3)
    assert [p.name for p in folder.parent.iterdir()] == ["3"]


def test_the_summary_is_derived_in_order_and_may_be_deleted(tmp_path):
    for step in (20, 3):
        write_result(tmp_path, "probe", step, result(step=step), settings={})
    write_result(tmp_path, "aa", 1, result(step=1, evaluator="aa"), settings={})
    (tmp_path / "results.json").unlink()
    assert [(r.evaluator, r.step) for r in rebuild_results(tmp_path)] == [
        ("aa", 1),
        ("probe", 3),
        ("probe", 20),
    ]
    assert len(read_rows(tmp_path / "results.json")) == 3


def test_a_second_result_replaces_the_first(tmp_path):
    write_result(tmp_path, "probe", 3, result(0.5), settings={})
    write_result(tmp_path, "probe", 3, result(0.6), settings={})
    assert [r.value for r in read_rows(tmp_path / "results.json")] == [0.6]


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    broken = Result(result().rows, result().predictions, {"no/such/folder.png": b""})
    with pytest.raises(OSError, match="No such file"):
        write_result(tmp_path, "probe", 3, broken, settings={})
    assert not is_done(tmp_path, "probe", 3)
    assert list((tmp_path / "evals" / "probe").iterdir()) == []


def test_what_a_killed_process_left_is_ignored_and_goes_when_old(tmp_path):
    left = tmp_path / "evals" / "probe" / ".3.99999.tmp"
    left.mkdir(parents=True)
    (left / "results.json").write_text("[")
    assert rebuild_results(tmp_path) == []
    os.utime(left, (time.time() - 7200,) * 2)
    write_result(tmp_path, "probe", 3, result(), settings={})
    assert not left.exists()


def test_a_damaged_result_is_named(tmp_path):
    folder = write_result(tmp_path, "probe", 3, result(), settings={})
    (folder / "results.json").write_text("[{]")
    with pytest.raises(CorruptDataError, match=r"evals/probe/3/results\.json"):
        rebuild_results(tmp_path)
