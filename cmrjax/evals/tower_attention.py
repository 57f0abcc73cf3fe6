"""Where a video tower looks: its attention, and which tokens a score of its output depends on.

A copy of the tower is run with watchers in the places of its attention layers, so that every form
of it (joint, factorised, divided; any pooling) is seen through the code that trains.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.evals.attention import expand_space, expand_time, rollout, to_frames
from cmrjax.models.frames import apart, as_input
from cmrjax.models.heads import StudyRegressor
from cmrjax.models.layers import Attention, TokenGrid, Trunk
from cmrjax.models.multiscale import pooled
from cmrjax.models.mvit import MViT
from cmrjax.models.pooling import AttentionPool, l2_normalise
from cmrjax.models.two_tower import TwoTower
from cmrjax.models.video_vit import VideoViT

METHODS = ("last_block", "rollout", "gradient")
Score = Callable[[jax.Array], jax.Array]  # pooled vectors [b, d] -> [b]


class NoMapError(UserError):
    """The tower has no such map."""


@dataclasses.dataclass
class _Seen:
    """What the watchers of one run saw.

    Args:
        weights: `[b, n, n]` of each attention layer of the trunk, in order.
        of_times: `[b, n, n]` of each layer of a factorised tower's second trunk.
        query: `[b, n]`, what the query of an attention pooling looked at.
        activation: what passed the tap.
    """

    weights: list[jax.Array] = dataclasses.field(default_factory=list)
    of_times: list[jax.Array] = dataclasses.field(default_factory=list)
    query: Any = None
    activation: Any = None


class _Tap(nnx.Module):
    """A layer whose output is kept, and shifted so that a gradient can be taken there."""

    def __init__(self, inner: nnx.Module, seen: _Seen, shift: jax.Array):
        self.inner, self.seen, self.shift = inner, seen, nnx.data(shift)

    def __call__(self, *args):
        inner: Any = self.inner
        self.seen.activation = inner(*args)
        return self.seen.activation + self.shift


class _WatchedAttention(nnx.Module):
    """An attention layer that keeps its weights, averaged over heads."""

    def __init__(self, attention: Attention, kept: list[jax.Array]):
        self.attention, self.keep = attention, kept.append

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        self.keep(self.attention.weights(x, mask).mean(axis=1))
        return self.attention(x, mask)


class _WatchedTrunk(nnx.Module):
    """A trunk run layer by layer, which `change` may alter before."""

    def __init__(self, trunk: Trunk, change: Callable[[list[Any]], None]):
        self.trunk, self.change = trunk, change

    def __call__(self, x, mask=None, grid: TokenGrid | None = None) -> jax.Array:
        layers: list[Any] = self.trunk.layers()
        self.change(layers)
        for layer in layers:
            x = layer(x, mask, grid)
        return x


class _WatchedPool(nnx.Module):
    """Attention pooling that keeps its weights, averaged over heads."""

    def __init__(self, pool: AttentionPool, seen: _Seen):
        self.pool, self.seen = pool, seen

    def __call__(self, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        self.seen.query = self.pool.weights(tokens, mask).mean(axis=1)
        return self.pool(tokens, mask)


def tower_map(tower: Any, clips: jax.Array, *, method: str, score: Score) -> jax.Array:
    """Where a tower looks in each clip.

    Args:
        tower: a `VideoViT` or an `MViT`.
        clips: `[b, t, h, w]` in 0..1.
        method: 'last_block': what the class token (else the mean over all queries, else the pooling
            query) attends to in the last layer. 'rollout': the same through all layers. 'gradient':
            what raises `score`, the positive part of gradient times activation, at the tokens that
            are pooled, or that a class token attends to in the last layer (Grad-CAM, Selvaraju et
            al. 2017, without its mean over places).
        score: what the gradient is of, from the pooled vector; other methods do not look at it.

    Returns:
        `[b, t, h, w]`, at least 0, summing to 1 over each clip.

    Raises:
        NoMapError: the tower has no map of this method.
    """
    if isinstance(tower, MViT):
        relevance, grid = _mvit(tower, clips, method, score)
    elif isinstance(tower, VideoViT):
        relevance, grid = _vit(tower, clips, method, score), tower.config.grid
    else:
        raise NoMapError(f"no attention maps of a {type(tower).__name__}", where="encoder")
    return to_frames(relevance, grid=grid, clip=tower.config.clip)


def _keep_weights(layers: list[Any], kept: list[jax.Array]) -> None:
    """Puts watchers in the places of the layers' attentions; a divided block has two."""
    for layer in layers:
        if layer.divided:
            layer.attention_time = _WatchedAttention(layer.attention_time, kept)
        layer.attention = _WatchedAttention(layer.attention, kept)


def _vit(tower: VideoViT, clips: jax.Array, method: str, score: Score) -> jax.Array:
    """Relevance of the patch tokens `[b, n]`."""
    if method == "gradient":
        return _vit_gradient(tower, clips, score)
    config, seen = tower.config, _Seen()
    prefix = int(config.cls_token) + config.registers
    times, rows, columns = config.grid
    graph, state = nnx.split(tower)
    watched: Any = nnx.merge(graph, nnx.to_pure_dict(state))
    watched.trunk = _WatchedTrunk(watched.trunk, lambda ls: _keep_weights(ls, seen.weights))
    if config.attention == "factorised":
        keep = lambda ls: _keep_weights(ls, seen.of_times)  # noqa: E731
        watched.temporal = _WatchedTrunk(watched.temporal, keep)
    if config.pool == "attention":
        watched.pool = _WatchedPool(watched.pool, seen)
    watched(clips)
    if config.attention != "factorised":
        layers = seen.weights
        if config.attention == "divided":
            grid, expand = TokenGrid(prefix, times, rows * columns), (expand_time, expand_space)
            layers = [expand[i % 2](layer, grid) for i, layer in enumerate(layers)]
        return _read(layers, method, config.pool, prefix, seen.query)
    # The share of a time among the times, then that of each place inside it.
    own = "cls" if config.cls_token else "mean"
    inside = _read(seen.weights, method, own, prefix, None).reshape(len(clips), times, -1)
    of_time = _read(seen.of_times, method, config.pool, int(config.cls_token), seen.query)
    return (inside * of_time[:, :, None]).reshape(len(clips), -1)


def _read(
    layers: list[jax.Array], method: str, pool: str, prefix: int, query: jax.Array | None
) -> jax.Array:
    """What the pooled vector draws from each patch `[b, n]`, by the last layer or by all."""
    if pool == "attention" and query is not None:
        if method == "last_block":
            return query
        return jnp.einsum("bq,bqn->bn", query, rollout(layers)[:, prefix:, prefix:])
    mixed = layers[-1] if method == "last_block" else rollout(layers)
    rows = mixed[:, :1] if pool == "cls" else mixed[:, prefix:]
    return rows.mean(axis=1)[:, prefix:]


def _vit_gradient(tower: VideoViT, clips: jax.Array, score: Score) -> jax.Array:
    config = tower.config
    prefix = int(config.cls_token) + config.registers
    times, rows, columns = config.grid
    factorised = config.attention == "factorised"
    # Through a class token patches act as the keys and values of the last layer alone. Behind a
    # layer norm the size of a token has no effect, so its gradient is taken after the norm.
    by_class = config.cls_token if factorised else config.pool == "cls"
    graph, state = nnx.split(tower)
    params = nnx.to_pure_dict(state)

    def scored(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
        model: Any = nnx.merge(graph, params)
        seen = _Seen()

        def tap_last(layers: list[Any]) -> None:
            layers[-1].norm1 = _Tap(layers[-1].norm1, seen, shift)

        if by_class:
            model.trunk = _WatchedTrunk(model.trunk, tap_last)
        elif config.final_norm == "tokens" and not factorised:
            model.norm = _Tap(model.norm, seen, shift)
        else:
            model.trunk = _Tap(model.trunk, seen, shift)
        return score(model(clips)).sum(), seen.activation

    b = len(clips) * (times if factorised else 1)
    n = rows * columns * (1 if factorised else times)
    slope, activation = jax.grad(scored, has_aux=True)(jnp.zeros((b, prefix + n, config.width)))
    return _positive(slope, activation, prefix).reshape(len(clips), -1)


def _positive(slope: jax.Array, activation: jax.Array, prefix: int) -> jax.Array:
    """What raises the score: the positive part of gradient times activation, a number a token."""
    return jnp.maximum((slope * activation).sum(axis=-1), 0.0)[:, prefix:]


def _mvit(tower: MViT, clips: jax.Array, method: str, score: Score):
    """Relevance of the tokens around the last block, and their grid."""
    if method == "rollout":
        raise NoMapError(
            "MViT has no attention rollout: its layers differ in their tokens",
            where="config.methods",
            fix="use 'last_block' or 'gradient'",
        )
    if len(tower.blocks) < 2:
        raise NoMapError("no map of an MViT of a single block", where="encoder")
    _, block = max(tower.blocks.items())
    entered = tower.layers(tower.normalise(clips))[-2]
    if method == "last_block":
        weights = block.attention.weights(block.norm1(entered)).mean(axis=1)
        return weights[:, 0, 1:], pooled(block.config.grid, block.config.kv_stride)
    graph, state = nnx.split(block)
    params = nnx.to_pure_dict(state)

    def scored(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
        model: Any = nnx.merge(graph, params)
        seen = _Seen()
        model.norm1 = _Tap(model.norm1, seen, shift)
        return score(tower.norm(model(entered))[:, 0]).sum(), seen.activation

    slope, activation = jax.grad(scored, has_aux=True)(jnp.zeros_like(entered))
    return _positive(slope, activation, 1), block.config.grid


def video_map(
    module: Any, clips: jax.Array, direction: jax.Array | None = None, *, method: str
) -> jax.Array:
    """The map of a network's video tower, scored where the network's embeddings live.

    Args:
        module: a `TwoTower`, a `StudyRegressor` or a video tower.
        clips: `[b, t, h, w]` in 0..1.
        direction: `[d]`, a unit vector that the gradient takes the cosine of z to; None takes half
            the squared length of z, to which every token adds by its own part along z.
        method: see `tower_map`.

    Returns:
        `[b, t, h, w]`.
    """

    def score(pooled: jax.Array) -> jax.Array:
        z = module.unscaled(pooled) if isinstance(module, TwoTower) else pooled
        return (z * z).sum(axis=-1) / 2 if direction is None else l2_normalise(z) @ direction

    tower = module.video if isinstance(module, TwoTower | StudyRegressor) else module
    maps = tower_map(tower, as_input(tower.config.clip, clips), method=method, score=score)
    # Of single frames each map is a frame's: together they are the clip's.
    return maps.reshape(clips.shape) / apart(tower.config.clip, clips.shape[1])
