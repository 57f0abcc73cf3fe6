"""The decisions of a run's health, on values written by hand, and the record of events."""

import pytest

from cmrjax.core.errors import UserError
from cmrjax.health import (
    HEALTH_FILE,
    Event,
    HealthConfig,
    Journal,
    collapse_message,
    collapsed,
    is_spike,
    read_events,
)


def rows(values, *, name="effective_rank", first=1):
    return [{"step": i, "loss": 1.0, name: value} for i, value in enumerate(values, first)]


CONFIG = HealthConfig(min_effective_rank=2.0, grace_steps=2, patience=3)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, 1, 1, 1, 1], True),
        ([1, 1, 1, 1], False),  # two values after the grace
        ([9, 9, 1, 1, 1], True),
        ([9, 9, 1, 2, 1], False),  # 2 is not below 2
        ([9, 9, 1, float("nan"), 1], True),
        ([9, 9, 1, None, 1], True),  # NaN, as metrics.jsonl gives it back
        ([1, 1, 1, 1, 1, 3], False),
    ],
)
def test_a_collapse_is_patience_values_in_a_row_after_the_grace(values, found):
    assert (collapsed(CONFIG, rows(values)) == "min_effective_rank") == found


def test_each_bound_belongs_to_its_metric_and_zero_is_off():
    below = rows([0.01] * 9, name="teacher_information")
    assert collapsed(HealthConfig(), below) is None
    config = HealthConfig(min_teacher_information=0.02, grace_steps=0)
    assert collapsed(config, below) == "min_teacher_information"
    assert collapsed(config, []) is None
    with pytest.raises(UserError, match=r"health\.min_spread: the objective logs no embedding_spr"):
        collapsed(HealthConfig(min_spread=0.1), below)
    error = collapse_message(config, "min_teacher_information", below[-1])
    assert str(error).startswith(
        "step 9: collapse: teacher_information = 0.01, below the bound of 0.02 for 3 logged values"
    )


def test_a_jump_is_measured_against_the_median_of_enough_values():
    config = HealthConfig(spike_factor=3.0)
    usual = [1.0, 1.2, 0.9, 50.0, 1.1, 1.0, 0.8, 1.0]  # the median is 1, whatever one value is

    def after(losses, factor=config):
        return is_spike(factor, [{"step": i, "loss": v} for i, v in enumerate(losses, 1)])

    assert after([*usual, 3.1])
    assert not after([*usual, 2.9])
    assert not after([*usual[1:], 3.1])  # seven values are too few
    assert not after([*usual, 3.1], HealthConfig())
    # Only the last 32 count: the loss has fallen since.
    assert after([100.0] * 32 + [1.0] * 32 + [4.0])


def test_events_are_kept_once_and_read_back(tmp_path):
    first = Event(
        step=5, what="loss", policy="rollback", value="nan", excluded=(5,), studies=("0a",)
    )
    journal = Journal(tmp_path)
    journal.record(first)
    journal.record(first)
    journal.record(Event(step=9, what="spike", policy="rollback", value="7.0", excluded=(8, 9)))
    again = Journal(tmp_path)
    assert again.events == journal.events
    assert len(again.events) == 2
    assert again.excluded == {5, 8, 9}
    assert again.spikes == 1
    Journal(tmp_path, write=False).record(Event(step=1, what="loss", policy="skip", value="inf"))
    assert len(read_events(tmp_path)) == 2


def test_steps_in_a_row_are_counted_back_past_those_that_a_jump_took_along(tmp_path):
    journal = Journal(tmp_path)
    for step, policy in ((3, "skip"), (5, "rollback"), (8, "rollback"), (9, "stop")):
        excluded = (step,) if policy == "rollback" else ()
        journal.record(Event(step=step, what="loss", policy=policy, value="nan", excluded=excluded))
    journal.record(Event(step=7, what="spike", policy="rollback", value="9.0", excluded=(6, 7)))
    found = {step: journal.left_out_before(step) for step in (2, 3, 4, 5, 7, 8, 9)}
    assert found == {2: 0, 3: 1, 4: 0, 5: 1, 7: 1, 8: 2, 9: 0}


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / HEALTH_FILE).write_text('{"step": 1}\n')
    with pytest.raises(UserError, match=r"health\.jsonl: cannot be read"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "ignore"},
        {"max_skipped": -1},
        {"spike_factor": 0.5},
        {"patience": 0},
        {"drill_nan_step": 0},
    ],
)
def test_a_value_that_means_nothing_is_refused(change):
    (name,) = change
    with pytest.raises(UserError, match=rf"config\.health: {name} ="):
        HealthConfig(**change)
