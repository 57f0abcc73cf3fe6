"""Device meshes, logical axis names and the one table that maps names to mesh axes.

A parameter is annotated with logical names where it is made; this module alone decides which mesh
axis each name is split over. Shapes come first (`jax.eval_shape`), then shardings, then
`jit(init, out_shardings=...)`, so that no parameter ever exists unsharded.
"""

from collections.abc import Mapping
from typing import Any

import flax
import jax
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cmrjax.core.errors import UserError

# Logical names on nnx variables are metadata to us: placing arrays is jit's work, not nnx's.
flax.config.update("flax_always_shard_variable", False)

MESH_AXES = ("data", "fsdp", "tensor")
# The batch is split over both axes; they differ only in where parameters live.
BATCH_AXES = ("data", "fsdp")

RULES: Mapping[str, str | None] = {
    "embed": "fsdp",
    "mlp": "tensor",
    "heads": "tensor",
    "joint": "tensor",
    "prototypes": "tensor",
    "patch": None,
    "position": None,
    "vocab": None,
    "classes": None,
    # Of a decoder's convolutions: too few to split.
    "channel": None,
    "layers": None,
}

PyTree = Any


def make_mesh(sizes: Mapping[str, int] | None = None, *, devices: list | None = None) -> Mesh:
    """Builds the mesh (data, fsdp, tensor) over `devices`.

    Args:
        sizes: axis name -> size; a size of -1 takes the devices that the others leave. An axis
            that is not named has size 1, but for `data`, which is -1 unless given.
        devices: devices to use; all of them by default.

    Raises:
        UserError: an axis is unknown or the sizes do not multiply to the number of devices.
    """
    devices = list(jax.devices()) if devices is None else devices
    wanted = {"data": -1, "fsdp": 1, "tensor": 1} | dict(sizes or {})
    unknown = sorted(set(wanted) - set(MESH_AXES))
    if unknown:
        raise UserError(f"unknown mesh axes {unknown}", where="mesh", fix=f"use {MESH_AXES}")
    free = [name for name, size in wanted.items() if size == -1]
    fixed = int(np.prod([size for size in wanted.values() if size != -1]))
    if len(free) == 1 and fixed > 0 and len(devices) % fixed == 0:
        wanted[free[0]] = len(devices) // fixed
    if any(s < 1 for s in wanted.values()) or np.prod(list(wanted.values())) != len(devices):
        raise UserError(
            f"{wanted} does not cover {len(devices)} devices",
            where="mesh",
            fix="make the sizes multiply to the number of devices, one of them may be -1",
        )
    return jax.make_mesh(
        tuple(wanted[name] for name in MESH_AXES),
        MESH_AXES,
        # Explicit axes, the default, reject FSDP kernels and z_video @ z_text.T.
        axis_types=(AxisType.Auto,) * len(MESH_AXES),
        devices=devices,
    )


def parse_mesh(text: str) -> dict[str, int]:
    """Reads the command line's short form, for example `data=4,fsdp=2`.

    Example:
        >>> parse_mesh("data=4,fsdp=2")
        {'data': 4, 'fsdp': 2}
    """
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(size) for name, size in pairs}
    except ValueError:
        raise UserError(
            f"cannot read {text!r}", where="--mesh", fix="write data=4,fsdp=2"
        ) from None


def partition_spec(names: tuple[str | None, ...], shape: tuple[int, ...], mesh: Mesh):
    """Turns logical names into a PartitionSpec, replicating what the mesh does not divide.

    Raises:
        ValueError: a name is not in the rules, or two dimensions map to one mesh axis.
    """
    axes = []
    for name, size in zip(names, shape, strict=True):
        if name is not None and name not in RULES:
            raise ValueError(f"logical axis {name!r} is not in the rules table")
        axis = RULES[name] if name is not None else None
        axes.append(axis if axis is not None and size % mesh.shape[axis] == 0 else None)
    used = [axis for axis in axes if axis is not None]
    if len(used) != len(set(used)):
        raise ValueError(f"logical axes {names} use one mesh axis twice: {axes}")
    return PartitionSpec(*axes)


def parameter_shardings(module: nnx.Module, mesh: Mesh) -> PyTree:
    """Shardings of a module's parameters, in the shape of its pure dict.

    Args:
        module: a module, concrete or abstract (`nnx.eval_shape`). Its variables still hold their
            logical names; `nnx.to_pure_dict` would have dropped them.
        mesh: the mesh of `make_mesh`.
    """

    def sharding(variable) -> NamedSharding:
        names = variable.get_metadata().get("out_sharding") or (None,) * len(variable.shape)
        return NamedSharding(mesh, partition_spec(tuple(names), variable.shape, mesh))

    state = nnx.state(module, nnx.Param)
    return nnx.to_pure_dict(
        jax.tree.map(
            lambda v: v.replace(sharding(v)), state, is_leaf=lambda v: isinstance(v, nnx.Variable)
        )
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: its first dimension over `data` and `fsdp`."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def put_batch(batch: PyTree, mesh: Mesh) -> PyTree:
    """Places this process's part of a batch on its devices, as one global array a leaf.

    Args:
        batch: arrays `[local_b, ...]`; the global batch is the processes' parts one after another.
        mesh: the mesh of `make_mesh`.
    """
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)


def shardings_like(tree: PyTree, params: PyTree, shardings: PyTree, mesh: Mesh) -> PyTree:
    """Shardings of a tree that holds copies of the parameters, such as an optimizer's state.

    A leaf takes the sharding of the parameter whose path ends its own path and whose shape it has;
    everything else (counts, scales) is replicated.
    """
    by_path = {
        jax.tree_util.keystr(path): (leaf.shape, sharding)
        for (path, leaf), sharding in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(shardings), strict=True
        )
    }

    def sharding(path, leaf):
        for start in range(len(path)):
            found = by_path.get(jax.tree_util.keystr(path[start:]))
            if found is not None and found[0] == leaf.shape:
                return found[1]
        return replicated(mesh)

    return jax.tree_util.tree_map_with_path(sharding, tree)
