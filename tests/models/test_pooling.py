"""Pooling: padding changes nothing, order changes nothing, and a study may be empty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.models.pooling import AttentionPool, GatedAttentionPool
from tests.models.networks import compiled, filled

RNG = np.random.default_rng(0)


def gated(**kwargs) -> GatedAttentionPool:
    sizes = {"hidden": (8, 6), "gate": 4} | kwargs
    return filled(lambda: GatedAttentionPool(5, rngs=nnx.Rngs(0), **sizes))


def both(module: GatedAttentionPool):
    """Its `pool` method as a compiled function."""
    graph, state = nnx.split(module)
    run = jax.jit(lambda state, *arrays: nnx.merge(graph, state).pool(*arrays))
    return lambda *arrays: run(state, *arrays)


@pytest.fixture(scope="module")
def pool():
    return compiled(gated(), "__call__")


def test_the_default_sizes_are_those_of_the_paper():
    module = nnx.eval_shape(lambda: GatedAttentionPool(512, rngs=nnx.Rngs(0)))
    shapes = {k: v["kernel"].shape for k, v in nnx.to_pure_dict(nnx.state(module)).items()}
    assert shapes == {
        "first": (512, 256),
        "second": (256, 256),
        "tanh": (256, 128),
        "sigmoid": (256, 128),
        "score": (128, 1),
    }


def test_gated_attention_by_hand():
    module = gated()
    x = RNG.standard_normal((1, 3, 5)).astype(np.float32)
    p = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module)))

    def layer(x, name):
        return x @ p[name]["kernel"] + p[name]["bias"]

    h = np.maximum(layer(np.maximum(layer(x[0], "first"), 0), "second"), 0)
    score = layer(np.tanh(layer(h, "tanh")) / (1 + np.exp(-layer(h, "sigmoid"))), "score")[:, 0]
    weights = np.exp(score) / np.exp(score).sum()
    pooled, found = both(module)(x, np.ones((1, 3), bool))
    np.testing.assert_allclose(found[0], weights, rtol=1e-5)
    np.testing.assert_allclose(pooled[0], weights @ h, rtol=1e-5, atol=1e-6)


def test_padded_cines_and_the_order_of_cines_change_nothing(pool):
    x = RNG.standard_normal((2, 4, 5)).astype(np.float32)
    alone = pool(x, np.ones((2, 4), bool))
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(pool(x[:, order], np.ones((2, 4), bool)), alone, atol=1e-5)
    padding = np.full((2, 3, 5), np.nan, np.float32)
    mask = np.array([[True] * 4 + [False] * 3] * 2)
    np.testing.assert_allclose(pool(np.concatenate([x, padding], 1), mask), alone, atol=1e-5)


def test_a_study_without_cines_is_zero_and_its_gradients_are_finite():
    graph, state = nnx.split(gated())
    mask = jnp.array([[True, False], [False, False]])

    @jax.jit
    def loss(state, x):
        pooled = nnx.merge(graph, state)(x, mask)
        return (pooled**2).sum(), pooled

    x = jnp.asarray(RNG.standard_normal((2, 2, 5)), jnp.float32)
    (_, pooled), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(state, x)
    assert (np.asarray(pooled[1]) == 0).all()
    assert np.abs(pooled[0]).max() > 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert (np.asarray(gradients[1][1]) == 0).all()


def test_any_number_of_leading_axes(pool):
    x = RNG.standard_normal((2, 3, 5)).astype(np.float32)
    whole = pool(x, np.ones((2, 3), bool))
    np.testing.assert_allclose(pool(x[0], np.ones(3, bool)), whole[0], atol=1e-5)


def test_a_view_embedding_tells_equal_cines_apart():
    module = gated(views=3)
    x, mask = jnp.ones((1, 2, 5)), jnp.ones((1, 2), bool)
    run = both(module)
    same, weights = run(x, mask, jnp.array([[1, 1]]))
    np.testing.assert_allclose(weights, 0.5, atol=1e-6)
    other, _ = run(x, mask, jnp.array([[1, 2]]))
    assert np.abs(other - same).max() > 1e-3
    with pytest.raises(ValueError, match="vocabulary"):
        module(x, mask)
    with pytest.raises(ValueError, match="vocabulary"):
        gated()(x, mask, jnp.array([[1, 1]]))


def test_an_attention_pool_draws_what_its_weights_say():
    module = filled(lambda: AttentionPool(8, 2, rngs=nnx.Rngs(0)))
    tokens = jnp.asarray(RNG.standard_normal((2, 5, 8)), jnp.float32)
    mask = jnp.array([[True] * 3 + [False] * 2, [True] * 5])
    graph, state = nnx.split(module)

    @jax.jit
    def run(state, tokens, mask):
        pool = nnx.merge(graph, state)
        weights = pool.weights(tokens, mask)
        # By hand: the weights mix the values, then the residual MLP.
        value = jnp.split(pool.kv(tokens), 2, axis=-1)[1].reshape(2, 5, 2, 4)
        mixed = pool.out(jnp.einsum("bhn,bnhd->bhd", weights, value).reshape(2, 8))
        expected = mixed + pool.down(jax.nn.gelu(pool.up(pool.norm(mixed))))
        return pool(tokens, mask), weights, expected

    found, weights, expected = run(state, tokens, mask)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (np.asarray(weights[0, :, 3:]) == 0).all()
    changed = run(state, tokens.at[0, 3:].set(9.0), mask)[0]
    np.testing.assert_allclose(changed, found, atol=1e-6)
