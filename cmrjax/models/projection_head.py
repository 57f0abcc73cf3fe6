"""The projection head of self-distillation: from a vector to logits over prototypes."""

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.layers import ACTIVATIONS, dense
from cmrjax.models.pooling import l2_normalise


class ProjectionHead(nnx.Module):
    """Three layers with GELU, a unit vector, and a weight-normalised layer to the prototypes.

    The prototypes have length 1 (the norm of the weight normalisation is fixed), so a logit is a
    cosine. Their kernel is named `last`: training keeps it fixed at first.

    Args:
        width: of the vectors.
        prototypes: number of outputs.
        rngs: source of the initial values.
        hidden: width of the two hidden layers.
        bottleneck: width of the unit vector.
        dtype: of matrix products, 'float32' or 'bfloat16'.

    Reference:
        Caron et al. 2021, section 3.1 and appendix C; the initial values are those of its code.
    """

    def __init__(
        self,
        width: int,
        prototypes: int,
        *,
        rngs: nnx.Rngs,
        hidden: int = 2048,
        bottleneck: int = 256,
        dtype: str = "float32",
    ):
        self.dtype = jnp.dtype(dtype)
        options = {"rngs": rngs, "dtype": self.dtype, "init": nnx.initializers.normal(0.02)}
        self.first = dense(width, hidden, ("embed", "mlp"), **options)
        self.second = dense(hidden, hidden, ("mlp", "embed"), **options)
        self.third = dense(hidden, bottleneck, ("embed", "joint"), **options)
        # Uniform within 1 / sqrt(bottleneck): only the directions count, but the length says how
        # far one step turns them.
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.last = nnx.Linear(
            bottleneck,
            prototypes,
            use_bias=False,
            kernel_init=nnx.with_partitioning(init, ("embed", "prototypes")),
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps vectors `[*b, width]` to float32 logits `[*b, prototypes]` from -1 to 1."""
        gelu = ACTIVATIONS["gelu"]
        x = self.third(gelu(self.second(gelu(self.first(x)))))
        z = l2_normalise(x.astype(jnp.float32))
        kernel = l2_normalise(self.last.kernel[...].T).T
        return jnp.einsum(
            "...d,dk->...k",
            z.astype(self.dtype),
            kernel.astype(self.dtype),
            preferred_element_type=jnp.float32,
        )
