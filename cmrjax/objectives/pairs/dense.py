"""The same losses with the whole matrix of pairs: short, and fastest for small batches."""

import jax
import jax.numpy as jnp

from cmrjax.objectives.pairs.sigmoid import cross_entropy


def dense_softmax_loss(logits: jax.Array, weight: jax.Array, counted: jax.Array) -> jax.Array:
    """Symmetric cross-entropy; the target of a row or column is its weights over their sum.

    Args:
        logits: `[b, m]`, videos by texts, already scaled.
        weight: `[b, m]`, of `relation`.
        counted: bool `[b, m]`, of `relation`.

    Reference:
        Radford et al. 2021, figure 3.
    """
    to_text = _soft_cross_entropy(logits, weight, counted, axis=1)
    to_video = _soft_cross_entropy(logits, weight, counted, axis=0)
    return 0.5 * (to_text + to_video)


def _soft_cross_entropy(logits, weight, counted, *, axis: int) -> jax.Array:
    total = weight.sum(axis=axis, keepdims=True)
    has = total > 0
    # A row that counts nothing would have a log-sum-exp of -inf, whose gradient is no number.
    masked = jnp.where(counted, logits, jnp.where(has, -jnp.inf, 0.0))
    log_p = jax.nn.log_softmax(masked, axis=axis)
    target = weight / jnp.where(has, total, 1.0)
    return -jnp.where(weight > 0, target * log_p, 0.0).sum() / jnp.maximum(has.sum(), 1)


def dense_sigmoid_loss(
    logits: jax.Array, weight: jax.Array, counted: jax.Array, videos: jax.Array
) -> jax.Array:
    """Binary cross-entropy of every pair, summed over texts, a mean over videos.

    Args:
        logits: `[b, m]`, already scaled and with the bias added.
        weight: `[b, m]`, of `relation`; the target.
        counted: bool `[b, m]`, of `relation`.
        videos: the number of valid videos.

    Reference:
        Zhai et al. 2023, algorithm 1.
    """
    losses = jnp.where(counted, cross_entropy(logits, weight), 0.0)
    return losses.sum() / jnp.maximum(videos, 1)
