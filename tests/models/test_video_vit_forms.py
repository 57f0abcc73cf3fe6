"""Every form of the video tower: shapes, masks, what it sees of other frames, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.video_vit import VideoViT, VideoViTConfig
from tests.models.networks import compiled, filled

CLIP = (4, 8, 8)
FORMS = {
    "joint": {},
    "joint with all": {"cls_token": True, "registers": 2, "pool": "cls", "positions": "learned"},
    "layer scale, attention pool": {"layer_scale": True, "pool": "attention", "registers": 1},
    "factorised": {"attention": "factorised", "temporal_depth": 1},
    "factorised cls": {"attention": "factorised", "cls_token": True, "pool": "cls"},
    "divided": {"attention": "divided"},
    "divided with all": {"attention": "divided", "cls_token": True, "registers": 2, "pool": "cls"},
    "pooled norm": {"final_norm": "pooled", "activation": "gelu"},
    "no norm": {"final_norm": "none", "scan": False},
}


def config(**fields) -> VideoViTConfig:
    base = {"size": (8, 2, 2), "tubelet": (1, 4, 4), "clip": CLIP, "remat": "none"}
    return VideoViTConfig(**(base | fields))


def make(**fields) -> VideoViT:
    return filled(lambda: VideoViT(config(**fields), rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(3).random((2, *CLIP)).astype(np.float32)


ALL_THERE = np.ones((2, 4), bool)


def features(tower):
    """The tower's `features(clips, frames)` as one compiled function."""
    graph, state = nnx.split(tower)
    function = jax.jit(lambda state, *args: nnx.merge(graph, state).features(*args))
    return lambda *args: tuple(np.asarray(x) for x in function(state, *args))


@pytest.mark.parametrize("name", FORMS)
def test_each_form_sees_every_frame_that_is_there_and_no_other(name, clips):
    run = features(make(**FORMS[name]))
    pooled, tokens = run(clips, ALL_THERE)
    assert pooled.shape == (2, 8)
    assert tokens.shape == (2, 4 * 2 * 2, 8)
    # One frame changed: every frame's tokens change.
    other = clips.copy()
    other[:, 3] = 1 - other[:, 3]
    changed = np.abs(run(other, ALL_THERE)[1] - tokens).reshape(2, 4, -1).max(-1)
    assert (changed > 1e-6).all()
    # The same frame is not there: whatever it holds changes nothing.
    frames = np.array([[True] * 4, [True, True, True, False]])
    other = clips.copy()
    other[1, 3] = np.nan
    pooled, tokens = run(clips, frames)
    again, again_tokens = run(other, frames)
    np.testing.assert_allclose(again, pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again_tokens[1, :12], tokens[1, :12], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["joint", "factorised cls", "divided with all"])
def test_a_mask_that_leaves_nothing_out_is_no_mask(name, clips):
    run = features(make(**FORMS[name]))
    for masked, plain in zip(run(clips, ALL_THERE), run(clips), strict=True):
        np.testing.assert_allclose(masked, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["factorised", "divided", "joint"])
def test_a_masked_clip_is_the_shorter_clip(name, clips):
    """Three of four frames under a mask, and a tower of three frames with the same parameters."""
    fields = {"attention": name, "positions": "separable"}
    long, short = make(**fields), make(**fields, clip=(3, 8, 8))
    params = nnx.to_pure_dict(nnx.state(long, nnx.Param))
    params["time"] = params["time"][:3]
    short = nnx.merge(nnx.split(short)[0], params)
    frames = jnp.array([[True, True, True, False]] * 2)
    np.testing.assert_allclose(
        features(long)(clips, frames)[0], features(short)(clips[:, :3])[0], rtol=1e-5, atol=1e-6
    )


def test_divided_attention_on_one_frame_adds_only_the_time_layers_value(clips):
    """With one time the softmax over times is 1: a token adds its own value, projected."""
    tower = make(attention="divided", clip=(1, 8, 8), size=(8, 1, 2))
    (layer,) = tower.trunk.layers()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 8)), jnp.float32)
    value = jnp.split(layer.attention_time.qkv(layer.norm_time(x)), 3, axis=-1)[2]
    y = x + layer.attention_time.out(value)
    y = y + layer.attention(layer.norm1(y))
    y = y + layer.down(jax.nn.gelu(layer.up(layer.norm2(y))))
    np.testing.assert_allclose(tower.trunk(x, None, grid_of(tower)), y, rtol=1e-5, atol=1e-5)


def grid_of(tower):
    from cmrjax.models.layers import TokenGrid

    t, h, w = tower.config.grid
    return TokenGrid(0, t, h * w)


@pytest.mark.parametrize("name", FORMS)
def test_every_parameter_gets_a_gradient(name, clips):
    tower = make(**FORMS[name])
    graph, params = nnx.split(tower)

    @jax.jit
    def gradient(params):
        # Tokens too: with 'cls' pooling some parameters of the last block reach them alone.
        def loss(params):
            pooled, tokens = nnx.merge(graph, params).features(clips)
            return (pooled**3).sum() + (tokens**3).sum()

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(gradient(params))):
        assert float(jnp.abs(leaf).max()) > 0, jax.tree_util.keystr(path)


def test_scan_and_loop_agree_in_every_form(clips):
    for name in ("joint", "factorised", "divided"):
        found = [compiled(make(attention=name, scan=scan))(clips) for scan in (True, False)]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_one_frame_with_patches_of_8_is_the_published_vit_s_8():
    form = VideoViTConfig(
        variant="S", tubelet=(1, 8, 8), clip=(1, 224, 224), cls_token=True, pool="cls"
    )
    module = nnx.eval_shape(lambda: VideoViT(form, rngs=nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))
    # timm's vit_small_patch8_224 without a head has 21,670,272: two more input channels (2 x 64 x
    # 384) and the class token's own position (384), but no time table (384).
    assert count == 21_670_272 - 2 * 64 * 384 - 384 + 384


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention": "both"}, "unknown attention 'both'"),
        ({"pool": "cls"}, "without a class token"),
        ({"pool": "max"}, "unknown pool 'max'"),
        ({"size": (8, 2)}, "width, depth, heads"),
        ({"size": (9, 2, 2)}, "2 heads do not divide the width 9"),
        ({"attention": "factorised", "positions": "learned"}, "separable"),
    ],
)
def test_a_form_that_cannot_be_is_named(fields, message):
    with pytest.raises(UserError, match=message):
        config(**fields)
