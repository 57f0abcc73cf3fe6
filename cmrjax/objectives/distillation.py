"""Losses of self-distillation: targets of a teacher, their cross-entropy, spread of the vectors.

Every mean takes weights, so that what only pads a batch counts nowhere. Logits are float32.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, xlogy

from cmrjax.models.pooling import l2_normalise

CENTRINGS = ("centre", "sinkhorn", "none")
_EPSILON = 1e-8


def weighted_mean(x: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of `[m, *d]` over the first axis with weights `[m]`; 0 where all are 0."""
    return jnp.tensordot(weights, x, axes=1) / jnp.maximum(weights.sum(), _EPSILON)


def teacher_targets(
    logits: jax.Array,
    weights: jax.Array,
    centre: jax.Array,
    *,
    temperature: jax.Array | float,
    centring: str,
    momentum: float,
) -> tuple[jax.Array, jax.Array]:
    """What the student shall predict, and the centre after this batch.

    Args:
        logits: `[m, k]` of the teacher.
        weights: `[m]`.
        centre: `[k]`, the running mean of the logits; used and kept by 'centre' alone.
        temperature: of the softmax.
        centring: 'centre' (Caron et al. 2021, eq. 4), 'sinkhorn' (Caron et al. 2020) or 'none'.
        momentum: of the centre.

    Returns:
        Probabilities `[m, k]` and the new centre `[k]`; neither has a gradient.
    """
    logits = jax.lax.stop_gradient(logits)
    if centring == "sinkhorn":
        return sinkhorn_knopp(logits, weights, temperature=temperature), centre
    if centring == "none":
        return jax.nn.softmax(logits / temperature, axis=-1), centre
    targets = jax.nn.softmax((logits - centre) / temperature, axis=-1)
    # A batch of padding has no mean.
    kept = jnp.where(weights.sum() > 0, momentum, 1.0)
    return targets, kept * centre + (1.0 - kept) * weighted_mean(logits, weights)


def sinkhorn_knopp(
    logits: jax.Array,
    weights: jax.Array,
    *,
    temperature: jax.Array | float,
    iterations: int = 3,
) -> jax.Array:
    """Soft assignments in which every prototype gets the same share of the batch.

    In the log domain: `exp(logits / temperature)` overflows float32 at the usual temperatures.

    Args:
        logits: `[m, k]`.
        weights: `[m]`; rows of weight 0 get an assignment and change nobody else's.
        temperature: of the entropic regularisation.
        iterations: of normalising the prototypes, then the rows.

    Returns:
        `[m, k]`, rows summing to 1; after enough iterations the weighted columns are equal.

    Reference:
        Cuturi 2013; Caron et al. 2020 (SwAV), section 3.1; Oquab et al. 2024, section 4.
    """
    scores = logits / temperature
    for _ in range(iterations):
        shares = logsumexp(scores, axis=0, b=weights[:, None])
        scores = scores - jnp.where(weights.sum() > 0, shares, 0.0)
        scores = jax.nn.log_softmax(scores, axis=-1)
    return jnp.exp(scores)


def pair_cross_entropy(targets: jax.Array, logits: jax.Array, *, temperature: float) -> jax.Array:
    """Cross-entropy of every target with every prediction of one image.

    Args:
        targets: probabilities `[*b, g, k]`.
        logits: of the student, `[*b, v, k]`.
        temperature: of the student's softmax.

    Returns:
        `[*b, g, v]`.
    """
    logits = logits / temperature
    # As targets sum to 1, no log-softmax of all logits need be kept.
    products = jnp.einsum("...gk,...vk->...gv", targets, logits)
    return logsumexp(logits, axis=-1)[..., None, :] - products


def koleo_loss(z: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean negative log distance to the nearest other unit vector, which spreads a batch.

    Args:
        z: `[m, d]`, of any length.
        weights: `[m]`; a vector of weight 0 is nobody's neighbour.

    Returns:
        A scalar; 0 where fewer than two vectors count.

    Reference:
        Sablayrolles et al. 2019; Oquab et al. 2024, section 4.
    """
    z = l2_normalise(z.astype(jnp.float32))
    there = weights > 0
    others = there[None, :] & ~jnp.eye(len(z), dtype=bool)
    similar = jnp.where(others, jax.lax.stop_gradient(z @ z.T), -jnp.inf)
    nearest = z[jnp.argmax(similar, axis=1)]
    # The small number inside the root keeps the gradient of two equal vectors finite.
    distance = jnp.sqrt(jnp.sum((z - nearest) ** 2, axis=-1) + _EPSILON**2)
    alone = ~others.any(axis=1)
    return weighted_mean(-jnp.log(distance + _EPSILON), jnp.where(alone, 0.0, weights))


def teacher_statistics(targets: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How sure the teacher is, and how much its outputs say about which image they are of.

    Args:
        targets: probabilities `[m, k]`.
        weights: `[m]`.

    Returns:
        The mean entropy of the outputs, and the entropy of the mean output less it (the mutual
        information of image and prototype), both in units of ln k. Information 0 is collapse:
        every image gets the same output, be it one prototype (entropy 0) or all alike (1).
    """
    unit = jnp.log(float(targets.shape[-1]))
    entropy = weighted_mean(-xlogy(targets, targets).sum(axis=-1), weights) / unit
    mean = weighted_mean(targets, weights)
    return entropy, -xlogy(mean, mean).sum() / unit - entropy
