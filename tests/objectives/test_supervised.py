"""The supervised loss by hand: unknown labels count nowhere."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.supervised import Supervised, SupervisedConfig
from tests.models.networks import filled

NAN = float("nan")
OBJECTIVE = Supervised(
    model=VideoViTConfig(tubelet=(1, 4, 4), clip=(1, 4, 4), remat="none"),
    config=SupervisedConfig(binary=("a", "b"), regression=("lvef",), mean=(50.0,), std=(10.0,)),
    augment=AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0),
)
BIAS = jnp.array([math.log(3), 0.0, 0.5])  # odds 3, odds 1, half a standard deviation


@pytest.fixture(scope="module")
def loss_of():
    params = nnx.to_pure_dict(nnx.state(filled(OBJECTIVE.abstract), nnx.Param))
    # Without a kernel the head's bias alone is every study's output.
    params["head"] = {"kernel": jnp.zeros_like(params["head"]["kernel"]), "bias": BIAS}
    clips = np.random.default_rng(0).integers(0, 256, (2, 2, 1, 4, 4)).astype(np.uint8)
    mask = np.array([[True, True], [True, False]])

    def loss(params, labels):
        batch = {"clips": clips, "clip_mask": mask, "labels": labels}
        return OBJECTIVE.loss(params, {}, batch, jax.random.key(0), 0)[0]

    function = jax.jit(jax.value_and_grad(loss))
    return lambda labels: function(params, np.array(labels, np.float32))


def test_each_known_label_counts_once(loss_of):
    value, _ = loss_of([[1, 0, 50], [0, 1, 65]])
    cross_entropy = math.log(4 / 3) + math.log(4) + 2 * math.log(2)
    squared = 0.5**2 + (0.5 - 1.5) ** 2
    assert float(value) == pytest.approx((cross_entropy + squared) / 6, rel=1e-5)


def test_an_unknown_label_counts_nowhere_and_keeps_gradients_finite(loss_of):
    value, gradient = loss_of([[1, NAN, NAN], [NAN, 1, 65]])
    expected = (math.log(4 / 3) + math.log(2) + 1.0) / 3
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    # d/d bias: (p - y) / 3 of the one study that has the label.
    np.testing.assert_allclose(gradient["head"]["bias"], [-0.25 / 3, -0.5 / 3, -2 / 3], rtol=1e-4)


def test_a_batch_without_labels_has_loss_0(loss_of):
    value, gradient = loss_of([[NAN] * 3] * 2)
    assert float(value) == 0
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(gradient))


def test_the_pooling_over_cines_is_the_configs():
    config = dataclasses.replace(OBJECTIVE.config, pool="gated")
    abstract = dataclasses.replace(OBJECTIVE, config=config).abstract()
    assert set(nnx.to_pure_dict(nnx.state(abstract, nnx.Param))) == {"video", "pool", "head"}
    with pytest.raises(UserError, match="pool = 'median'"):
        dataclasses.replace(OBJECTIVE, config=dataclasses.replace(config, pool="median")).abstract()
