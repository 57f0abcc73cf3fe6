"""Visits every pair of a batch tile by tile, on one device or around a ring of devices.

Videos stay where they are, in chunks. Texts visit them: on one device there is one block of texts;
on a mesh each device starts with its own block and hands it on to its neighbour, together with what
has been accumulated for it, until every block is home again. No device ever holds the whole batch.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import BATCH_AXES
from cmrjax.objectives.pairs.relation import RelationConfig

PyTree = Any
# Pairs in a tile when no chunk is given: 16 MB of float32 logits. Fewer videos than the second
# number would spend more time on adding up the gradients of the texts than on the products.
TILE_PAIRS = 2**22
TILE_VIDEOS = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How the pairs of a batch are compared and visited.

    Args:
        relation: which pairs are positives.
        chunk: videos in a tile; 0 chooses by `TILE_PAIRS` and `TILE_VIDEOS`.
        mesh: of `make_mesh`: the texts travel around its devices. None: they lie on one device.
    """

    relation: RelationConfig
    chunk: int = 0
    mesh: Mesh | None = None

    @property
    def devices(self) -> int:
        """The length of the ring; the `tensor` axis repeats the work."""
        return 1 if self.mesh is None else math.prod(self.mesh.shape[a] for a in BATCH_AXES)


def over_tiles(
    tile: Callable[..., tuple[PyTree, PyTree]],
    layout: Layout,
    shared: PyTree,
    rows: PyTree,
    row_state: PyTree,
    columns: PyTree,
    column_state: PyTree,
) -> tuple[PyTree, PyTree]:
    """Calls `tile` once for every pair of a chunk of rows and a block of columns.

    Args:
        tile: `(shared, rows, row_state, columns, column_state)` -> `(row_state, column_state)`.
            Rows that fill up the last chunk are zeros, so their `valid` is False.
        layout: the chunk and the mesh.
        shared: arrays that every tile reads.
        rows: arrays `[b, ...]` that tiles read.
        row_state: arrays `[b, ...]` that tiles change.
        columns: arrays `[m, ...]` that tiles read.
        column_state: arrays `[m, ...]` that tiles change.

    Returns:
        `row_state` and `column_state` after all tiles, sharded as they came.

    Raises:
        UserError: the mesh does not divide the batch.
    """

    def local(shared, rows, row_state, columns, column_state):
        return _on_device(tile, layout, shared, rows, row_state, columns, column_state)

    if layout.mesh is None:
        return local(shared, rows, row_state, columns, column_state)
    for name, side in (("videos", rows), ("texts", columns)):
        count = jax.tree.leaves(side)[0].shape[0]
        if count % layout.devices:
            raise UserError(
                f"{count} {name} on {layout.devices} devices",
                where="config.batch_size",
                fix="choose a multiple of the number of devices",
            )
    split = PartitionSpec(BATCH_AXES)
    ring = jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=(PartitionSpec(), split, split, split, split),
        out_specs=(split, split),
        # Nothing is differentiated through it, and nothing that it returns is replicated.
        check_vma=False,
    )
    return ring(shared, rows, row_state, columns, column_state)


def _on_device(tile, layout, shared, rows, row_state, columns, column_state):
    """The work of one device: all its rows against every block of columns that comes by."""
    b = jax.tree.leaves(rows)[0].shape[0]
    m = jax.tree.leaves(columns)[0].shape[0]
    chunk = min(b, layout.chunk or max(TILE_PAIRS // m, TILE_VIDEOS))
    chunks = -(-b // chunk)

    def cut(x):
        filled = jnp.pad(x, [(0, chunks * chunk - b)] + [(0, 0)] * (x.ndim - 1))
        return filled.reshape(chunks, chunk, *x.shape[1:])

    rows = jax.tree.map(cut, rows)
    row_state = jax.tree.map(cut, row_state)

    def visit(row_state, columns, column_state):
        def step(column_state, chunk):
            row_state, column_state = tile(shared, *chunk, columns, column_state)
            return column_state, row_state

        column_state, row_state = lax.scan(step, column_state, (rows, row_state))
        return row_state, column_state

    def hop(carry, _):
        row_state, columns, column_state = carry
        # Sent before the work, on which it does not depend, so that the two may overlap.
        following = _hand_on(columns, layout)
        row_state, column_state = visit(row_state, columns, column_state)
        return (row_state, following, _hand_on(column_state, layout)), None

    if layout.devices == 1:
        row_state, column_state = visit(row_state, columns, column_state)
    else:
        carry = (row_state, columns, column_state)
        (row_state, _, column_state), _ = lax.scan(hop, carry, length=layout.devices)
    joined = jax.tree.map(lambda x: x.reshape(chunks * chunk, *x.shape[2:])[:b], row_state)
    return joined, column_state


def _hand_on(tree: PyTree, layout: Layout) -> PyTree:
    n = layout.devices
    return lax.ppermute(tree, BATCH_AXES, [(i, (i + 1) % n) for i in range(n)])


def product(x: jax.Array, y: jax.Array) -> jax.Array:
    """`x @ y`, accumulated in float32.

    A float32 factor is not rounded to the 10 bits of TF32: at a scale of 100 they would move a
    logit by a tenth.
    """
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST, preferred_element_type=jnp.float32)
