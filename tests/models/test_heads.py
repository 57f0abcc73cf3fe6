"""Linear heads by target, and studies pooled by their mean or by gated attention."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh, parameter_shardings
from cmrjax.models.build import config_from_json, config_to_json
from cmrjax.models.heads import LinearHead, StudyRegressor, StudyRegressorConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import compiled, filled

VIDEO = VideoViTConfig(size=(16, 1, 2), tubelet=(2, 4, 4), clip=(2, 8, 8), remat="none")
GATED = StudyRegressorConfig(video=VIDEO, outputs=2, pool="gated", views=5)
CLIPS = np.random.default_rng(0).random((2, 3, 2, 8, 8), np.float32)
MASK = np.array([[True, True, False], [False, False, False]])
VIEWS = np.array([[0, 3, 4], [0, 0, 0]])


def test_what_each_target_predicts():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((4, 3)), jnp.float32)
    heads = {
        target: filled(lambda t=target: LinearHead(3, 2, rngs=nnx.Rngs(0), target=t))
        for target in ("regression", "multi_label", "multi_class")
    }
    logits = heads["regression"](x)
    np.testing.assert_array_equal(heads["regression"].predict(x), logits)
    labels = heads["multi_label"].predict(x)
    np.testing.assert_allclose(labels, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    classes = heads["multi_class"].predict(x)
    np.testing.assert_allclose(classes.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        classes[:, 0], jax.nn.sigmoid(logits[:, 0] - logits[:, 1]), rtol=1e-5
    )
    with pytest.raises(UserError, match="target = 'rank'"):
        LinearHead(3, 2, rngs=nnx.Rngs(0), target="rank")


def test_gated_weights_can_be_looked_at_and_padding_has_none():
    model = filled(lambda: StudyRegressor(GATED, rngs=nnx.Rngs(0)))
    weights = compiled(model, "weights")(CLIPS, MASK, VIEWS)
    np.testing.assert_allclose(weights.sum(-1), [1, 0], atol=1e-6)
    assert weights[0, 2] == 0
    run = compiled(model)
    before = run(CLIPS, MASK, VIEWS)
    changed = CLIPS.copy()
    changed[0, 2] = 1
    np.testing.assert_allclose(run(changed, MASK, VIEWS), before, atol=1e-6)
    # A study without cines is the head's bias alone.
    np.testing.assert_allclose(before[1], model.head.bias[...], atol=1e-6)


def test_the_mean_weighs_alike_and_keeps_its_parameters():
    config = dataclasses.replace(GATED, pool="mean", views=0)
    model = filled(lambda: StudyRegressor(config, rngs=nnx.Rngs(0)))
    np.testing.assert_allclose(model.weights(CLIPS, MASK), [[0.5, 0.5, 0], [0, 0, 0]])
    assert set(nnx.to_pure_dict(nnx.state(model, nnx.Param))) == {"video", "head"}


def test_every_parameter_has_axis_names_that_the_mesh_takes():
    model = nnx.eval_shape(lambda: StudyRegressor(GATED, rngs=nnx.Rngs(0)))
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    shardings = parameter_shardings(model, mesh)
    assert shardings["pool"]["first"]["kernel"].spec == jax.sharding.PartitionSpec("fsdp", "tensor")


def test_the_config_survives_json_and_refuses_what_it_cannot_be():
    section = config_to_json(GATED)
    assert config_from_json("study_regressor", section, where="config.json") == GATED
    with pytest.raises(UserError, match="pool = 'max'"):
        StudyRegressorConfig(video=VIDEO, outputs=1, pool="max")
    with pytest.raises(UserError, match="views without"):
        StudyRegressorConfig(video=VIDEO, outputs=1, views=5)
