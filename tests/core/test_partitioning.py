"""Meshes, logical names, and where parameters and optimizer state lie."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import (
    make_mesh,
    parameter_shardings,
    parse_mesh,
    partition_spec,
    put_batch,
    replicated,
    shardings_like,
)
from cmrjax.models.layers import Block, BlockConfig, Trunk, dense


@pytest.fixture(scope="module")
def mesh():
    return make_mesh({"data": 2, "fsdp": 2, "tensor": 2})


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        (None, (8, 1, 1)),
        ({"fsdp": 2}, (4, 2, 1)),
        ({"data": 2, "fsdp": -1}, (2, 4, 1)),
        ({"data": 1, "fsdp": 4, "tensor": 2}, (1, 4, 2)),
    ],
)
def test_the_mesh_takes_what_is_left_over(sizes, shape):
    mesh = make_mesh(sizes)
    assert mesh.axis_names == ("data", "fsdp", "tensor")
    assert tuple(mesh.shape.values()) == shape
    assert len(set(mesh.devices.flat)) == 8


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"data": 3}, "does not cover 8 devices"),
        ({"fsdp": 3}, "does not cover 8 devices"),
        ({"data": 4}, "does not cover 8 devices"),
        ({"data": -1, "fsdp": -1}, "does not cover 8 devices"),
        ({"fsdp": 0}, "does not cover 8 devices"),
        ({"fsdp": -2}, "does not cover 8 devices"),
        ({"model": 2, "expert": 2}, r"unknown mesh axes \['expert', 'model'\]"),
    ],
)
def test_a_mesh_that_does_not_fit_the_devices_is_refused(sizes, message):
    with pytest.raises(UserError, match=message):
        make_mesh(sizes)


def test_the_short_form_of_a_mesh():
    assert parse_mesh("data=4, fsdp=2") == {"data": 4, "fsdp": 2}
    assert parse_mesh("data=-1") == {"data": -1}
    for wrong in ("", "data", "data=x", "data=1=2", "4"):
        with pytest.raises(UserError, match="--mesh"):
            parse_mesh(wrong)


def test_logical_names_become_mesh_axes_where_the_size_divides(mesh):
    assert partition_spec(("embed", "mlp"), (4, 8), mesh) == P("fsdp", "tensor")
    assert partition_spec(("layers", "mlp", "embed"), (3, 8, 4), mesh) == P(None, "tensor", "fsdp")
    assert partition_spec(("embed", "mlp"), (3, 8), mesh) == P(None, "tensor")
    assert partition_spec((None, "vocab"), (4, 8), mesh) == P(None, None)


@pytest.mark.parametrize("names", [("embed", "embed"), ("mlp", "heads")])
def test_one_mesh_axis_twice_is_an_error(mesh, names):
    with pytest.raises(ValueError, match="one mesh axis twice"):
        partition_spec(names, (4, 4), mesh)


def test_an_unknown_logical_name_is_an_error(mesh):
    with pytest.raises(ValueError, match="'emebd' is not in the rules"):
        partition_spec(("emebd", "mlp"), (4, 4), mesh)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        partition_spec(("embed",), (4, 4), mesh)


@pytest.fixture(scope="module")
def trunk():
    return nnx.eval_shape(lambda: Trunk(BlockConfig(width=8, heads=2), 3, rngs=nnx.Rngs(0)))


def test_kernels_are_split_over_fsdp_and_tensor_and_layers_are_not(trunk, mesh):
    blocks = parameter_shardings(trunk, mesh)["blocks"]
    spec = lambda *path: tuple(_at(blocks, path).spec)  # noqa: E731
    assert spec("attention", "qkv", "kernel") == (None, "fsdp", "tensor")
    assert spec("attention", "out", "kernel") == (None, "tensor", "fsdp")
    assert spec("up", "kernel") == (None, "fsdp", "tensor")
    assert spec("up", "bias") == (None, "tensor")
    assert spec("down", "kernel") == (None, "tensor", "fsdp")
    assert "fsdp" not in spec("norm1", "scale")


def _at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def test_the_optimizer_state_lies_where_its_parameters_lie(trunk, mesh):
    params = nnx.to_pure_dict(nnx.state(trunk, nnx.Param))
    shardings = parameter_shardings(trunk, mesh)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.constant_schedule(1)))
    state = jax.eval_shape(optimizer.init, params)
    found = shardings_like(state, params, shardings, mesh)
    adam = found[1][0]
    assert jax.tree.leaves(adam.mu) == jax.tree.leaves(shardings)
    assert jax.tree.leaves(adam.nu) == jax.tree.leaves(shardings)
    assert adam.count == replicated(mesh)
    assert any(s.spec != P() for s in jax.tree.leaves(adam.mu))


def test_a_leaf_of_the_same_name_but_another_shape_is_replicated(mesh):
    params = {"kernel": jax.ShapeDtypeStruct((4, 4), jnp.float32)}
    shardings = {"kernel": jax.NamedSharding(mesh, P("fsdp", "tensor"))}
    state = {"mu": params, "row": {"kernel": jax.ShapeDtypeStruct((4,), jnp.float32)}}
    found = shardings_like(state, params, shardings, mesh)
    assert found["mu"]["kernel"] == shardings["kernel"]
    assert found["row"]["kernel"] == replicated(mesh)


def test_parameters_are_born_sharded(mesh):
    create = lambda: Block(BlockConfig(width=8, heads=2, mlp_ratio=2.0), rngs=nnx.Rngs(0))  # noqa: E731
    shardings = parameter_shardings(nnx.eval_shape(create), mesh)
    init = jax.jit(
        lambda: nnx.to_pure_dict(nnx.state(create(), nnx.Param)), out_shardings=shardings
    )
    kernel = init()["up"]["kernel"]
    assert kernel.shape == (8, 16)
    assert {s.data.shape for s in kernel.addressable_shards} == {(4, 8)}


def test_a_batch_is_split_over_data_and_fsdp_in_order(mesh):
    rows = np.arange(8 * 3).reshape(8, 3)
    placed = put_batch({"x": rows}, mesh)["x"]
    np.testing.assert_array_equal(np.asarray(placed), rows)
    pieces = {s.index[0].start or 0: np.asarray(s.data) for s in placed.addressable_shards}
    assert sorted(pieces) == [0, 2, 4, 6]
    np.testing.assert_array_equal(pieces[4], rows[4:6])


def test_dense_keeps_float32_parameters_under_bfloat16_products():
    layer = dense(4, 4, ("embed", "mlp"), rngs=nnx.Rngs(0), dtype=jnp.bfloat16)
    assert layer.kernel[...].dtype == jnp.float32
    assert layer(jnp.ones((1, 4))).dtype == jnp.bfloat16
