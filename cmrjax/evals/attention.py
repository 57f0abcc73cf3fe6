"""Attention weights as maps over the pixels of a cine, and how much of a map is on the heart.

Pure functions of arrays; `evals.seeing` takes the arrays out of a tower. Attention is not an
explanation (Jain and Wallace 2019): a map says where a layer looked, not why the model decided.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cmrjax.models.layers import TokenGrid


def rollout(weights: Sequence[jax.Array]) -> jax.Array:
    """Attention rollout: how much of each input token reaches each token of the last layer.

    Half of a layer's output is taken to come from its residual path, so a layer mixes by
    (A + I) / 2, and layers multiply.

    Args:
        weights: of each layer from the first on, averaged over heads, `[b, n, n]`, rows (queries)
            summing to 1.

    Returns:
        `[b, n, n]`, rows summing to 1.

    Reference:
        Abnar, Zuidema. Quantifying attention flow in transformers. ACL 2020.
    """
    mixed = jnp.eye(weights[0].shape[-1])[None]
    for layer in weights:
        own = (layer + jnp.eye(layer.shape[-1])) / 2
        mixed = jnp.einsum("bij,bjk->bik", own, jnp.broadcast_to(mixed, own.shape))
    return mixed


def expand_time(weights: jax.Array, grid: TokenGrid) -> jax.Array:
    """Attention over time at each place, as attention between all tokens.

    Args:
        weights: `[b * places, times, times]`.
        grid: of the whole sequence; its prefix passes a time layer by, so it sees itself alone.

    Returns:
        `[b, n, n]` with n = prefix + times * places.
    """
    p, t, s = grid.prefix, grid.times, grid.places
    by_place = weights.reshape(-1, s, t, t)
    patches = jnp.einsum("bsij,su->bisju", by_place, jnp.eye(s)).reshape(-1, t * s, t * s)
    whole = jnp.zeros((len(patches), p + t * s, p + t * s)).at[:, p:, p:].set(patches)
    return whole.at[:, jnp.arange(p), jnp.arange(p)].set(1.0)


def expand_space(weights: jax.Array, grid: TokenGrid) -> jax.Array:
    """Attention inside each time, as attention between all tokens.

    Args:
        weights: `[b * times, prefix + places, prefix + places]`; the prefix joins each time and
            leaves as the mean of what it saw in all of them.
        grid: of the whole sequence.

    Returns:
        `[b, n, n]` with n = prefix + times * places.
    """
    p, t, s = grid.prefix, grid.times, grid.places
    inside = weights.reshape(-1, t, p + s, p + s)
    b = len(inside)
    between = jnp.einsum("btij,tu->btiuj", inside[:, :, p:, p:], jnp.eye(t))
    of_patches = jnp.concatenate(
        [inside[:, :, p:, :p].reshape(b, t * s, p), between.reshape(b, t * s, t * s)], axis=2
    )
    to_patches = inside[:, :, :p, p:].swapaxes(1, 2).reshape(b, p, t * s) / t
    of_prefix = jnp.concatenate([inside[:, :, :p, :p].mean(axis=1), to_patches], axis=2)
    return jnp.concatenate([of_prefix, of_patches], axis=1)


def to_frames(
    relevance: jax.Array, *, grid: tuple[int, int, int], clip: tuple[int, int, int]
) -> jax.Array:
    """The relevance of tokens as one map over a clip's pixels.

    Args:
        relevance: `[b, n]` over times, rows and columns, at least 0.
        grid: times, rows and columns of the tokens.
        clip: frames, rows and columns.

    Returns:
        `[b, t, h, w]`, at least 0, interpolated between the tokens' centres, summing to 1 over each
        clip; uniform where nothing is relevant.
    """
    b = len(relevance)
    relevance = relevance.astype(jnp.float32).reshape(b, *grid)
    # Scaled first: a map may be tiny as a whole, and that must not underflow.
    relevance = relevance / jnp.maximum(relevance.max(axis=(1, 2, 3), keepdims=True), 1e-30)
    maps = jnp.maximum(jax.image.resize(relevance, (b, *clip), "linear"), 0.0)
    total = maps.sum(axis=(1, 2, 3), keepdims=True)
    size = clip[0] * clip[1] * clip[2]
    return jnp.where(total > 0, maps / jnp.where(total > 0, total, 1.0), 1.0 / size)


def centre_map(shape: tuple[int, int, int, int]) -> np.ndarray:
    """A fixed blot in the middle of every frame, a Gaussian of a sixth of the side.

    `prepare` crops around the heart, so that a map needs no look at a cine to be on it.

    Args:
        shape: clips, frames, rows and columns.

    Returns:
        Maps of that shape, each clip's summing to 1.
    """
    sides = [(np.arange(n) - (n - 1) / 2) / (n / 6) for n in shape[2:]]
    rows, columns = (np.exp(-(side**2) / 2) for side in sides)
    frame = np.outer(rows, columns)
    return np.broadcast_to(frame / (frame.sum() * shape[1]), shape)


def share_inside(
    maps: np.ndarray, masks: np.ndarray, annotated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which share of a map lies inside the heart, and which share of the pixels does.

    Args:
        maps: `[b, t, h, w]`, at least 0.
        masks: class numbers `[b, t, h, w]`; above 0 is heart. Taken as they are, not enlarged.
        annotated: bool `[b, t]`, frames whose mask was drawn; the others count nowhere.

    Returns:
        Both `[b]`; the second is what a uniform map gets. NaN where no annotated frame shows heart,
        since there every map is wrong alike.
    """
    frames = annotated[:, :, None, None]
    inside = (masks > 0) & frames
    axes = (1, 2, 3)
    pixels = np.broadcast_to(frames, maps.shape).sum(axis=axes)
    seen = (maps * frames).sum(axis=axes, dtype=np.float64)
    there = inside.any(axis=axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A map that is nowhere in the annotated frames says nothing about them: a uniform one.
        area = inside.sum(axis=axes) / pixels
        share = np.where(seen > 0, (maps * inside).sum(axis=axes, dtype=np.float64) / seen, area)
    return np.where(there, share, np.nan), np.where(there, area, np.nan)
