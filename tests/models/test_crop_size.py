"""One tower on clips of two sizes: only the positions change, and gradients come back to them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.models.crop_size import at_clip, resample_tower
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.parameters import parameter_shapes
from cmrjax.models.pretrained.resample import resample_positions
from cmrjax.models.video_vit import VideoViTConfig

LARGE = VideoViTConfig(size=(8, 1, 2), tubelet=(2, 4, 4), clip=(8, 24, 16), cls_token=True)


def drawn(config):
    """Parameters by path, at the top level where tables of positions are."""
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }


@pytest.mark.parametrize("clip", [(8, 8, 8), (4, 32, 16)])
@pytest.mark.parametrize("positions", ["separable", "learned"])
def test_positions_are_interpolated_and_the_rest_is_what_it_was(clip, positions):
    config = dataclasses.replace(LARGE, positions=positions)
    small = at_clip(config, clip)
    params = drawn(config)
    found = resample_tower(params, config, small)
    assert {name: leaf.shape for name, leaf in found.items()} == parameter_shapes(small)
    (t, h, w), (t2, h2, w2) = config.grid, small.grid
    grids = {
        "time": ((t, 1, 1), (t2, 1, 1)),
        "space": ((1, h, w), (1, h2, w2)),
        "position": (config.grid, small.grid),
    }
    for name, leaf in found.items():
        if name in grids:
            expected = resample_positions(params[name], *grids[name])
            np.testing.assert_allclose(leaf, expected, atol=1e-5)
        else:
            assert leaf is params[name]


def test_gradients_reach_the_table_through_the_interpolation():
    params, small = drawn(LARGE), at_clip(LARGE, (8, 8, 8))
    gradient = jax.jit(
        jax.grad(lambda space: jnp.sum(resample_tower({"space": space}, LARGE, small)["space"]))
    )(params["space"])
    # Weights of an interpolation sum to 1: each of the 4 new places hands on 1.
    np.testing.assert_allclose(gradient.sum(0), np.full(8, 4.0), rtol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="does not divide"):
        at_clip(LARGE, (8, 10, 10))
    with pytest.raises(UserError, match="family 'vit'"):
        at_clip(MViTConfig(), (16, 96, 96))
