"""The contrastive objective: what enters the loss of a batch; the losses are in `test_pairs`."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.contrastive import MAX_LOGIT_SCALE, Contrastive, ContrastiveConfig, held
from tests.models.networks import filled

OFF = AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0)
OBJECTIVE = Contrastive(
    model=TwoTowerConfig(
        video=VideoViTConfig(size=(8, 1, 2), tubelet=(1, 2, 2), clip=(1, 4, 4), remat="none"),
        text=TextEncoderConfig(vocabulary=9, max_tokens=3, width=4, depth=1, heads=1),
        joint=4,
    ),
    config=ContrastiveConfig(),
    augment=OFF,
    steps=10,
)


def objective(*, augment=OFF, study_pool="mean", mesh=None, **config):
    return dataclasses.replace(
        OBJECTIVE,
        model=dataclasses.replace(OBJECTIVE.model, study_pool=study_pool),
        config=ContrastiveConfig(**config),
        augment=augment,
        mesh=mesh,
    )


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "clips": rng.integers(0, 256, (2, 2, 1, 4, 4)).astype(np.uint8),
        "clip_mask": np.array([[True, True], [True, False]]),
        "study": np.array([4, 9], np.int32),
        "tokens": np.array([[[2, 5, 0], [2, 6, 7]], [[2, 6, 7], [0, 0, 0]]], np.int32),
        "statement": np.array([[11, 22], [22, 0]], np.uint32),
        "statements": np.array([[11, 22, 0], [22, 33, 0]], np.uint32),
    }


@functools.cache
def function(made):
    return jax.jit(
        jax.value_and_grad(
            lambda p, batch, step: made.loss(p, {}, batch, jax.random.key(1), step), has_aux=True
        )
    )


def run(made, batch, *, step=0, **changed):
    params = nnx.to_pure_dict(nnx.state(filled(made.abstract), nnx.Param))
    params |= {"logit_scale": jnp.log(1 / 0.07), "logit_bias": jnp.float32(-10.0)}
    (value, aux), grads = function(made)(params | changed, batch, step)
    return float(value), {name: float(metric) for name, metric in aux.metrics.items()}, grads


def test_the_loss_of_a_batch(batch):
    loss, metrics, _ = run(OBJECTIVE, batch)
    assert 0 < loss < 40
    assert metrics["logit_scale"] == pytest.approx(1 / 0.07, rel=1e-5)
    # Sentences 11 (one study), 22 and 22 (both studies): 5 pairs over 3 sentences.
    assert metrics["positives_per_text"] == pytest.approx(5 / 3)
    changed = batch | {"clips": batch["clips"].copy()}
    changed["clips"][1, 1] = 0  # behind the mask
    assert run(OBJECTIVE, changed)[0] == pytest.approx(loss, rel=1e-5)
    changed["clips"][1, 0] = 0
    assert run(OBJECTIVE, changed)[0] != pytest.approx(loss, rel=1e-3)


def test_the_scale_is_held_at_100_and_softmax_has_no_bias(batch):
    loss, _, _ = run(OBJECTIVE, batch)
    assert run(OBJECTIVE, batch, logit_bias=jnp.float32(3.0))[0] == pytest.approx(loss, rel=1e-6)
    _, metrics, _ = run(OBJECTIVE, batch, logit_scale=jnp.float32(9.0))
    assert metrics["logit_scale"] == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize(("log_scale", "lowers", "raises"), [(4.0, 1.0, -1.0), (9.0, 1.0, 0.0)])
def test_a_scale_beyond_its_bound_can_come_back_and_goes_no_further(log_scale, lowers, raises):
    assert float(held(jnp.float32(log_scale))) == pytest.approx(min(log_scale, MAX_LOGIT_SCALE))
    assert float(jax.grad(held)(log_scale)) == lowers  # descent goes against a gradient above 0
    assert float(jax.grad(lambda x: -held(x))(log_scale)) == raises


def test_sigmoid_has_a_bias_and_positives_may_be_a_studys_own_alone(batch):
    made = objective(loss="sigmoid", positives="study")
    for bias in (-10.0, 0.0):
        # At scale 0 all logits are the bias: 3 positives and 3 negatives in 2 studies.
        changed = {"logit_bias": jnp.float32(bias), "logit_scale": jnp.float32(-30.0)}
        found, metrics, _ = run(made, batch, **changed)
        expected = 3 * (math.log1p(math.exp(-bias)) + math.log1p(math.exp(bias))) / 2
        assert found == pytest.approx(expected, rel=1e-4)
        assert metrics["positives_per_text"] == pytest.approx(1)


def test_clips_of_one_study_are_each_positives_and_never_negatives(batch):
    made = objective(loss="sigmoid", positives="study", level="clip")
    changed = {"logit_bias": jnp.float32(2.0), "logit_scale": jnp.float32(-30.0)}
    found, metrics, _ = run(made, batch, **changed)
    # 3 clips against 3 sentences, all logits 2: two clips have two positives, the third has one.
    expected = (5 * math.log1p(math.exp(-2)) + 4 * math.log1p(math.exp(2))) / 3
    assert found == pytest.approx(expected, rel=1e-4)
    assert metrics["positives_per_text"] == pytest.approx(5 / 3)
    # What only pads the batch, a clip and a text, is in no measure of health either.
    padded = batch | {name: batch[name].copy() for name in ("clips", "tokens")}
    padded["clips"][1, 1] = 255
    padded["tokens"][1, 1] = [2, 8, 8]
    _, again, _ = run(made, padded, **changed)
    for name in ("embedding_spread", "effective_rank", "text_effective_rank"):
        assert again[name] == pytest.approx(metrics[name], rel=1e-5), name


def test_equal_findings_or_alike_reports_make_positives(batch):
    labels = np.array([[1, 0, np.nan], [1, 0, 1]], np.float32)  # alike: cosine .816
    words = np.array([[0.6, 0.8], [0.0, 1.0]], np.float32)  # cosine .8
    told = batch | {"labels": labels, "report_vector": words}
    kinds = {
        "findings": {"findings": ("a", "b", "c")},
        "similarity": {},
    }
    for positives, more in kinds.items():
        for threshold, pairs in ((0.7, 6), (0.9, 3)):
            made = objective(positives=positives, threshold=threshold, **more)
            _, metrics, _ = run(made, told)
            assert metrics["positives_per_text"] == pytest.approx(pairs / 3), (positives, threshold)


@pytest.mark.parametrize("study_pool", ["mean", "gated"])
def test_parts_of_the_batch_give_the_gradients_of_the_whole(batch, study_pool):
    strong = AugmentConfig(shift=0.1, zoom=0.1, gain=0.2, brightness=0.1, noise=0.1)
    options = {"augment": strong, "study_pool": study_pool, "token_drop": 0.5}
    whole = run(objective(**options), batch)
    parts = run(objective(**options, cache_parts=2), batch)
    assert parts[0] == pytest.approx(whole[0], rel=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), parts[2], whole[2]
    )


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_every_form_is_the_same_loss(batch, loss):
    mesh = make_mesh({"data": 1}, devices=jax.devices()[:1])
    dense = run(objective(loss=loss), batch)
    for form in ("chunked", "ring"):
        found = run(objective(loss=loss, form=form, mesh=mesh if form == "ring" else None), batch)
        assert found[0] == pytest.approx(dense[0], rel=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found[2], dense[2]
        )


def test_tokens_are_dropped_until_the_tail(batch):
    whole, dropped = objective(), objective(token_drop=0.75)
    before = run(whole, batch)[0]
    assert run(dropped, batch, step=8)[0] != pytest.approx(before, rel=1e-3)
    assert run(dropped, batch, step=9)[0] == pytest.approx(before, rel=1e-6)  # the last tenth of 10


def test_flooding_turns_the_gradient_below_its_level(batch):
    loss, _, grads = run(OBJECTIVE, batch)
    high, metrics, flooded = run(objective(flood=loss + 1), batch)
    assert metrics["unflooded_loss"] == pytest.approx(loss, rel=1e-6)
    assert high == pytest.approx(loss + 2, rel=1e-6)  # |loss - flood| + flood
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, -b, rtol=1e-5, atol=1e-7), flooded, grads
    )
    low, _, same = run(objective(flood=loss / 2), batch)
    assert low == pytest.approx(loss, rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), same, grads)


def test_a_gated_studys_vector_is_the_sum_of_its_cines(batch):
    model = filled(objective(study_pool="gated").abstract)
    clips, mask = jnp.asarray(batch["clips"]) / 255.0, batch["clip_mask"]
    study = model.encode_study(clips, mask)
    cines = model.encode_cine(clips.reshape(4, 1, 4, 4)).reshape(2, 2, -1)
    summed = (cines * mask[..., None]).sum(axis=1)
    summed = summed / jnp.linalg.norm(summed, axis=-1, keepdims=True)
    np.testing.assert_allclose(study, summed, atol=1e-5)


@pytest.mark.parametrize("key", ["loss", "positives", "level", "form", "others"])
def test_an_unknown_choice_is_named(key):
    with pytest.raises(UserError, match=f"config.objective: {key} = 'magic'; use "):
        ContrastiveConfig(**{key: "magic"})


def test_choices_that_do_not_go_together_are_refused():
    with pytest.raises(UserError, match="positives 'findings' and findings go together"):
        ContrastiveConfig(positives="findings")
    with pytest.raises(UserError, match="leaves study_pool 'gated' untrained"):
        objective(level="clip", study_pool="gated")
    numbers = {"token_drop": 1.0, "undropped_tail": 1.5, "chunk": -1, "cache_parts": 0, "flood": -1}
    for key, value in numbers.items():
        with pytest.raises(UserError, match=rf"config\.objective: {key} = {value}; give [01]"):
            ContrastiveConfig(**{key: value})
    divided = dataclasses.replace(OBJECTIVE.model.video, attention="divided")
    with pytest.raises(UserError, match="only a ViT with joint attention can drop tokens"):
        dataclasses.replace(
            OBJECTIVE,
            model=dataclasses.replace(OBJECTIVE.model, video=divided),
            config=ContrastiveConfig(token_drop=0.5),
        )
