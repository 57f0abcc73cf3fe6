"""The contrastive losses against hand-computed cases and a float64 reference."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.contrastive import (
    Contrastive,
    ContrastiveConfig,
    positive_pairs,
    sigmoid_loss,
    softmax_loss,
)
from tests.models.networks import filled

# One program a loss and shape, shared by the tests.
SOFTMAX = jax.jit(jax.value_and_grad(softmax_loss))
SIGMOID = jax.jit(jax.value_and_grad(sigmoid_loss))
EYE = np.eye(3, dtype=bool)
ALL = np.ones(3, bool)
LOGITS = np.log(np.array([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]]))


def test_softmax_by_hand():
    # Rows: -ln 4/6, 2/4, 1/4; columns: -ln 4/7, 2/4, 1/3.
    rows = math.log(6 / 4) + math.log(2) + math.log(4)
    columns = math.log(7 / 4) + math.log(2) + math.log(3)
    assert float(SOFTMAX(LOGITS, EYE, ALL)[0]) == pytest.approx((rows + columns) / 6, rel=1e-6)


def test_softmax_with_two_positives_by_hand():
    positives = EYE.copy()
    positives[2, 0] = True  # the first sentence is true of the third study too
    # Its row: half of -ln 2/4 and half of -ln 1/4; its column: half of -ln 4/7 and of -ln 2/7.
    rows = math.log(6 / 4) + math.log(2) + (math.log(2) + math.log(4)) / 2
    columns = (math.log(7 / 4) + math.log(7 / 2)) / 2 + math.log(2) + math.log(3)
    found = float(SOFTMAX(LOGITS, positives, ALL)[0])
    assert found == pytest.approx((rows + columns) / 6, rel=1e-6)


def test_softmax_with_a_padded_sentence_by_hand():
    # The last sentence is padding: the third study has no text and counts in no row's mean.
    valid = np.array([True, True, False])
    positives = EYE & valid
    rows = (math.log(5 / 4) + math.log(3 / 2)) / 2
    columns = (math.log(7 / 4) + math.log(2)) / 2
    assert float(SOFTMAX(LOGITS, positives, valid)[0]) == pytest.approx((rows + columns) / 2)


def test_sigmoid_by_hand():
    # softplus(-x) of a positive with odds o is ln(1 + 1/o), of a negative ln(1 + o).
    positive = math.log(1 + 1 / 4) + math.log(1 + 1 / 2) + math.log(1 + 1)
    negative = 5 * math.log(2) + math.log(3)
    expected = (positive + negative) / 3
    assert float(SIGMOID(LOGITS, EYE, ALL)[0]) == pytest.approx(expected, rel=1e-6)
    # Without the second sentence: its positive and two negatives of odds 1 go.
    valid = np.array([True, False, True])
    expected -= (math.log(1 + 1 / 2) + 2 * math.log(2)) / 3
    assert float(SIGMOID(LOGITS, EYE, valid)[0]) == pytest.approx(expected, rel=1e-6)


def reference_softmax(logits, positives, valid):
    """Loops in float64: each study against the sentences, each sentence against the studies."""
    rows, columns = [], []
    for i in range(len(logits)):
        kept = [j for j in range(len(valid)) if valid[j]]
        total = sum(math.exp(logits[i, j]) for j in kept)
        own = [j for j in kept if positives[i, j]]
        if own:
            rows.append(-sum(logits[i, j] - math.log(total) for j in own) / len(own))
    for j in np.flatnonzero(valid):
        total = sum(math.exp(x) for x in logits[:, j])
        own = [i for i in range(len(logits)) if positives[i, j]]
        columns.append(-sum(logits[i, j] - math.log(total) for i in own) / len(own))
    return (np.mean(rows) + np.mean(columns)) / 2


def reference_sigmoid(logits, positives, valid):
    total = 0.0
    for i, j in np.ndindex(logits.shape):
        if valid[j]:
            p = 1 / (1 + math.exp(-logits[i, j]))
            total -= math.log(p if positives[i, j] else 1 - p)
    return total / len(logits)


def uneven_batch(seed=0, b=6, s=3):
    """Statements shared between reports, reports of 0 to 3 sentences."""
    rng = np.random.default_rng(seed)
    statements = np.zeros((b, 5), np.uint32)
    statement = np.zeros((b, s), np.uint32)
    for i in range(b):
        keys = rng.permutation(np.arange(1, 8))[: rng.integers(0, 5) if i else 0]
        statements[i, : len(keys)] = keys
        statement[i, : min(s, len(keys))] = keys[:s]
    logits = rng.normal(0, 3, (b, b * s))
    return logits, statement, statements


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_losses_equal_a_float64_reference(seed):
    logits, statement, statements = uneven_batch(seed)
    positives = np.asarray(positive_pairs(statement, statements, shared=True))
    valid = statement.reshape(-1) != 0
    assert (positives.sum(0) > 1).any()
    assert not valid.all()
    assert not positives.any(1).all()
    args = jnp.asarray(logits, jnp.float32), positives, valid
    expected = reference_softmax(logits, positives, valid)
    assert float(SOFTMAX(*args)[0]) == pytest.approx(expected, rel=1e-5)
    expected = reference_sigmoid(logits, positives, valid)
    assert float(SIGMOID(*args)[0]) == pytest.approx(expected, rel=1e-5)


def test_what_stands_in_a_padded_column_does_not_matter():
    logits, statement, statements = uneven_batch()
    positives = np.asarray(positive_pairs(statement, statements, shared=True))
    valid = statement.reshape(-1) != 0
    for loss in (SOFTMAX, SIGMOID):
        value, gradient = loss(jnp.asarray(logits), positives, valid)
        changed, _ = loss(jnp.asarray(np.where(valid, logits, 50.0)), positives, valid)
        assert float(value) == pytest.approx(float(changed), rel=1e-6)
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(np.asarray(gradient)[:, ~valid], 0)


def test_a_batch_without_any_report_has_loss_0_and_no_gradient():
    nothing = np.zeros((3, 3), bool)
    for loss in (SOFTMAX, SIGMOID):
        value, gradient = loss(LOGITS, nothing, nothing[0])
        assert float(value) == 0
        np.testing.assert_array_equal(gradient, 0)


def test_which_sentence_is_true_of_which_study():
    statement = np.array([[7, 5], [5, 0], [0, 0]], np.uint32)
    statements = np.array([[7, 5, 3], [5, 7, 0], [3, 0, 0]], np.uint32)
    shared = positive_pairs(statement, statements, shared=True)
    np.testing.assert_array_equal(
        shared,
        [
            # 7     5      5      pad    pad    pad
            [True, True, True, False, False, False],
            [True, True, True, False, False, False],
            [False, False, False, False, False, False],
        ],
    )
    own = positive_pairs(statement, statements, shared=False)
    np.testing.assert_array_equal(
        own,
        [
            [True, True, False, False, False, False],
            [False, False, True, False, False, False],
            [False, False, False, False, False, False],
        ],
    )


@pytest.mark.parametrize("key", ["loss", "positives"])
def test_an_unknown_choice_is_named(key):
    with pytest.raises(UserError, match=f"config.objective: {key} = 'magic'; use "):
        ContrastiveConfig(**{key: "magic"})


OFF = AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0)
OBJECTIVE = Contrastive(
    model=TwoTowerConfig(
        video=VideoViTConfig(tubelet=(1, 4, 4), clip=(1, 4, 4), remat="none"),
        text=TextEncoderConfig(vocabulary=9, max_tokens=3, width=4, depth=1, heads=1),
        joint=4,
    ),
    config=ContrastiveConfig(),
    augment=OFF,
)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "clips": rng.integers(0, 256, (2, 2, 1, 4, 4)).astype(np.uint8),
        "clip_mask": np.array([[True, True], [True, False]]),
        "tokens": np.array([[[2, 5, 0], [2, 6, 7]], [[2, 6, 7], [0, 0, 0]]], np.int32),
        "statement": np.array([[11, 22], [22, 0]], np.uint32),
        "statements": np.array([[11, 22, 0], [22, 33, 0]], np.uint32),
    }


@pytest.fixture(scope="module")
def run():
    params = nnx.to_pure_dict(nnx.state(filled(OBJECTIVE.abstract), nnx.Param))
    params |= {"logit_scale": jnp.log(1 / 0.07), "logit_bias": jnp.float32(-10.0)}

    @functools.partial(jax.jit, static_argnums=0)
    def function(objective, params, batch):
        return objective.loss(params, {}, batch, jax.random.key(1), 0)

    def loss(objective, batch, **changed):
        value, aux = function(objective, params | changed, batch)
        return float(value), {name: float(metric) for name, metric in aux.metrics.items()}

    return loss


def test_the_loss_of_a_batch(run, batch):
    loss, metrics = run(OBJECTIVE, batch)
    assert 0 < loss < 40
    assert metrics["logit_scale"] == pytest.approx(1 / 0.07, rel=1e-5)
    # Sentences 11 (one study), 22 and 22 (both studies): 5 pairs over 3 sentences.
    assert metrics["positives_per_sentence"] == pytest.approx(5 / 3)
    changed = batch | {"clips": batch["clips"].copy()}
    changed["clips"][1, 1] = 0  # behind the mask
    assert run(OBJECTIVE, changed)[0] == pytest.approx(loss, rel=1e-5)
    changed["clips"][1, 0] = 0
    assert run(OBJECTIVE, changed)[0] != pytest.approx(loss, rel=1e-3)


def test_the_scale_is_held_at_100_and_softmax_has_no_bias(run, batch):
    loss, _ = run(OBJECTIVE, batch)
    assert run(OBJECTIVE, batch, logit_bias=jnp.float32(3.0))[0] == pytest.approx(loss, rel=1e-6)
    _, metrics = run(OBJECTIVE, batch, logit_scale=jnp.float32(9.0))
    assert metrics["logit_scale"] == pytest.approx(100, rel=1e-4)


def test_sigmoid_has_a_bias_and_positives_may_be_a_studys_own_alone(run, batch):
    config = ContrastiveConfig(loss="sigmoid", positives="study")
    objective = dataclasses.replace(OBJECTIVE, config=config)
    for bias in (-10.0, 0.0):
        # At scale 0 all logits are the bias: 3 positives and 3 negatives in 2 studies.
        changed = {"logit_bias": jnp.float32(bias), "logit_scale": jnp.float32(-30.0)}
        found, metrics = run(objective, batch, **changed)
        expected = 3 * (math.log1p(math.exp(-bias)) + math.log1p(math.exp(bias))) / 2
        assert found == pytest.approx(expected, rel=1e-4)
        assert metrics["positives_per_sentence"] == pytest.approx(1)
