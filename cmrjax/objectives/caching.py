"""Exact large batches on a small machine: encode in chunks, keep only the embeddings.

A contrastive loss needs all embeddings of a batch at once, but an encoder's activations only while
its chunk is encoded. The forward pass keeps no activation; the backward pass, which by then knows
the gradient of every embedding, encodes each chunk again and differentiates it. Loss and gradients
are those of the full batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cmrjax.core.errors import UserError

PyTree = Any


def encode_in_chunks(encode: Callable[[PyTree], PyTree], inputs: PyTree, chunks: int) -> PyTree:
    """`encode(inputs)`, with the activations of one chunk alone in memory.

    Args:
        encode: arrays `[n, ...]` -> arrays `[n, ...]`, each example for itself. Parameters that it
            closes over are differentiated. What is random takes its keys from `inputs`, so that
            both passes, and any number of chunks, see the same.
        inputs: arrays `[b, ...]`.
        chunks: divides `b`. On a mesh, the examples of a device must be a multiple of it, too.

    Raises:
        UserError: `chunks` does not divide the batch.

    Reference:
        Gao et al. 2021, section 3.2 (gradient caching).
    """
    b = jax.tree.leaves(inputs)[0].shape[0]
    if chunks < 1 or b % chunks:
        raise UserError(
            f"{b} examples in {chunks} chunks",
            where="config.objective",
            fix="choose a number of chunks that divides the batch",
        )
    if chunks == 1:
        return encode(inputs)

    # Chunk j holds examples j, j + chunks, ...: of a batch split over devices, each device has its
    # part of every chunk, and nothing moves.
    def cut(x):
        return jnp.moveaxis(x.reshape(b // chunks, chunks, *x.shape[1:]), 1, 0)

    def join(x):
        return jnp.moveaxis(x, 0, 1).reshape(b, *x.shape[2:])

    encoded = lax.map(jax.checkpoint(encode), jax.tree.map(cut, inputs))
    return jax.tree.map(join, encoded)
