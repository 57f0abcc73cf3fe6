"""Which patches the student of iBOT does not see, and whose targets it predicts there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class HiddenPatches(NamedTuple):
    """Hidden patches of n clips with g views each; v of the views have some.

    Args:
        mask: bool `[n, g, tokens]`, True for the hidden ones.
        views: int32 `[n, v]`, the views that have hidden patches.
        patches: int32 `[n, v, m]`, tokens of those views: all hidden ones, and others up to a
            number that does not depend on the draw.
        hidden: bool `[n, v, m]`, which of these are hidden.
    """

    mask: jax.Array
    views: jax.Array
    patches: jax.Array
    hidden: jax.Array


def draw_hidden(
    key: jax.Array,
    n: int,
    views: int,
    *,
    grid: tuple[int, int, int],
    share: tuple[float, float],
) -> HiddenPatches:
    """Hides places of half of each clip's views, at all times: next to a place is its answer.

    Args:
        key: random key.
        n: clips.
        views: of each; half of them, but at least one, have hidden patches.
        grid: times, rows and columns of the tokens.
        share: smallest and largest share of hidden places; uniform between them.

    Reference:
        Zhou et al. 2022 (iBOT), section 3.3 and appendix E, with random masking and not by blocks.
    """
    times, places = grid[0], grid[1] * grid[2]
    u = jax.random.uniform(key, (n, views, places + 2))
    chosen, order = _ranks(u[..., 0]), jnp.argsort(u[..., 2:], axis=-1)
    masked = max(views // 2, 1)
    count = (share[0] + (share[1] - share[0]) * u[..., 1]) * places
    count = jnp.maximum(jnp.round(count), 1.0)[..., None]
    hidden = (jnp.argsort(order, axis=-1) < count) & (chosen < masked)[..., None]
    most = max(round(share[1] * places), 1)
    with_hidden = jnp.argsort(chosen, axis=-1)[:, :masked]
    take = lambda x: jnp.take_along_axis(x, with_hidden[..., None], axis=1)  # noqa: E731
    tubes = take(order)[..., None, :most] + places * jnp.arange(times)[:, None]
    there = jnp.arange(most) < take(count)
    there = jnp.broadcast_to(there[..., None, :], tubes.shape)
    flat = (n, masked, times * most)
    return HiddenPatches(
        jnp.tile(hidden, (1, 1, times)), with_hidden, tubes.reshape(flat), there.reshape(flat)
    )


def take_patches(tokens: jax.Array, hidden: HiddenPatches) -> jax.Array:
    """The tokens `[n, v, m, d]` named by `hidden.patches`, of `[n, g, tokens, d]`."""
    tokens = jnp.take_along_axis(tokens, hidden.views[..., None, None], axis=1)
    return jnp.take_along_axis(tokens, hidden.patches[..., None], axis=2)


def patch_weights(hidden: HiddenPatches, weights: jax.Array) -> jax.Array:
    """What each patch counts, `[n, v, m]`: those of a view share what its clip counts, `[n]`."""
    there = hidden.hidden.astype(jnp.float32)
    return weights[:, None, None] * there / there.sum(axis=-1, keepdims=True)


def _ranks(x: jax.Array) -> jax.Array:
    """The place of each entry in the order of the last axis."""
    return jnp.argsort(jnp.argsort(x, axis=-1), axis=-1)
