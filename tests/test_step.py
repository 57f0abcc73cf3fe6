"""One step: what it freezes, averages, accumulates, and leaves alone when it is not finite."""

import jax
import numpy as np
import pytest

from cmrjax.core.partitioning import put_batch
from cmrjax.optim import OptimConfig
from tests.toy import BATCH, batch_at, by_hand, parts, same_bits

# Every variant of a step compiles anew: as few as there can be.
PLAIN = OptimConfig(learning_rate=0.05, warmup_steps=0, ema_decay=0.75)


def one_step(optim, *, damaged=(), devices=1):
    """States before and after the first step, and its metrics."""
    start, step_fn, _, _, mesh = parts(optim, devices=devices)
    batch = batch_at(0, damaged=dict(damaged))
    del batch["rows"]
    before = jax.tree.map(np.asarray, start())
    after, metrics = step_fn(start(), put_batch(batch, mesh))
    return before, after, metrics


@pytest.mark.parametrize("target", [np.nan, np.inf, 1e19])
def test_a_step_that_is_not_finite_changes_the_counters_alone(target):
    before, after, metrics = one_step(PLAIN, damaged={1: target})
    assert float(metrics["skipped"]) == 1
    assert (int(after.step), int(after.examples)) == (1, BATCH)
    for part in ("params", "extra", "opt_state", "ema"):
        assert same_bits(getattr(before, part), getattr(after, part)), part


def test_a_drill_is_one_step_that_is_not_finite_and_changes_no_other():
    plain, drilled = by_hand(PLAIN, steps=3, left_out=[2]), by_hand(PLAIN, steps=3, drill=2)
    assert same_bits(plain, drilled)
    assert not same_bits(plain.params, by_hand(PLAIN, steps=3).params)


def test_frozen_parts_keep_their_bits_and_count_in_no_norm():
    optim = OptimConfig(learning_rate=0.05, warmup_steps=0, weight_decay=0.5, frozen=("video",))
    before, after, metrics = one_step(optim)
    assert same_bits(before.params["video"], after.params["video"])
    assert not same_bits(before.params["head"], after.params["head"])
    _, _, whole = one_step(PLAIN)
    assert float(metrics["loss"]) == float(whole["loss"])
    assert 0 < float(metrics["grad_norm"]) < float(whole["grad_norm"])


def test_the_moving_average_starts_at_the_initial_weights_and_follows_them():
    weights = [by_hand(PLAIN, steps=n) for n in range(4)]
    expected = jax.tree.map(
        lambda w0, w1, w2, w3: 0.75**3 * w0 + 0.25 * (0.75**2 * w1 + 0.75 * w2 + w3),
        *[state.params for state in weights],
    )
    jax.tree.map(
        lambda e, found: np.testing.assert_allclose(found, e, rtol=1e-5, atol=1e-7),
        expected,
        weights[3].ema,
    )


@pytest.mark.parametrize("devices", [1, 2])
def test_parts_of_a_batch_give_the_update_of_the_whole(devices):
    optim = OptimConfig(learning_rate=0.05, warmup_steps=0, accumulate=4)
    _, whole, of_whole = one_step(PLAIN)
    _, parted, of_parts = one_step(optim, devices=devices)
    for name in ("loss", "grad_norm"):
        assert float(of_parts[name]) == pytest.approx(float(of_whole[name]), rel=1e-5)
    # What the objective moves, its teacher and centre, moves once, by the whole batch.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        (whole.params, whole.extra),
        (parted.params, parted.extra),
    )
    assert int(parted.examples) == BATCH


def test_one_part_that_is_not_finite_skips_the_whole_step():
    optim = OptimConfig(learning_rate=0.05, warmup_steps=0, accumulate=4)
    start, step_fn, _, _, mesh = parts(optim)
    batch = batch_at(0, damaged={})
    del batch["rows"]
    batch["y"][2] = np.nan
    after, metrics = step_fn(start(), put_batch(batch, mesh))
    assert float(metrics["skipped"]) == 1
    assert same_bits(start().params, after.params)
