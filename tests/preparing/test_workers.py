"""Which engine the flags name; Beam itself is tested in `tests/beam_engine`."""

import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from cmrjax.cli import run
from cmrjax.core.errors import UserError
from cmrjax.data import engine
from cmrjax.preparing.flags import check, parse
from cmrjax.preparing.workers import open_workers

FLAGS = ["--source", "dicom", "--public", "--workers", "1"]


def test_processes_of_this_machine_are_the_default(tmp_path):
    args = parse([*FLAGS, "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")])
    check(args)
    assert args.runner == "local"
    with open_workers(args, tmp_path) as workers:
        assert workers is None  # one works here
    args.workers = 2
    with open_workers(args, tmp_path) as workers:
        assert isinstance(workers, ProcessPoolExecutor)


def test_without_beam_one_line_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "cmrjax.data.beam_engine", raising=False)
    (tmp_path / "in").mkdir()
    words = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert run("prepare", [*FLAGS, *words, "--runner", "beam"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "--runner beam: Apache Beam is not installed" in line
    assert "cmrjax[beam]" in line
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("form", [["--beam-options=--a=b c"], ["--beam-options", "--a=b c"]])
def test_options_of_a_pipeline_begin_with_dashes(form):
    args = parse([*FLAGS, "--input", "in", "--output", "out", "--runner", "beam", *form])
    check(args)
    assert (args.beam_options, args.output.name) == ("--a=b c", "out")


def test_options_without_beam_are_refused():
    args = parse([*FLAGS, "--input", "in", "--output", "out", "--beam-options", "--a=b"])
    with pytest.raises(UserError, match="--beam-options without --runner beam"):
        check(args)
    with pytest.raises(SystemExit, match="2"):
        parse([*FLAGS, "--output", "out", "--runner", "spark"])


class Counting(engine.BatchRunner):
    """Another engine, which hands back what JSON holds."""

    def map_batches(self, function, items, *, size):
        for i in range(0, len(items), size):
            yield list(function(items[i : i + size]))


def test_another_engine_is_asked_in_place_of_a_pool():
    got = engine.map_batches(Counting(), lambda some: (len(some), 0), range(5), size=2, workers=1)
    assert list(got) == [[2, 0], [2, 0], [1, 0]]
