"""The schedule's values, what decays, and how far a gradient reaches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.parameters import flatten
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.optim import (
    OptimConfig,
    decay_mask,
    frozen_mask,
    layer_scales,
    make_optimizer,
    schedule,
    weight_decay_schedule,
)

CONFIG = OptimConfig(learning_rate=0.4, warmup_steps=10, final_ratio=0.1)


def test_the_schedule_rises_linearly_and_falls_as_a_cosine():
    found = values(schedule(CONFIG, steps=110), [0, 5, 10, 60, 110, 500, 35])
    # The last is a quarter of the way down: (1 + cos 45 degrees) / 2 of the range.
    quarter = 0.04 + 0.36 * (1 + 0.5**0.5) / 2
    np.testing.assert_allclose(found, [0, 0.2, 0.4, 0.22, 0.04, 0.04, quarter], atol=1e-6)


def test_a_run_shorter_than_its_warm_up_still_reaches_its_rate():
    rates = values(schedule(CONFIG, steps=4), range(5))
    assert max(rates) == pytest.approx(0.4)
    assert rates[-1] == pytest.approx(0.04)
    assert float(schedule(CONFIG, steps=1)(1)) == pytest.approx(0.4)


def test_without_warm_up_the_first_step_has_the_full_rate():
    config = dataclasses.replace(CONFIG, warmup_steps=0)
    assert float(schedule(config, steps=100)(0)) == pytest.approx(0.4)


def values(of, steps):
    """A schedule's values at these steps."""
    return np.asarray(jax.jit(jax.vmap(of))(jnp.array(steps)))


def first_update(optimizer, gradient, params):
    """Updates and state after the first step."""
    return jax.jit(lambda g, p: optimizer.update(g, optimizer.init(p), p))(gradient, params)


def shapes(video, style="pre_norm"):
    """Shapes of the parameters of two towers, the text one of 3 blocks."""
    text = TextEncoderConfig(vocabulary=9, max_tokens=4, width=8, depth=3, heads=2, style=style)
    config = TwoTowerConfig(video=video, text=text)
    model = nnx.eval_shape(lambda: TwoTower(config, rngs=nnx.Rngs(0)))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def test_matrices_decay_and_nothing_else_does():
    decays = flatten(decay_mask(shapes(VideoViTConfig())))
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
    params = {"kernel": jnp.full(2, 4.0), "bias": jnp.full(2, 4.0)}
    optimizer = make_optimizer(config, steps=100, params=params)
    updates, _ = first_update(optimizer, optax.tree.zeros_like(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * 4.0, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_a_large_gradient_is_scaled_to_the_norm_over_all_parameters():
    params = {"kernel": jnp.zeros(1), "bias": jnp.zeros(1)}
    optimizer = make_optimizer(OptimConfig(clip_norm=1.0, b1=0.9), steps=100, params=params)
    gradient = {"kernel": jnp.full(1, 300.0), "bias": jnp.full(1, 400.0)}
    _, state = first_update(optimizer, gradient, params)
    (moments,) = [s for s in jax.tree.leaves(state, is_leaf=_is_adam) if _is_adam(s)]
    # The first moment is 0.1 of the clipped gradient (0.6, 0.8).
    np.testing.assert_allclose(moments.mu["kernel"], 0.06, rtol=1e-5)
    np.testing.assert_allclose(moments.mu["bias"], 0.08, rtol=1e-5)


def _is_adam(leaf) -> bool:
    return isinstance(leaf, optax.ScaleByAdamState)


def test_a_constant_rate_cools_down_linearly_at_the_end():
    config = dataclasses.replace(CONFIG, schedule="constant", cooldown_steps=40)
    rate = schedule(config, steps=100)
    found = values(rate, [5, 10, 60, 80, 100, 200])
    np.testing.assert_allclose(found, [0.2, 0.4, 0.4, 0.22, 0.04, 0.04], rtol=1e-5)
    held = schedule(dataclasses.replace(config, cooldown_steps=0), steps=100)
    assert float(held(100)) == pytest.approx(0.4)


def test_an_rsqrt_rate_halves_after_three_timescales_and_cools_down_from_there():
    config = dataclasses.replace(CONFIG, schedule="rsqrt", timescale=100)
    rate = schedule(config, steps=1000)
    found = values(rate, [5, 10, 110, 310, 810])
    np.testing.assert_allclose(found, [0.2, 0.4, 0.4 / 2**0.5, 0.2, 0.4 / 3], rtol=1e-5)
    cooled = schedule(dataclasses.replace(config, cooldown_steps=100), steps=410)
    found = values(cooled, [310, 360, 410])
    np.testing.assert_allclose(found, [0.2, 0.12, 0.04], rtol=1e-5)


def test_the_weight_decay_follows_a_cosine_to_its_end_and_is_applied():
    config = OptimConfig(
        learning_rate=0.1, warmup_steps=0, schedule="constant", final_weight_decay=0.4
    )
    decay = weight_decay_schedule(dataclasses.replace(config, weight_decay=0.04), steps=100)
    assert callable(decay)
    found = values(decay, [0, 50, 100, 150])
    np.testing.assert_allclose(found, [0.04, 0.22, 0.4, 0.4], rtol=1e-5)
    params = {"kernel": jnp.full(2, 4.0)}
    config = dataclasses.replace(config, weight_decay=0.0)
    optimizer = make_optimizer(config, steps=2, params=params)
    update, state = jax.jit(optimizer.update), optimizer.init(params)
    for expected in (0.0, 0.1 * 0.2 * 4.0, 0.1 * 0.4 * 4.0):
        updates, state = update(optax.tree.zeros_like(params), state, params)
        np.testing.assert_allclose(updates["kernel"], -expected, atol=1e-7)


def test_blocks_learn_slower_the_earlier_they_are():
    video = VideoViTConfig(
        size=(8, 4, 2), clip=(2, 16, 16), cls_token=True, registers=1, pool="attention"
    )
    scales = flatten(layer_scales(shapes(video, style="bert"), 0.5))
    kernel = scales["video/trunk/blocks/up/kernel"]
    assert kernel.shape == (4, 1, 1)
    np.testing.assert_array_equal(kernel.ravel(), [1 / 16, 1 / 8, 1 / 4, 1 / 2])
    np.testing.assert_array_equal(
        scales["text/trunk/blocks/up/bias"].ravel(), [1 / 8, 1 / 4, 1 / 2]
    )
    lowest = {"embed", "time", "space", "cls", "registers"}
    for name, scale in scales.items():
        tower, part = name.split("/")[:2] if "/" in name else (name, "")
        if part != "trunk":
            before = {"video": lowest, "text": {"embed", "embed_norm", "position"}}.get(tower, ())
            expected = {"video": 1 / 32, "text": 1 / 16}[tower] if part in before else 1.0
            assert float(scale) == expected, name
    assert "video/pool/query" in scales
    assert "project_video/kernel" in scales


def test_the_second_trunk_goes_on_where_the_first_ends():
    video = VideoViTConfig(
        size=(8, 2, 2),
        clip=(2, 16, 16),
        attention="factorised",
        temporal_depth=1,
        cls_token=True,
    )
    scales = flatten(layer_scales(shapes(video), 0.5))
    np.testing.assert_array_equal(scales["video/trunk/blocks/up/kernel"].ravel(), [1 / 8, 1 / 4])
    np.testing.assert_array_equal(scales["video/temporal/blocks/up/kernel"].ravel(), [1 / 2])
    assert float(scales["video/cls"]) == 1 / 16
    assert float(scales["video/cls_time"]) == 1 / 4


def test_a_multiscale_towers_blocks_are_scaled_one_by_one():
    video = MViTConfig(clip=(4, 32, 32), size=(8, 3, 1), stages=(1, 2), kv_stride=(1, 2, 2))
    scales = flatten(layer_scales(shapes(video), 0.5))
    found = {k.split("/")[2]: float(v) for k, v in scales.items() if k.startswith("video/blocks")}
    assert found == {"00": 1 / 8, "01": 1 / 4, "02": 1 / 2}
    assert float(scales["video/cls_position"]) == 1 / 16
    assert float(scales["video/norm/scale"]) == 1.0


def test_an_update_is_scaled_by_its_layer_and_needs_a_tower():
    params = {"video": {"embed": jnp.ones(2), "trunk": {"blocks": {"bias": jnp.ones((2, 3))}}}}
    config = OptimConfig(learning_rate=0.1, warmup_steps=0, layer_decay=0.5, weight_decay=0.0)
    optimizer = make_optimizer(config, steps=100, params=params)
    gradient = jax.tree.map(jnp.ones_like, params)
    updates, _ = first_update(optimizer, gradient, params)
    # The first step of Adam is the rate itself, whatever the gradient.
    np.testing.assert_allclose(updates["video"]["embed"], -0.1 / 8, rtol=1e-4)
    blocks = updates["video"]["trunk"]["blocks"]["bias"]
    np.testing.assert_allclose(blocks, -0.1 * np.array([[1 / 4] * 3, [1 / 2] * 3]), rtol=1e-4)
    with pytest.raises(UserError, match="no tower"):
        make_optimizer(config, steps=100, params={"head": jnp.ones(2)})


def test_frozen_parts_have_no_update_no_state_and_no_share_of_the_norm():
    params = {"a": {"kernel": jnp.full(1, 2.0)}, "b": {"kernel": jnp.full(1, 2.0)}}
    config = OptimConfig(frozen=("a",), warmup_steps=0, clip_norm=1.0, learning_rate=0.1)
    optimizer = make_optimizer(config, steps=100, params=params)
    gradient = {"a": {"kernel": jnp.full(1, 300.0)}, "b": {"kernel": jnp.full(1, 4.0)}}
    updates, state = first_update(optimizer, gradient, params)
    np.testing.assert_array_equal(updates["a"]["kernel"], 0.0)
    assert float(updates["b"]["kernel"][0]) < 0
    (moments,) = [s for s in jax.tree.leaves(state, is_leaf=_is_adam) if _is_adam(s)]
    assert len(jax.tree.leaves(moments.mu)) == 1
    # The norm is 4, not 300: the moment is 0.1 of a gradient of 1.
    np.testing.assert_allclose(moments.mu["b"]["kernel"], 0.1, rtol=1e-5)


def test_frozen_patterns_name_paths_or_whole_parts_and_all_must_match():
    params = shapes(VideoViTConfig(size=(8, 1, 2), clip=(2, 16, 16)))
    mask = flatten(frozen_mask(("video/trunk/*", "text"), params))
    assert {tuple(k.split("/")[:2]) for k, v in mask.items() if v} == {
        ("video", "trunk"),
        *(("text", name) for name in ("embed", "norm", "position", "trunk")),
    }
    with pytest.raises(UserError, match=r"matches \['vidoe/\*'\]; .*text/trunk.*video/trunk"):
        frozen_mask(("video/*", "vidoe/*"), params)
    with pytest.raises(UserError, match="nothing is left to train"):
        frozen_mask(("*",), params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "linear"}, "schedule = 'linear'"),
        ({"cooldown_steps": 5}, "cosine falls by itself"),
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"accumulate": 0}, "accumulate"),
        ({"frozen": "video"}, "list of patterns"),
    ],
)
def test_a_value_that_means_nothing_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        OptimConfig(**change)
