"""Encoding in chunks: the loss and the gradients of the full batch, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import batch_sharding, make_mesh, replicated
from cmrjax.objectives.caching import encode_in_chunks
from cmrjax.objectives.pairs.loss import pair_loss
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig

RNG = np.random.default_rng(0)
B, PIXELS, HIDDEN, D = 32, 16, 256, 8
PARAMS = {
    "in": RNG.normal(0, 0.3, (PIXELS, HIDDEN)).astype(np.float32),
    "out": RNG.normal(0, 0.1, (HIDDEN, D)).astype(np.float32),
}
INPUTS = {
    "x": RNG.normal(size=(B, PIXELS)).astype(np.float32),
    "kept": RNG.random((B, HIDDEN)) < 0.8,
}
Z_TEXT = RNG.normal(size=(B, D)).astype(np.float32)


def encode(params, inputs):
    """Two layers with dropout, which comes with the examples."""
    hidden = jnp.where(inputs["kept"], jnp.tanh(inputs["x"] @ params["in"]), 0.0)
    z = hidden @ params["out"]
    return z / jnp.linalg.norm(z, axis=-1, keepdims=True)


def compiled(chunks):
    def loss(params, inputs):
        z_video = encode_in_chunks(lambda part: encode(params, part), inputs, chunks)
        pairs = Pairs({"study": jnp.arange(B)}, {"study": jnp.arange(B)})
        options = {"kind": "softmax", "relation": RelationConfig()}
        return pair_loss(z_video, Z_TEXT, 10.0, 0.0, pairs, **options)

    return jax.jit(jax.value_and_grad(loss)).lower(PARAMS, INPUTS).compile()


def test_loss_and_gradients_are_those_of_the_full_batch_in_less_memory():
    full, cached = compiled(1), compiled(8)
    (loss, gradients), (again, found) = full(PARAMS, INPUTS), cached(PARAMS, INPUTS)
    assert float(again) == pytest.approx(float(loss), rel=1e-5)
    for name, gradient in gradients.items():
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, atol=1e-5 * largest)
    memory = [f.memory_analysis().temp_size_in_bytes for f in (full, cached)]
    assert memory[1] < memory[0] / 2


def test_examples_come_back_in_their_order():
    x = np.arange(12.0).reshape(6, 2)
    found = encode_in_chunks(lambda x: (x + 1, x[:, 0]), x, 3)
    np.testing.assert_array_equal(found[0], x + 1)
    np.testing.assert_array_equal(found[1], x[:, 0])


def test_examples_stay_on_their_devices():
    mesh = make_mesh({"data": 4, "fsdp": 2})
    split: NamedSharding = batch_sharding(mesh)
    function = jax.jit(
        lambda params, x: encode_in_chunks(lambda part: jnp.tanh(part @ params), x, 2),
        in_shardings=(replicated(mesh), split),
        out_shardings=split,
    )
    text = function.lower(PARAMS["in"], INPUTS["x"]).compile().as_text()
    assert split.spec == PartitionSpec(("data", "fsdp"))
    for collective in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert collective not in text


@pytest.mark.parametrize("chunks", [0, 5, 64])
def test_chunks_that_do_not_divide_the_batch_are_named(chunks):
    with pytest.raises(UserError, match=f"32 examples in {chunks} chunks; choose "):
        encode_in_chunks(lambda x: x, INPUTS["x"], chunks)
