"""The optimizer: AdamW with its schedules, layer-wise decay and parts that stay as they are."""

import dataclasses
import fnmatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cmrjax.core.errors import UserError

PyTree = Any

SCHEDULES = ("cosine", "rsqrt", "constant")
# Parts of a network whose blocks have an order, and what of them stands before the first block.
TOWERS = ("video", "text")
_BEFORE_BLOCKS = frozenset(
    {"embed", "embed_norm", "time", "space", "position", "cls", "cls_position", "registers"}
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedules. They count updates: a step that a run skips does not age them.

    Args:
        learning_rate: at the end of the warm-up.
        schedule: what follows it, one of `SCHEDULES`. 'rsqrt' falls as `sqrt(t / (t + n))` after n
            further steps, t being `timescale` (Zhai et al. 2022, section 3.3).
        warmup_steps: linear warm-up from 0; at most half of the run.
        cooldown_steps: of 'rsqrt' and 'constant', linear to the last rate at the end of the run.
        timescale: of 'rsqrt', in steps.
        final_ratio: learning rate at the last step, as a share of `learning_rate`; without a
            cooldown, of 'cosine' alone.
        weight_decay: decoupled, on matrices alone.
        final_weight_decay: where a cosine takes it by the end (Caron et al. 2021); -1 keeps it.
        b1: decay of the first moment.
        b2: decay of the second moment.
        clip_norm: largest global norm of the gradient.
        layer_decay: rate of a block over the next block's (Clark et al. 2020, ELECTRA); 1 is off.
            See `layer_scales`.
        frozen: patterns of paths, such as 'video/trunk/*', or of whole parts, such as 'text', that
            stay bit for bit as they are.
        ema_decay: of the moving average of the weights that evaluators then take (of DINO they take
            the teacher); 0 keeps none. It starts at the initial weights.
        accumulate: parts that a batch is cut into, one after another, their gradients averaged.
            The same as the whole batch where the loss is a mean over examples, also for what an
            objective moves in a step (a teacher, a centre). A contrastive loss then knows the
            negatives of a part alone (caching in the objective is exact), as Sinkhorn-Knopp and
            KoLeo know its images.
    """

    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 50
    cooldown_steps: int = 0
    timescale: int = 10_000
    final_ratio: float = 0.01
    weight_decay: float = 0.05
    final_weight_decay: float = -1.0
    b1: float = 0.9
    b2: float = 0.95
    clip_norm: float = 1.0
    layer_decay: float = 1.0
    frozen: tuple[str, ...] = ()
    ema_decay: float = 0.0
    accumulate: int = 1

    def __post_init__(self):
        wrong = {
            "schedule": (self.schedule not in SCHEDULES, f"use one of {SCHEDULES}"),
            "cooldown_steps": (
                self.cooldown_steps < 0 or (self.cooldown_steps > 0 and self.schedule == "cosine"),
                "use 0, or schedule 'rsqrt' or 'constant': a cosine falls by itself",
            ),
            "timescale": (self.timescale < 1, "give 1 or more"),
            "layer_decay": (not 0 < self.layer_decay <= 1, "give more than 0, up to 1"),
            "frozen": (isinstance(self.frozen, str), "give a list of patterns"),
            "ema_decay": (not 0 <= self.ema_decay < 1, "give 0 or more, below 1"),
            "accumulate": (self.accumulate < 1, "give 1 or more"),
        }
        for name, (is_wrong, fix) in wrong.items():
            if is_wrong:
                raise UserError(f"{name} = {getattr(self, name)!r}", where="config.optim", fix=fix)


def schedule(config: OptimConfig, *, steps: int) -> optax.Schedule:
    """Linear warm-up, then the configured fall until `steps`."""
    warmup = min(config.warmup_steps, max(steps // 2, 1))
    peak, last = config.learning_rate, config.learning_rate * config.final_ratio
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0,
            peak_value=peak,
            warmup_steps=warmup,
            decay_steps=max(steps, warmup + 1),
            end_value=last,
        )

    def rsqrt(count):
        return peak * jnp.sqrt(config.timescale / (config.timescale + jnp.asarray(count)))

    middle = rsqrt if config.schedule == "rsqrt" else optax.constant_schedule(peak)
    parts, starts = [optax.linear_schedule(0.0, peak, warmup), middle], [warmup]
    if cooldown := min(config.cooldown_steps, steps - warmup):
        start = steps - cooldown
        parts.append(
            optax.linear_schedule(np.asarray(middle(start - warmup)).item(), last, cooldown)
        )
        starts.append(start)
    return optax.join_schedules(parts, starts)


def weight_decay_schedule(config: OptimConfig, *, steps: int) -> float | optax.Schedule:
    """The weight decay: one number, or a cosine from it to `final_weight_decay` at `steps`."""
    first, last = config.weight_decay, config.final_weight_decay
    if last < 0:
        return first
    share = optax.cosine_decay_schedule(1.0, steps)
    return lambda count: last + (first - last) * share(count)


def decay_mask(params: PyTree) -> PyTree:
    """True for kernels and embeddings; False for biases, norms, positions and scalars."""

    def decays(path, _leaf) -> bool:
        name = jax.tree_util.keystr(path[-1:], simple=True)
        return name in ("kernel", "embedding")

    return jax.tree_util.tree_map_with_path(decays, params)


def _parts(path) -> list[str]:
    return [jax.tree_util.keystr((key,), simple=True) for key in path]


def frozen_mask(patterns: tuple[str, ...], params: PyTree) -> PyTree:
    """True for the leaves of a tree that a pattern names.

    Args:
        patterns: as `fnmatch` takes them, for whole paths joined with `/` or for a part of a
            network with all that is in it.
        params: a tree of anything whose paths are the parameters'.

    Raises:
        UserError: a pattern names nothing, or the patterns leave nothing to train.
    """
    unmatched = set(patterns)

    def is_frozen(path, _leaf) -> bool:
        parts = _parts(path)
        names = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        found = {p for p in patterns if any(fnmatch.fnmatchcase(n, p) for n in names)}
        unmatched.difference_update(found)
        return bool(found)

    mask = jax.tree_util.tree_map_with_path(is_frozen, params)
    if unmatched:
        paths = [_parts(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
        raise UserError(
            f"no parameter matches {sorted(unmatched)}",
            where="config.optim.frozen",
            fix=f"the parts are {', '.join(sorted({'/'.join(p[:2]) for p in paths}))}",
        )
    if all(jax.tree.leaves(mask)):
        raise UserError("nothing is left to train", where="config.optim.frozen")
    return mask


def layer_scales(params: PyTree, decay: float) -> PyTree:
    """What every parameter's learning rate is multiplied by.

    In a tower with D blocks, block i (from 0) has `decay ** (D - i)`, what stands before the blocks
    (embeddings, positions, class token) `decay ** (D + 1)`, and all that follows them 1, as does
    what is in no tower (projections, heads, decoders). The second trunk of a factorised tower goes
    on where the first ends, with its own class token.

    Args:
        params: arrays or their shapes.
        decay: more than 0, up to 1.

    Returns:
        A tree of float32 arrays that broadcast against the parameters: a scale for each block along
        axis 0 where the blocks are stacked, otherwise a scalar.

    Raises:
        UserError: there is no tower with blocks.
    """
    found = [
        (_in_tower(path), leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
    stacked: dict[tuple[str, str], int] = {}
    listed: dict[str, int] = {}
    for (tower, rest), shape in found:
        if rest[1:2] == ["blocks"]:
            stacked[tower, rest[0]] = shape[0]
        elif rest[:1] == ["blocks"]:
            listed[tower] = max(listed.get(tower, 0), int(rest[1]) + 1)
    if not stacked and not listed:
        raise UserError(
            "the network has no tower with blocks", where="config.optim.layer_decay", fix="use 1"
        )

    def scale(path, leaf) -> np.ndarray:
        tower, rest = _in_tower(path)
        name = rest[0] if rest else ""
        temporal = stacked.get((tower, "temporal"), 0)
        depth = stacked.get((tower, "trunk"), 0) + temporal + listed.get(tower, 0)
        exponent = np.zeros(())
        if (tower, name) in stacked:
            after = temporal if name == "trunk" else 0
            blocks = leaf.shape[0]
            exponent = (after + blocks - np.arange(blocks)).reshape(-1, *[1] * (leaf.ndim - 1))
        elif name == "blocks":
            exponent = np.asarray(depth - int(rest[1]))
        elif depth and name in _BEFORE_BLOCKS:
            exponent = np.asarray(depth + 1)
        elif depth and name == "cls_time":
            exponent = np.asarray(temporal + 1)
        return np.asarray(decay**exponent, np.float32)

    return jax.tree_util.tree_map_with_path(scale, params)


def _in_tower(path) -> tuple[str, list[str]]:
    """The tower that a parameter is in and its path from there; ('', []) outside all."""
    parts = _parts(path)
    for i, name in enumerate(parts):
        if name in TOWERS:
            return "/".join(parts[: i + 1]), parts[i + 1 :]
    return "", []


def make_optimizer(
    config: OptimConfig, *, steps: int, params: PyTree
) -> optax.GradientTransformation:
    """Clipping by the global norm, then AdamW, on schedules of `steps`.

    Args:
        config: what to build.
        steps: updates of the whole run.
        params: the parameters, or their shapes. Frozen ones have no state and count in no norm.

    Raises:
        UserError: a pattern of `frozen` or the layer-wise decay does not fit the parameters.
    """
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            schedule(config, steps=steps),
            b1=config.b1,
            b2=config.b2,
            weight_decay=weight_decay_schedule(config, steps=steps),
            mask=decay_mask,
        ),
    )
    if config.frozen:
        mask = frozen_mask(config.frozen, params)
        labels = jax.tree.map(lambda is_frozen: "frozen" if is_frozen else "trained", mask)
        optimizer = optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
    if config.layer_decay < 1:
        scales = layer_scales(params, config.layer_decay)
        # After AdamW, so that a block's weight decay shrinks with its rate.
        scaled = lambda updates, _params: jax.tree.map(jnp.multiply, updates, scales)  # noqa: E731
        optimizer = optax.chain(optimizer, optax.stateless(scaled))
    return optimizer
