"""The video tower: which pixel is in which token, and the sizes of the variants."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.video_vit import VARIANTS, Hidden, VideoViT, VideoViTConfig, patchify
from tests.models.networks import compiled, filled

TINY = VideoViTConfig(size=(32, 1, 2), tubelet=(2, 8, 8), clip=(4, 16, 16))


def test_tokens_run_over_time_then_rows_then_columns():
    clips = np.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8).astype(np.float32)
    dt, dh, dw = 2, 3, 4
    expected = [
        [
            clips[b, t : t + dt, y : y + dh, x : x + dw].ravel()
            for t in range(0, 4, dt)
            for y in range(0, 6, dh)
            for x in range(0, 8, dw)
        ]
        for b in range(2)
    ]
    np.testing.assert_array_equal(patchify(jnp.asarray(clips), (dt, dh, dw)), expected)


def parameters(module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_the_parameters_of_its_formula(variant):
    config = VideoViTConfig(variant=variant)  # 2 x 16 x 16 of 16 x 224 x 224
    module = nnx.eval_shape(lambda: VideoViT(config, rngs=nnx.Rngs(0)))
    d, depth, heads = VARIANTS[variant]
    # Attention 4 d^2, MLP 8 d^2, their biases 9 d, two norms 4 d.
    blocks = depth * (12 * d**2 + 13 * d)
    embed = 2 * 16 * 16 * d + d
    assert parameters(module) == blocks + embed + (8 + 14 * 14) * d + 2 * d
    assert d % heads == 0


def test_the_known_variants_have_their_published_sizes():
    # Blocks alone, in millions: ViT-B 85.05, ViT-L 302.3 (Dosovitskiy et al. 2021, less the rest).
    count = {v: depth * (12 * d**2 + 13 * d) / 1e6 for v, (d, depth, _) in VARIANTS.items()}
    assert count["B"] == pytest.approx(85.05, abs=0.01)
    assert count["L"] == pytest.approx(302.3, abs=0.1)


@pytest.fixture(scope="module")
def tower():
    config = VideoViTConfig(variant="N", tubelet=(2, 4, 4), clip=(4, 8, 8), remat="none")
    return filled(lambda: VideoViT(config, rngs=nnx.Rngs(0)), scale=0.1)


def test_a_vector_is_the_mean_of_tokens_that_know_where_and_when_they_are(tower):
    # The same tubelet at another time and at another place.
    clips = np.zeros((3, 4, 8, 8), np.float32)
    clips[0, :2, :4, :4] = clips[1, 2:, :4, :4] = clips[2, :2, 4:, :4] = 1
    tokens = compiled(tower, "tokens")(clips)
    assert tokens.shape == (3, 2 * 2 * 2, 128)
    vectors = compiled(tower)(clips)
    np.testing.assert_allclose(vectors, tokens.mean(1), rtol=1e-4, atol=1e-5)
    first, later, lower = vectors
    assert np.abs(first - later).max() > 1e-3
    assert np.abs(first - lower).max() > 1e-3


def test_a_clip_of_another_shape_is_refused(tower):
    with pytest.raises(ValueError, match=r"\(2, 8, 8\).*\(4, 8, 8\)"):
        tower(jnp.zeros((1, 2, 8, 8)))


def test_a_config_that_cannot_be_is_named():
    with pytest.raises(UserError, match="unknown variant 'XL'"):
        VideoViTConfig(variant="XL")
    with pytest.raises(UserError, match=r"\(3, 16, 16\) does not divide the clip"):
        VideoViTConfig(tubelet=(3, 16, 16))


def test_kept_tokens_are_those_of_a_trunk_that_never_saw_the_others():
    config = dataclasses.replace(TINY, cls_token=True, registers=1)
    tower = VideoViT(config, rngs=nnx.Rngs(0))
    n = math.prod(config.grid)
    rng = np.random.default_rng(0)
    clips = jnp.asarray(rng.random((2, *config.clip), np.float32))
    everything = jnp.tile(jnp.arange(n)[None], (2, 1))
    whole = tower.features(clips)
    np.testing.assert_allclose(tower.features(clips, kept=everything).tokens, whole.tokens)
    # In another order: the same vectors in that order.
    order = jnp.asarray(rng.permuted(np.tile(np.arange(n), (2, 1)), axis=1))
    mixed = tower.features(clips, kept=order)
    expected = jnp.take_along_axis(whole.tokens, order[..., None], axis=1)
    np.testing.assert_allclose(mixed.tokens, expected, atol=2e-5)
    np.testing.assert_allclose(mixed.pooled, whole.pooled, atol=2e-5)
    # Pixels of a dropped patch change nothing.
    some = jnp.asarray([[0, 2], [1, n - 1]])
    dt, dh, dw = config.tubelet
    changed = clips.at[1, :dt, :dh, :dw].set(0.9)
    np.testing.assert_array_equal(
        tower.features(clips, kept=some).tokens[1], tower.features(changed, kept=some).tokens[1]
    )


def test_a_hidden_patch_is_the_vector_that_stands_for_it():
    tower = VideoViT(TINY, rngs=nnx.Rngs(0))
    n = math.prod(TINY.grid)
    clips = jnp.asarray(np.random.default_rng(0).random((1, *TINY.clip), np.float32))
    dt, dh, dw = TINY.tubelet
    changed = clips.at[0, :dt, :dh, :dw].set(0.9)
    mask = jnp.zeros((1, n), bool).at[0, 0].set(True)
    hidden = Hidden(mask, jnp.ones(TINY.width))
    seen = [tower.features(c, hidden=hidden).tokens for c in (clips, changed)]
    np.testing.assert_array_equal(*seen)
    assert not np.allclose(seen[0], tower.features(clips).tokens)


def test_dropping_tokens_needs_joint_attention():
    config = dataclasses.replace(TINY, attention="divided")
    tower = VideoViT(config, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="divided attention needs every token"):
        tower.features(jnp.zeros((1, *config.clip)), kept=jnp.zeros((1, 1), int))
