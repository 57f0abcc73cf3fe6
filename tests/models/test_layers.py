"""The trunk is its blocks one after another; rematerialisation changes time, not values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.layers import Attention, Block, BlockConfig, Trunk
from tests.models.networks import compiled, filled

WIDTH, DEPTH, HEADS = 8, 3, 2
BLOCK = BlockConfig(width=WIDTH, heads=HEADS, mlp_ratio=2.0)
TOKENS = np.random.default_rng(1).standard_normal((2, 5, WIDTH)).astype(np.float32)
MASK = np.array([[True] * 5, [True, True, True, False, False]])


def make_trunk(**options) -> Trunk:
    return filled(lambda: Trunk(BLOCK, DEPTH, rngs=nnx.Rngs(0), **options))


@pytest.fixture(scope="module")
def trunk():
    return make_trunk(remat="none")


@pytest.fixture(scope="module")
def run(trunk):
    return compiled(trunk)


def test_the_scan_equals_a_loop_over_blocks(trunk, run):
    graph, layers = nnx.split(trunk.blocks)
    block = jax.jit(lambda layer, x: nnx.merge(graph, layer)(x, MASK))
    expected = TOKENS
    for i in range(DEPTH):
        expected = block(jax.tree.map(lambda leaf, i=i: leaf[i], layers), expected)
    np.testing.assert_allclose(run(TOKENS, MASK), expected, rtol=1e-4, atol=1e-5)


def test_a_masked_token_is_not_attended_to(run):
    changed = TOKENS.copy()
    changed[1, 3:] = 5
    before, after = run(TOKENS, MASK), run(changed, MASK)
    np.testing.assert_allclose(after[1, :3], before[1, :3], rtol=1e-5, atol=1e-6)
    everywhere = np.ones_like(MASK)
    assert np.abs(run(changed, everywhere) - run(TOKENS, everywhere))[1, :3].max() > 0.01


def test_rematerialisation_changes_neither_value_nor_gradient(trunk):
    def value_and_gradient(module):
        graph, state = nnx.split(module)
        loss = lambda state: jnp.sum(nnx.merge(graph, state)(TOKENS) ** 2)  # noqa: E731
        function = jax.value_and_grad(loss)
        text = str(jax.make_jaxpr(function)(state))
        return text, jax.jit(function)(state)

    plain, expected = value_and_gradient(trunk)
    remat, found = value_and_gradient(make_trunk(remat="full"))
    assert ("remat" in plain, "remat" in remat) == (False, True)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_every_block_starts_with_other_values():
    create = lambda: Trunk(BlockConfig(width=2, heads=1, mlp_ratio=1.0), DEPTH, rngs=nnx.Rngs(0))  # noqa: E731
    state = jax.jit(lambda: nnx.state(create().blocks, nnx.Param))()
    kernel = np.asarray(state["up"]["kernel"][...])
    assert kernel.shape == (DEPTH, 2, 2)
    assert len(np.unique(kernel)) == kernel.size


def test_attention_against_numpy():
    layer = filled(lambda: Attention(BlockConfig(width=4, heads=2), rngs=nnx.Rngs(0)))
    x = TOKENS[:1, :3, :4]
    kernel, bias = (np.asarray(v[...], np.float64) for v in (layer.qkv.kernel, layer.qkv.bias))
    mixed = (x[0] @ kernel + bias).reshape(3, 3, 2, 2)  # token, (q k v), head, dimension
    heads = []
    for head in range(2):
        q, k, v = mixed[:, 0, head], mixed[:, 1, head], mixed[:, 2, head]
        weights = np.exp(q @ k.T / np.sqrt(2))
        heads.append(weights / weights.sum(1, keepdims=True) @ v)
    out = np.concatenate(heads, axis=1) @ np.asarray(layer.out.kernel[...], np.float64)
    expected = out + np.asarray(layer.out.bias[...])
    np.testing.assert_allclose(compiled(layer)(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_block_is_residual():
    block = filled(lambda: Block(BLOCK, rngs=nnx.Rngs(0)), scale=0.0)
    np.testing.assert_array_equal(compiled(block)(TOKENS), TOKENS)


def test_scan_loop_and_every_remat_policy_give_one_value(trunk, run):
    expected = run(TOKENS, MASK)
    for options in ({"scan": False, "remat": "none"}, {"remat": "dots"}, {"remat": "full"}):
        found = compiled(make_trunk(**options))(TOKENS, MASK)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_layers_of_a_trunk_applied_in_turn_are_the_trunk(trunk, run):
    x = jnp.asarray(TOKENS)
    for layer in trunk.layers():
        x = layer(x, jnp.asarray(MASK))
    np.testing.assert_allclose(x, run(TOKENS, MASK), rtol=1e-5, atol=1e-6)


def test_attention_weights_give_what_attention_gives():
    layer = filled(lambda: Attention(BLOCK, rngs=nnx.Rngs(0)))
    x, mask = jnp.asarray(TOKENS), jnp.asarray(MASK)
    weights = layer.weights(x, mask)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)
    assert float(jnp.abs(weights[1, :, :, 3:]).max()) == 0.0
    values = jnp.split(layer.qkv(x), 3, axis=-1)[2].reshape(2, 5, HEADS, -1)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, values).reshape(x.shape)
    np.testing.assert_allclose(layer.out(mixed), layer(x, mask), rtol=1e-5, atol=1e-6)


def test_post_norm_and_layer_scale_follow_their_formulas():
    block = filled(
        lambda: Block(
            BlockConfig(width=WIDTH, heads=HEADS, post_norm=True, activation="gelu"),
            rngs=nnx.Rngs(0),
        )
    )
    x = jnp.asarray(TOKENS)
    inner = block.norm1(x + block.attention(x))
    mlp = block.down(jax.nn.gelu(block.up(inner), approximate=False))
    np.testing.assert_allclose(block(x), block.norm2(inner + mlp), rtol=1e-5, atol=1e-6)

    scaled = filled(
        lambda: Block(BlockConfig(width=WIDTH, heads=HEADS, layer_scale=True), rngs=nnx.Rngs(0))
    )
    inner = x + scaled.scale1[...] * scaled.attention(scaled.norm1(x))
    mlp = scaled.down(jax.nn.gelu(scaled.up(scaled.norm2(inner))))
    np.testing.assert_allclose(scaled(x), inner + scaled.scale2[...] * mlp, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 3}, "3 heads do not divide the width 8"),
        ({"heads": 2, "activation": "relu"}, "activation = 'relu'"),
        ({"heads": 2, "implementation": "fast"}, "implementation = 'fast'"),
    ],
)
def test_a_block_that_cannot_be_is_named(fields, message):
    with pytest.raises(UserError, match=message):
        BlockConfig(width=8, **fields)
    with pytest.raises(UserError, match="remat = 'all'"):
        make_trunk(remat="all")
