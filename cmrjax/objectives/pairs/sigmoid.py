"""The sigmoid loss over all pairs, in tiles.

Every pair's loss stands alone, so the gradients are made in the forward pass, tile by tile.
"""

import functools

import jax
import jax.numpy as jnp

from cmrjax.objectives.pairs.relation import Pairs, RelationConfig, relation
from cmrjax.objectives.pairs.tiles import Layout, over_tiles, product


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def sigmoid_loss(
    layout: Layout,
    z_video: jax.Array,
    z_text: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    pairs: Pairs,
) -> jax.Array:
    """Binary cross-entropy summed over all counted pairs, divided by the number of valid videos.

    The target of a pair is its weight.

    Args:
        layout: how the pairs are compared and visited.
        z_video: `[b, d]`.
        z_text: `[m, d]`.
        scale: scalar, the inverse temperature.
        bias: scalar, added to every logit.
        pairs: of `relation.complete`.

    Reference:
        Zhai et al. 2023, algorithm 1.
    """
    losses, _ = over_tiles(
        functools.partial(_add_tile, layout.relation),
        layout,
        (scale, bias),
        (z_video, pairs.rows),
        jnp.zeros(z_video.shape[0], jnp.float32),
        (z_text, pairs.columns),
        (),
    )
    return losses.sum() / _videos(pairs)


def _videos(pairs: Pairs) -> jax.Array:
    return jnp.maximum(pairs.rows["valid"].sum(), 1).astype(jnp.float32)


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Of a probability sigmoid(logits) against a target in 0..1; exact for large logits."""
    return jnp.maximum(logits, 0.0) - target * logits + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _tile(config: RelationConfig, shared, rows, columns):
    (z_video, rows), (z_text, columns), (scale, bias) = rows, columns, shared
    logits = scale * product(z_video, z_text.T) + bias
    return logits, *relation(rows, columns, config)


def _add_tile(config, shared, rows, losses, columns, nothing):
    logits, target, counted = _tile(config, shared, rows, columns)
    return losses + jnp.where(counted, cross_entropy(logits, target), 0.0).sum(axis=1), nothing


def _forward(layout, z_video, z_text, scale, bias, pairs):
    b = z_video.shape[0]
    (losses, by_bias, by_video), by_text = over_tiles(
        functools.partial(_add_gradient, layout.relation),
        layout,
        (scale, bias),
        (z_video, pairs.rows),
        (jnp.zeros(b), jnp.zeros(b), jnp.zeros(z_video.shape, jnp.float32)),
        (z_text, pairs.columns),
        jnp.zeros(z_text.shape, jnp.float32),
    )
    videos = _videos(pairs)
    # sum over pairs of gradient * <z_video, z_text>, without the pairs
    d_scale = (by_video * z_video).sum() / videos
    d_video = (scale / videos * by_video).astype(z_video.dtype)
    d_text = (scale / videos * by_text).astype(z_text.dtype)
    d_bias = by_bias.sum() / videos
    gradients = (d_video, d_text, d_scale.astype(scale.dtype), d_bias.astype(bias.dtype))
    return losses.sum() / videos, gradients


def _add_gradient(config, shared, rows, row_state, columns, by_text):
    losses, by_bias, by_video = row_state
    logits, target, counted = _tile(config, shared, rows, columns)
    by_logit = jnp.where(counted, jax.nn.sigmoid(logits) - target, 0.0)
    losses += jnp.where(counted, cross_entropy(logits, target), 0.0).sum(axis=1)
    by_bias += by_logit.sum(axis=1)
    by_video += product(by_logit, columns[0])
    return (losses, by_bias, by_video), by_text + product(by_logit.T, rows[0])


def _backward(layout, gradients, cotangent):
    del layout
    return *((cotangent * g).astype(g.dtype) for g in gradients), None


sigmoid_loss.defvjp(_forward, _backward)
