"""Schedules by hand: their ends, their middle, and traced steps."""

import jax
import numpy as np
import pytest

from cmrjax.objectives.schedules import cosine, linear


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_a_schedule_starts_passes_the_middle_ends_and_stays(schedule):
    run = jax.jit(jax.vmap(lambda step: schedule(step, start=0.996, end=1.0, steps=100)))
    found = run(np.array([0, 50, 100, 1000]))
    np.testing.assert_allclose(found, [0.996, 0.998, 1.0, 1.0], rtol=1e-6)


def test_quarters_by_hand():
    assert float(linear(25, start=4.0, end=8.0, steps=100)) == pytest.approx(5.0)
    # (1 - cos 60 degrees) / 2 of the way after a third of the steps.
    assert float(cosine(1, start=4.0, end=8.0, steps=3)) == pytest.approx(5.0, rel=1e-6)


def test_a_way_of_no_steps_is_at_its_end():
    assert float(linear(0, start=0.04, end=0.07, steps=0)) == pytest.approx(0.07)
