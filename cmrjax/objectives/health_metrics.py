"""How much of the space embeddings use: the numbers that fall before a run has visibly collapsed.

Everything is computed over the batch of one step, so the bounds that a run sets on these numbers
belong to its batch size: `b` embeddings never have an effective rank above `b - 1`.
"""

import jax
import jax.numpy as jnp

# Below this the embeddings are one point, whose directions are rounding errors.
_TINY = 1e-12


def _normalised(z: jax.Array) -> jax.Array:
    z = z.astype(jnp.float32)
    return z * jax.lax.rsqrt(jnp.maximum(jnp.sum(z * z, axis=-1, keepdims=True), _TINY))


def _shares(z: jax.Array, weights: jax.Array | None) -> jax.Array:
    """What each of the embeddings `[b, d]` counts; they sum to 1, or are all 0."""
    if weights is None:
        return jnp.full(len(z), 1.0 / len(z))
    return jax.lax.stop_gradient(weights / jnp.maximum(weights.sum(), _TINY))


def embedding_spread(z: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Spread of a batch of embeddings over the sphere.

    Args:
        z: `[b, d]`, of any length; they are normalised first.
        weights: `[b]`, 0 where one only pads the batch; None counts all alike.

    Returns:
        A scalar: `sqrt(d)` times the mean over dimensions of the standard deviation over the batch.
        1 for vectors spread evenly over the sphere, 0 where all point the same way.

    Reference:
        Chen & He 2021 (SimSiam), section 4.1, where collapse is seen as this going to 0.
    """
    z = jax.lax.stop_gradient(_normalised(z))
    share = _shares(z, weights)[:, None]
    variance = jnp.sum(share * (z - jnp.sum(share * z, axis=0)) ** 2, axis=0)
    return jnp.mean(jnp.sqrt(variance)) * z.shape[-1] ** 0.5


def effective_rank(z: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Number of dimensions that a batch of embeddings uses.

    Args:
        z: `[b, d]`.
        weights: `[b]`, as above.

    Returns:
        A scalar from 1 to `min(b - 1, d)`: the exponential of the entropy of the eigenvalues of the
        centred covariance, normalised to sum to 1. 1 also where all embeddings are one point.

    Reference:
        Roy & Vetterli 2007, "The effective rank"; Garrido et al. 2023 (RankMe), section 3, who take
        singular values; their squares, the variances, are what is taken here.
    """
    z = jax.lax.stop_gradient(z.astype(jnp.float32))
    share = _shares(z, weights)[:, None]
    z = jnp.sqrt(share) * (z - jnp.sum(share * z, axis=0))
    # The smaller of the two Gram matrices has the same eigenvalues but for zeros.
    b, d = z.shape
    gram = z.T @ z if d <= b else z @ z.T
    total = jnp.trace(gram)
    # A Gram matrix of zeros has no directions; a single one stands for it.
    values = jnp.maximum(jnp.linalg.eigvalsh(gram / jnp.maximum(total, _TINY)), 0.0)
    share = values / jnp.maximum(values.sum(), _TINY)
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(share, share)))
