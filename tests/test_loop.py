"""What a run does when it goes wrong: stops, skips or goes back, and with which bits it ends."""

import dataclasses
import json

import numpy as np
import pytest

from cmrjax.core import checkpoint
from cmrjax.core.errors import PreemptedError, UserError
from cmrjax.core.writer import read_metrics
from cmrjax.health import HEALTH_FILE
from cmrjax.optim import OptimConfig
from tests.toy import BATCH, by_hand, drive, same_bits, toy_run

OPTIM = {"learning_rate": 0.05, "warmup_steps": 0}
BAD = {5: np.nan}


def run(policy="stop", *, drill=-1, steps=8, **health):
    section = {"policy": policy, "drill_nan_step": drill, **health}
    return toy_run(steps=steps, optim=OPTIM, health=section)


def events(workdir):
    return [json.loads(line) for line in (workdir / HEALTH_FILE).read_text().splitlines()]


def expected(steps=8, **changes):
    return by_hand(OptimConfig(**OPTIM), steps=steps, **changes)


def ids(step):
    return [f"{k:04x}" for k in range((step - 1) * BATCH, step * BATCH)]


def test_policy_stop_ends_the_run_before_anything_is_lost(tmp_path):
    with pytest.raises(UserError, match=r"step 5: the loss is nan; .*policy.*health\.jsonl"):
        drive(run(), tmp_path, damaged=BAD)
    assert checkpoint.steps(tmp_path) == [3]
    (event,) = events(tmp_path)
    assert event == {
        "step": 5,
        "what": "loss",
        "policy": "stop",
        "value": "nan",
        "excluded": [],
        "studies": ids(5),
        "drill": False,
    }
    # The same command meets the same step; another policy gets past it.
    with pytest.raises(UserError, match="step 5"):
        drive(run(), tmp_path, damaged=BAD)
    assert len(events(tmp_path)) == 1
    assert same_bits(drive(run("skip"), tmp_path, damaged=BAD), expected(left_out=[5]))


@pytest.mark.parametrize("bad", [{5: np.nan}, {6: 1e19}, {1: np.nan}, {8: np.inf}])
def test_skip_and_rollback_end_with_the_bits_of_a_run_without_the_batch(tmp_path, bad):
    (step,) = bad
    whole = expected(left_out=[step])
    for policy in ("skip", "rollback"):
        workdir = tmp_path / policy
        assert same_bits(drive(run(policy), workdir, damaged=bad), whole)
        (event,) = events(workdir)
        assert (event["step"], event["policy"], event["studies"]) == (step, policy, ids(step))
        assert event["excluded"] == ([step] if policy == "rollback" else [])
        assert checkpoint.steps(workdir) == [3, 6, 8]
    rows = [read_metrics(tmp_path / policy) for policy in ("skip", "rollback")]
    for a, b in zip(*rows, strict=True):
        assert (a["step"], a["loss"], a["examples"]) == (b["step"], b["loss"], b["examples"])
        assert a.get("skipped") == (1.0 if a["step"] == step else None)
    assert [row["step"] for row in rows[0]] == list(range(1, 9))
    assert rows[1][step - 1]["loss"] is None


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_drill_is_marked_and_leaves_the_rest_alone(tmp_path, policy, capsys):
    final = drive(run(policy, drill=5), tmp_path)
    assert same_bits(final, expected(left_out=[5]))
    assert events(tmp_path)[0]["drill"]
    assert f"drill: step 5: loss = nan, policy {policy}" in capsys.readouterr().err


def test_a_drill_under_stop_says_that_it_was_one(tmp_path):
    with pytest.raises(UserError, match="step 5: drill: the loss is nan"):
        drive(run(drill=5), tmp_path)


@pytest.mark.parametrize("policy", ["skip", "rollback"])
@pytest.mark.parametrize("stop_after", [4, 6, 7])
def test_a_run_stopped_around_a_bad_batch_resumes_to_the_same_bits(tmp_path, policy, stop_after):
    with pytest.raises(PreemptedError):
        drive(run(policy), tmp_path, damaged=BAD, stop_after=stop_after)
    assert same_bits(drive(run(policy), tmp_path, damaged=BAD), expected(left_out=[5]))
    assert [event["step"] for event in events(tmp_path)] == [5]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_too_many_in_a_row_stop_under_every_policy(tmp_path, policy):
    bad = dict.fromkeys([3, 5, 6, 7], np.nan)
    with pytest.raises(UserError, match=r"step 7: more than 2 steps left out in a row"):
        drive(run(policy, max_skipped=2), tmp_path, damaged=bad)
    assert [event["policy"] for event in events(tmp_path)] == [policy] * 3 + ["stop"]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_checkpoint_between_them_does_not_start_the_count_anew(tmp_path, policy):
    bad = dict.fromkeys([3, 4, 5, 6], np.nan)
    config = dataclasses.replace(run(policy, max_skipped=2), checkpoint_every=1)
    with pytest.raises(PreemptedError):
        drive(config, tmp_path, damaged=bad, stop_after=4 if policy == "skip" else 6)
    assert checkpoint.steps(tmp_path)[-1] in (3, 4)
    with pytest.raises(UserError, match=r"step 5: more than 2 steps left out in a row"):
        drive(config, tmp_path, damaged=bad)


def test_steps_between_two_logged_ones_are_looked_at_too(tmp_path):
    config = toy_run(steps=8, optim=OPTIM, health={"policy": "skip"}, log_every=4)
    assert same_bits(drive(config, tmp_path, damaged=BAD), expected(left_out=[5]))
    assert [event["step"] for event in events(tmp_path)] == [5]
    assert [row["step"] for row in read_metrics(tmp_path)] == [4, 8]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_jump_of_the_loss_goes_back_before_the_last_usual_value(tmp_path, policy):
    # A usual loss is below 10; this one is about 10,000. It is seen at step 12, after the
    # checkpoint of step 11 that follows the last usual value, that of step 10.
    config = toy_run(
        steps=14,
        optim=OPTIM,
        log_every=1,
        checkpoint_every=11,
        health={"policy": policy, "spike_factor": 100.0},
    )
    bad = {12: 100.0}
    final = drive(config, tmp_path, damaged=bad)
    (event,) = events(tmp_path)
    assert (event["what"], event["step"], event["excluded"]) == ("spike", 12, [11, 12])
    assert event["policy"] == "rollback"
    assert same_bits(final, expected(14, left_out=[11, 12]))
    assert checkpoint.steps(tmp_path) == [11, 14]
    # A run that is resumed before the left-out batches leaves them out as well.
    checkpoint.remove(tmp_path, 14)
    assert same_bits(drive(config, tmp_path, damaged=bad), final)


def test_a_jump_of_the_loss_stops_where_that_is_the_policy(tmp_path):
    config = toy_run(steps=14, optim=OPTIM, health={"spike_factor": 100.0})
    with pytest.raises(UserError, match="step 12: the loss jumped to"):
        drive(config, tmp_path, damaged={12: 100.0})
    config = toy_run(
        steps=14,
        optim=OPTIM,
        health={"policy": "rollback", "spike_factor": 100.0, "max_skipped": 0},
    )
    with pytest.raises(UserError, match="step 12: more than 0 jumps of the loss"):
        drive(config, tmp_path / "b", damaged={12: 100.0})


def test_a_collapse_stops_the_run_after_grace_and_patience(tmp_path):
    # The spread of this network is below 10 from the start.
    with pytest.raises(
        UserError, match=r"step 6: collapse: embedding_spread = 0\.\d+, below the bound of 10"
    ):
        drive(run("skip", min_spread=10.0, grace_steps=3, patience=3), tmp_path)
    (event,) = events(tmp_path)
    assert (event["step"], event["what"], event["policy"]) == (6, "embedding_spread", "stop")


def test_a_bound_on_what_is_not_logged_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"health\.min_teacher_information: .*logs no teacher_info"):
        drive(run(min_teacher_information=0.1), tmp_path)
