"""The head against NumPy: three layers, a unit vector, prototypes of length 1."""

import jax
import numpy as np
from flax import nnx
from scipy.special import erf

from cmrjax.core.partitioning import RULES
from cmrjax.models.projection_head import ProjectionHead
from tests.models.networks import compiled, filled


def create() -> ProjectionHead:
    return ProjectionHead(6, 10, hidden=8, bottleneck=4, rngs=nnx.Rngs(0))


def by_hand(params, x):
    gelu = lambda x: x * (1 + erf(x / np.sqrt(2))) / 2  # noqa: E731
    linear = lambda x, p: x @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"])  # noqa: E731
    x = gelu(linear(x, params["first"]))
    x = linear(gelu(linear(x, params["second"])), params["third"])
    kernel = np.asarray(params["last"]["kernel"], np.float64)
    unit = lambda x, axis: x / np.linalg.norm(x, axis=axis, keepdims=True)  # noqa: E731
    return unit(x, -1) @ unit(kernel, 0)


def test_logits_are_cosines_of_the_published_head():
    head = filled(create)
    params = nnx.to_pure_dict(nnx.state(head, nnx.Param))
    assert set(params["last"]) == {"kernel"}, "the prototypes have no bias"
    x = np.random.default_rng(0).standard_normal((2, 3, 6)).astype(np.float32)
    found = compiled(head)(x)
    assert found.shape == (2, 3, 10)
    np.testing.assert_allclose(found, by_hand(params, x), atol=1e-5)
    # The length of a prototype says nothing.
    params["last"]["kernel"] *= np.linspace(0.5, 3, 10, dtype=np.float32)
    longer = nnx.merge(nnx.split(head)[0], params)
    np.testing.assert_allclose(compiled(longer)(x), found, atol=1e-6)


def test_initial_values_and_names():
    head = nnx.eval_shape(create)
    names = head.last.kernel.get_metadata()["out_sharding"]
    assert names == ("embed", "prototypes")
    assert RULES[names[1]] == "tensor"
    wide = jax.jit(
        lambda key: ProjectionHead(4, 50, hidden=4, bottleneck=64, rngs=nnx.Rngs(key)).last.kernel[
            ...
        ]
    )(jax.random.key(0))
    assert np.abs(wide).max() <= 1 / 8
    assert np.std(wide) * np.sqrt(3) * 8 > 0.9
