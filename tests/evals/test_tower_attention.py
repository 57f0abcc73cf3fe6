"""Maps of whole towers: every form gives one, and each is where it must be."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.evals.attention import to_frames
from cmrjax.evals.tower_attention import METHODS, NoMapError, tower_map
from cmrjax.models.mvit import MViT, MViTConfig
from cmrjax.models.video_vit import VideoViT, VideoViTConfig, patchify
from tests.models.networks import filled

CONFIG = VideoViTConfig(
    size=(16, 2, 2), tubelet=(2, 4, 4), clip=(4, 8, 8), temporal_depth=2, remat="none"
)
CLIPS = jnp.asarray(np.random.default_rng(0).random((2, 4, 8, 8)), jnp.float32)
FORMS = {
    "joint": {},
    "joint cls": {"cls_token": True, "registers": 1, "pool": "cls"},
    "joint attention": {"pool": "attention", "registers": 1},
    "joint unnormed": {"final_norm": "none"},
    "divided": {"attention": "divided"},
    "divided cls": {"attention": "divided", "cls_token": True, "pool": "cls"},
    "factorised": {"attention": "factorised"},
    "factorised cls": {"attention": "factorised", "cls_token": True, "pool": "cls"},
    "factorised attention": {"attention": "factorised", "pool": "attention"},
}


def squared(pooled):
    return (pooled**2).sum(-1)


def compiled_map(tower, *, score=squared, method):
    graph, state = nnx.split(tower)
    run = jax.jit(
        lambda state, clips: tower_map(nnx.merge(graph, state), clips, method=method, score=score)
    )
    return partial(run, state)


def make(**changes):
    config = dataclasses.replace(CONFIG, **changes)
    return filled(lambda: VideoViT(config, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_every_map_and_is_not_changed_by_looking(form):
    graph, state = nnx.split(make(**FORMS[form]))

    @jax.jit
    def look(state, clips):
        tower = nnx.merge(graph, state)
        maps = [tower_map(tower, clips, method=m, score=squared) for m in METHODS]
        assert nnx.graphdef(tower) == graph
        return maps

    for one in look(state, CLIPS):
        assert one.shape == CLIPS.shape
        assert np.asarray(one).min() >= 0
        np.testing.assert_allclose(one.sum(axis=(1, 2, 3)), 1, rtol=1e-4)
        assert float(jnp.abs(one - one.mean()).max()) > 1e-5, "it depends on the clip"


def by_hand(tower, clips):
    """What all queries attend to in the last block, and each token's own part along z."""
    *first, last = tower.trunk.layers()
    t, h, w = tower.config.grid
    x = tower.embed(patchify(clips * 2 - 1, tower.config.tubelet)).reshape(2, t, h * w, -1)
    x = (x + tower.time[...][:, None] + tower.space[...]).reshape(2, t * h * w, -1)
    for layer in first:
        x = layer(x)
    tokens = tower.norm(last(x))
    weights = last.attention.weights(last.norm1(x)).mean(axis=(1, 2))
    # The gradient of |z|^2 / 2 at a token is z / n.
    return weights, jnp.maximum((tokens * tokens.mean(axis=1, keepdims=True)).sum(-1), 0)


def test_the_last_block_and_the_gradient_of_a_mean_pooled_tower_by_hand():
    tower = make()
    graph, state = nnx.split(tower)
    expected = jax.jit(lambda state, clips: by_hand(nnx.merge(graph, state), clips))(state, CLIPS)
    for method, relevance in zip(("last_block", "gradient"), expected, strict=True):
        maps = to_frames(relevance, grid=tower.config.grid, clip=(4, 8, 8))
        found = compiled_map(tower, method=method)(CLIPS)
        np.testing.assert_allclose(found, maps, rtol=1e-3, atol=1e-6)


def plain_tower(**changes):
    """Attention and MLPs add nothing, positions and biases are zero: tokens are their patches."""
    tower = make(final_norm="none", **changes)
    graph, state = nnx.split(tower)
    params = nnx.to_pure_dict(state)
    zero = partial(jax.tree.map, jnp.zeros_like)
    blocks = params["trunk"]["blocks"]
    for name in ("out", "down"):
        place = blocks["attention"] if name == "out" else blocks
        place[name] = zero(place[name])
    params |= {"time": zero(params["time"]), "space": zero(params["space"])}
    params["embed"]["bias"] = zero(params["embed"]["bias"])
    return nnx.merge(graph, params)


def test_the_gradient_finds_the_one_patch_that_the_score_depends_on():
    tower = plain_tower()
    clips = np.full((1, 4, 8, 8), 0.5, np.float32)  # mid-grey enters as zero
    clips[0, 2:, 4:, :4] = 1.0  # second time, second row, first column
    maps = np.asarray(compiled_map(tower, method="gradient")(clips))
    t, h, w = np.unravel_index(maps[0].argmax(), maps.shape[1:])
    assert (t >= 2, h >= 4, w < 4) == (True, True, True)
    assert maps[0, :1].sum() < 0.05
    assert maps[0, 2:, 4:, :4].sum() > 0.5


def test_a_score_against_the_patch_leaves_it_out():
    tower = plain_tower()
    clips = np.full((1, 4, 8, 8), 0.5, np.float32)
    clips[0, 2:, 4:, :4] = 1.0
    run = compiled_map(tower, method="gradient", score=lambda pooled: -squared(pooled))
    np.testing.assert_allclose(run(clips), 1 / 256, rtol=1e-5)  # nothing raises the score


def test_mvit_has_the_last_blocks_attention_and_a_gradient_but_no_rollout():
    """The class token's row in the last block; and a gradient, which its keys and values pass."""
    config = MViTConfig(size=(8, 2, 1), stages=(1,), clip=(4, 16, 16), remat="none")
    tower = filled(lambda: MViT(config, rngs=nnx.Rngs(0)))
    clips = jnp.asarray(np.random.default_rng(1).random((2, 4, 16, 16)), jnp.float32)
    graph, state = nnx.split(tower)

    @jax.jit
    def look(state, clips):
        tower = nnx.merge(graph, state)
        last = tower.blocks["01"]
        x = last.norm1(tower.layers(tower.normalise(clips))[-2])
        weights, (_, _, v) = last.attention.weights(x), last.attention._split(x)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(2, -1, 16)
        maps = [tower_map(tower, clips, method=m, score=squared) for m in METHODS if m != "rollout"]
        return weights, last.attention.out(mixed), last.attention(x), *maps

    weights, mixed, attended, last_block, gradient = look(state, clips)
    np.testing.assert_allclose(mixed, attended, atol=1e-4)
    # The last block starts a stage: queries of 2 x 2 x 2 places look at keys of 2 x 4 x 4.
    assert weights.shape == (2, 2, 1 + 8, 1 + 32)
    expected = to_frames(weights.mean(1)[:, 0, 1:], grid=(2, 4, 4), clip=config.clip)
    np.testing.assert_allclose(last_block, expected, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(gradient.sum(axis=(1, 2, 3)), 1, rtol=1e-4)
    assert np.ptp(gradient[0]) > 1e-6
    with pytest.raises(NoMapError, match="MViT has no attention rollout"):
        tower_map(tower, clips, method="rollout", score=squared)


def test_something_that_is_no_tower_is_refused():
    with pytest.raises(NoMapError, match="Linear"):
        tower_map(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), CLIPS, method="rollout", score=squared)
