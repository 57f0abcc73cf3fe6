"""The optimizer: AdamW with warm-up and cosine decay, clipping and a weight-decay mask."""

import dataclasses
from typing import Any

import jax
import optax


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule.

    Args:
        learning_rate: at the end of the warm-up.
        warmup_steps: linear warm-up from 0.
        final_ratio: learning rate at the last step, as a share of `learning_rate`.
        weight_decay: decoupled, on matrices alone.
        b1: decay of the first moment.
        b2: decay of the second moment.
        clip_norm: largest global norm of the gradient.
    """

    learning_rate: float = 1e-3
    warmup_steps: int = 50
    final_ratio: float = 0.01
    weight_decay: float = 0.05
    b1: float = 0.9
    b2: float = 0.95
    clip_norm: float = 1.0


def schedule(config: OptimConfig, *, steps: int) -> optax.Schedule:
    """Linear warm-up, then cosine decay to `final_ratio` at `steps`."""
    warmup = min(config.warmup_steps, max(steps // 2, 1))
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(steps, warmup + 1),
        end_value=config.learning_rate * config.final_ratio,
    )


def decay_mask(params: Any) -> Any:
    """True for kernels and embeddings; False for biases, norms, positions and scalars."""

    def decays(path, _leaf) -> bool:
        name = jax.tree_util.keystr(path[-1:], simple=True)
        return name in ("kernel", "embedding")

    return jax.tree_util.tree_map_with_path(decays, params)


def make_optimizer(config: OptimConfig, *, steps: int) -> optax.GradientTransformation:
    """Clipping by the global norm, then AdamW on the schedule of `steps`."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            schedule(config, steps=steps),
            b1=config.b1,
            b2=config.b2,
            weight_decay=config.weight_decay,
            mask=decay_mask,
        ),
    )
