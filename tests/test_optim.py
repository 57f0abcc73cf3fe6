"""The schedule's values, what decays, and how far a gradient reaches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.optim import OptimConfig, decay_mask, make_optimizer, schedule

CONFIG = OptimConfig(learning_rate=0.4, warmup_steps=10, final_ratio=0.1)


def test_the_schedule_rises_linearly_and_falls_as_a_cosine():
    rate = schedule(CONFIG, steps=110)
    for step, expected in [(0, 0), (5, 0.2), (10, 0.4), (60, 0.22), (110, 0.04), (500, 0.04)]:
        assert float(rate(step)) == pytest.approx(expected, abs=1e-6)
    # A quarter of the way down: (1 + cos 45 degrees) / 2 of the range.
    assert float(rate(35)) == pytest.approx(0.04 + 0.36 * (1 + 0.5**0.5) / 2, rel=1e-5)


def test_a_run_shorter_than_its_warm_up_still_reaches_its_rate():
    rates = [float(schedule(CONFIG, steps=4)(step)) for step in range(5)]
    assert max(rates) == pytest.approx(0.4)
    assert rates[-1] == pytest.approx(0.04)
    assert float(schedule(CONFIG, steps=1)(1)) == pytest.approx(0.4)


def test_without_warm_up_the_first_step_has_the_full_rate():
    config = dataclasses.replace(CONFIG, warmup_steps=0)
    assert float(schedule(config, steps=100)(0)) == pytest.approx(0.4)


def test_matrices_decay_and_nothing_else_does():
    model = nnx.eval_shape(
        lambda: TwoTower(
            TwoTowerConfig(
                video=VideoViTConfig(), text=TextEncoderConfig(vocabulary=9, max_tokens=4)
            ),
            rngs=nnx.Rngs(0),
        )
    )
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    leaves = jax.tree_util.tree_leaves_with_path(decay_mask(params))
    decays = {jax.tree_util.keystr(path, simple=True, separator="/"): yes for path, yes in leaves}
    assert {name.split("/")[-1] for name, yes in decays.items() if yes} == {"kernel", "embedding"}
    assert {name.split("/")[-1] for name, yes in decays.items() if not yes} == {
        "bias",
        "scale",
        "time",
        "space",
        "position",
        "logit_scale",
        "logit_bias",
    }
    assert decays["video/trunk/blocks/up/kernel"]
    assert decays["text/embed/embedding"]


def test_decay_pulls_kernels_by_rate_times_decay():
    config = OptimConfig(learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
    optimizer = make_optimizer(config, steps=100)
    params = {"kernel": jnp.full(2, 4.0), "bias": jnp.full(2, 4.0)}
    updates, _ = optimizer.update(optax.tree.zeros_like(params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * 4.0, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_a_large_gradient_is_scaled_to_the_norm_over_all_parameters():
    optimizer = make_optimizer(OptimConfig(clip_norm=1.0, b1=0.9), steps=100)
    params = {"kernel": jnp.zeros(1), "bias": jnp.zeros(1)}
    gradient = {"kernel": jnp.full(1, 300.0), "bias": jnp.full(1, 400.0)}
    _, state = optimizer.update(gradient, optimizer.init(params), params)
    (moments,) = [s for s in jax.tree.leaves(state, is_leaf=_is_adam) if _is_adam(s)]
    # The first moment is 0.1 of the clipped gradient (0.6, 0.8).
    np.testing.assert_allclose(moments.mu["kernel"], 0.06, rtol=1e-5)
    np.testing.assert_allclose(moments.mu["bias"], 0.08, rtol=1e-5)


def _is_adam(leaf) -> bool:
    return isinstance(leaf, optax.ScaleByAdamState)
