"""The symmetric softmax loss over all pairs, in tiles.

The forward pass keeps four numbers a row and a column; the backward pass computes the tiles again.
"""

import functools

import jax
import jax.numpy as jnp

from cmrjax.objectives.pairs.relation import Pairs, RelationConfig, relation
from cmrjax.objectives.pairs.tiles import Layout, over_tiles, product

# A running log-sum-exp and target of each row or column: the largest logit so far, the sum of
# exp(logit - largest), the sum of weight * logit and the sum of weights.
Running = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def softmax_loss(
    layout: Layout, z_video: jax.Array, z_text: jax.Array, scale: jax.Array, pairs: Pairs
) -> jax.Array:
    """Cross-entropy of each video over the texts and of each text over the videos, halved.

    The target of a row (column) is its weights over their sum. One without positives is left out
    of the mean.

    Args:
        layout: how the pairs are compared and visited.
        z_video: `[b, d]`.
        z_text: `[m, d]`.
        scale: scalar, the inverse temperature.
        pairs: of `relation.complete`.

    Reference:
        Radford et al. 2021, figure 3; Oord et al. 2018, equation 4.
    """
    return _forward(layout, z_video, z_text, scale, pairs)[0]


def _forward(layout, z_video, z_text, scale, pairs):
    rows, columns = over_tiles(
        functools.partial(_add_tile, layout.relation),
        layout,
        scale,
        (z_video, pairs.rows),
        _start(z_video.shape[0]),
        (z_text, pairs.columns),
        _start(z_text.shape[0]),
    )
    to_text, row_terms = _mean_and_terms(rows)
    to_video, column_terms = _mean_and_terms(columns)
    kept = (z_video, z_text, scale, pairs, row_terms, column_terms)
    return 0.5 * (to_text + to_video), kept


def _start(n: int) -> Running:
    zeros = jnp.zeros(n, jnp.float32)
    return jnp.full(n, -jnp.inf, jnp.float32), zeros, zeros, zeros


def _add_tile(config: RelationConfig, scale, rows, row_state, columns, column_state):
    (z_video, rows), (z_text, columns) = rows, columns
    logits = scale * product(z_video, z_text.T)
    weight, counted = relation(rows, columns, config)
    logits = jnp.where(counted, logits, -jnp.inf)
    target = jnp.where(weight > 0, weight * logits, 0.0)
    return (
        _add(row_state, logits, target, weight, axis=1),
        _add(column_state, logits, target, weight, axis=0),
    )


def _add(running: Running, logits, target, weight, *, axis: int) -> Running:
    """Takes the tile's columns (axis 1) into each row, or its rows (axis 0) into each column."""
    largest, total, targets, weights = running
    new = jnp.maximum(largest, logits.max(axis=axis))
    finite = jnp.where(jnp.isfinite(new), new, 0.0)  # nothing counted yet: exp(-inf - 0) = 0
    part = jnp.exp(logits - jnp.expand_dims(finite, axis)).sum(axis=axis)
    total = total * jnp.exp(largest - finite) + part
    return new, total, targets + target.sum(axis=axis), weights + weight.sum(axis=axis)


def _mean_and_terms(running: Running):
    """The mean cross-entropy, and what the gradient of a logit needs of its row or column.

    Returns:
        mean: scalar.
        terms: log-sum-exp `[n]`, the derivative of the mean by each row's cross-entropy `[n]`, and
            that over the sum of weights `[n]`.
    """
    largest, total, targets, weights = running
    has = weights > 0
    # Where nothing is positive, an infinite log-sum-exp makes every probability 0.
    log_sum = jnp.where(has, largest + jnp.log(jnp.where(has, total, 1.0)), jnp.inf)
    weights = jnp.where(has, weights, 1.0)
    losses = jnp.where(has, log_sum - targets / weights, 0.0)
    share = has / jnp.maximum(has.sum(), 1)
    return (losses * share).sum(), (log_sum, share, share / weights)


def _backward(layout, kept, cotangent):
    z_video, z_text, scale, pairs, row_terms, column_terms = kept
    by_video, by_text = over_tiles(
        functools.partial(_add_gradient, layout.relation),
        layout,
        scale,
        (z_video, pairs.rows, row_terms),
        jnp.zeros(z_video.shape, jnp.float32),
        (z_text, pairs.columns, column_terms),
        jnp.zeros(z_text.shape, jnp.float32),
    )
    half = 0.5 * cotangent
    # sum over pairs of gradient * <z_video, z_text>, without the pairs
    d_scale = half * (by_video * z_video).sum()
    d_video = (half * scale * by_video).astype(z_video.dtype)
    d_text = (half * scale * by_text).astype(z_text.dtype)
    return d_video, d_text, d_scale.astype(scale.dtype), None


def _add_gradient(config: RelationConfig, scale, rows, by_video, columns, by_text):
    z_video, rows, (row_log_sum, row_share, row_target) = rows
    z_text, columns, (column_log_sum, column_share, column_target) = columns
    logits = scale * product(z_video, z_text.T)
    weight, counted = relation(rows, columns, config)
    predicted = row_share[:, None] * jnp.exp(logits - row_log_sum[:, None])
    predicted += column_share[None, :] * jnp.exp(logits - column_log_sum[None, :])
    wanted = weight * (row_target[:, None] + column_target[None, :])
    by_logit = jnp.where(counted, predicted - wanted, 0.0)
    return by_video + product(by_logit, z_text), by_text + product(by_logit.T, z_video)


softmax_loss.defvjp(_forward, _backward)
