import numpy as np
import pytest

from cmrjax.cli import run
from cmrjax.evals.predictions import to_csv
from cmrjax.stats import main
from tests.evals.test_metrics import noisy
from tests.evals.test_predictions import predictions


def write(path, *parts):
    path.write_bytes(to_csv(parts))
    return str(path)


def test_a_file_gives_a_table_with_intervals(tmp_path, capsys):
    path = write(
        tmp_path / "p.csv",
        noisy("mi", "checkpoint", noise=1.0),
        predictions(target=[50, 60, 70], prediction=[51, 58, 73]),
    )
    assert main([path, "--bootstrap", "100"]) == 0
    out = capsys.readouterr().out
    assert "auroc" in out
    assert "mae" in out
    assert " to " in out


def test_two_files_are_paired_by_study(tmp_path, capsys):
    target = np.arange(30) % 2
    score = target + np.random.default_rng(0).normal(size=30)
    ours = write(tmp_path / "a.csv", predictions("mi", "binary", target=target, prediction=score))
    other = predictions(
        "mi",
        "binary",
        target=target[::-1],
        prediction=-score[::-1],
        encoder="rival",
        study_id=np.array([f"s{i}" for i in range(30)])[::-1],
    )
    theirs = write(tmp_path / "b.csv", other)
    assert main([ours, "--against", theirs, "--bootstrap", "100"]) == 0
    out = capsys.readouterr().out
    assert "checkpoint-rival'" in out
    assert "auroc_difference" in out


@pytest.mark.parametrize("patients", [4, 3])
def test_a_row_without_an_interval_has_a_dash(patients, tmp_path, capsys):
    target, who = [1, 0, 0, 0], np.array([f"p{i % patients}" for i in range(4)])
    right = predictions("mi", "binary", target=target, prediction=target, patient_id=who)
    wrong = predictions("mi", "binary", target=target, prediction=[0, 1, 2, 3], patient_id=who)
    ours, theirs = write(tmp_path / "a.csv", right), write(tmp_path / "b.csv", wrong)
    main([ours])
    main([theirs, "--against", ours])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "auroc" in line]
    assert ["checkpoint", "mi", "auroc", "1.000", "-", "4", "1"] in lines
    assert [line[2:5] for line in lines if line[2] == "auroc_difference"] == [
        ["auroc_difference", "-1.000", "-"]
    ] * 2


def test_files_that_do_not_fit_are_one_line_and_exit_2(tmp_path, capsys):
    ours = write(tmp_path / "a.csv", predictions("mi", "binary", target=[0, 1], prediction=[0, 1]))
    flipped = write(
        tmp_path / "b.csv", predictions("mi", "binary", target=[1, 0], prediction=[0, 1])
    )
    other = write(
        tmp_path / "c.csv",
        predictions("mi", "binary", target=[0, 1], prediction=[0, 1], prefix="z"),
    )
    for words, says in (
        ([ours, "--against", flipped], "two targets"),
        ([ours, "--against", other], "share no"),
        ([str(tmp_path / "none.csv")], "no such file"),
        ([ours, "--bootstrap", "0"], "must be positive"),
    ):
        assert run("stats", words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert says in captured.err


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_usage(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    captured = capsys.readouterr()
    assert "PREDICTIONS" in (captured.out + captured.err).upper()
