"""The trunk is its blocks one after another; rematerialisation changes time, not values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.models.layers import Attention, Block, Trunk
from tests.models.networks import compiled, filled

WIDTH, DEPTH, HEADS = 8, 3, 2
TOKENS = np.random.default_rng(1).standard_normal((2, 5, WIDTH)).astype(np.float32)
MASK = np.array([[True] * 5, [True, True, True, False, False]])


def make_trunk(*, remat: bool) -> Trunk:
    return filled(lambda: Trunk(WIDTH, DEPTH, HEADS, rngs=nnx.Rngs(0), remat=remat))


@pytest.fixture(scope="module")
def trunk():
    return make_trunk(remat=False)


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
    remat, found = value_and_gradient(make_trunk(remat=True))
    assert ("remat" in plain, "remat" in remat) == (False, True)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_every_block_starts_with_other_values():
    create = lambda: Trunk(2, DEPTH, 1, rngs=nnx.Rngs(0), mlp_ratio=1.0)  # noqa: E731
    state = jax.jit(lambda: nnx.state(create().blocks, nnx.Param))()
    kernel = np.asarray(state["up"]["kernel"][...])
    assert kernel.shape == (DEPTH, 2, 2)
    assert len(np.unique(kernel)) == kernel.size


def test_attention_against_numpy():
    layer = filled(lambda: Attention(4, 2, rngs=nnx.Rngs(0)))
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
    block = filled(lambda: Block(WIDTH, HEADS, 2.0, rngs=nnx.Rngs(0), dtype=None), scale=0.0)
    np.testing.assert_array_equal(compiled(block)(TOKENS), TOKENS)
