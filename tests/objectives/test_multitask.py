"""Joint training on masks and diagnoses: by hand, what is unknown, and that it learns."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh, parameter_shardings
from cmrjax.models.build import abstract_model
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.multitask import (
    Multitask,
    MultitaskConfig,
    diagnosis_loss,
    learned_weighting,
)
from tests.models.networks import filled

NAN = float("nan")
KEY = jax.random.key(0)
OFF = AugmentConfig(shift=0, zoom=0, gain=0, brightness=0, noise=0)
TOWER = VideoViTConfig(size=(32, 1, 2), tubelet=(2, 2, 2), clip=(2, 8, 8), remat="none")
OBJECTIVE = Multitask(
    model=TOWER,
    config=MultitaskConfig(classes=3, diagnoses=2, channels=16, weights="learned"),
    augment=OFF,
)


def parameters(objective):
    return nnx.to_pure_dict(nnx.state(filled(objective.abstract, scale=0.2), nnx.Param))


def toy_batch(seed=0, b=8):
    """Bright discs (class 1) or bright squares (class 2) on noise; the diagnosis says which."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((8, 8))
    clips = rng.integers(0, 60, (b, 2, 2, 8, 8)).astype(np.uint8)
    segmentation = np.zeros_like(clips)
    square = np.arange(b) % 2
    for i, j in np.ndindex(b, 2):
        y, x = rng.uniform(2.5, 4.5, 2)
        far = np.hypot(rows - y, columns - x)
        inside = np.maximum(abs(rows - y), abs(columns - x)) < 2.2 if square[i] else far < 2.2
        clips[i, j, :, inside] = 150 + 80 * square[i]
        segmentation[i, j, :, inside] = 1 + square[i]
    return {
        "clips": clips,
        "clip_mask": np.ones((b, 2), bool),
        "segmentation": segmentation,
        "labels": square.astype(np.float32)[:, None],
    }


OPTIMIZER = optax.adam(1e-2)


@jax.jit
def train_step(params, moments, batch):
    loss = lambda params: OBJECTIVE.loss(params, {}, batch, KEY, 0)  # noqa: E731
    (value, aux), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, moments = OPTIMIZER.update(gradient, moments)
    return optax.apply_updates(params, updates), moments, value, aux.metrics, gradient


@pytest.fixture(scope="module")
def start():
    params = parameters(OBJECTIVE) | {"log_variance": jnp.zeros(2)}
    return params, jax.jit(OPTIMIZER.init)(params)


@pytest.fixture(scope="module")
def run(start):
    def loss(batch, **changed):
        _, _, value, metrics, gradient = train_step(start[0] | changed, start[1], batch)
        return float(value), {name: float(metric) for name, metric in metrics.items()}, gradient

    return loss


def test_diagnosis_by_hand():
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]]))
    loss, known, metrics = diagnosis_loss(logits, jnp.array([0.0, NAN, 2.0]))
    assert float(loss) == pytest.approx(-(math.log(0.7) + math.log(0.1)) / 2, rel=1e-5)
    assert bool(known)
    assert float(metrics["diagnosis_accuracy"]) == 0.5
    loss, known, metrics = diagnosis_loss(logits, jnp.full(3, NAN))
    assert float(loss) == 0
    assert not known
    assert math.isnan(metrics["diagnosis_accuracy"])


def test_learned_weights_by_hand():
    weighted = lambda s: float(learned_weighting(2.0, jnp.float32(s), jnp.bool_(True)))  # noqa: E731
    assert weighted(0.0) == 2
    assert weighted(math.log(2)) == pytest.approx(1 + math.log(2))
    # The best s is ln L.
    slope = jax.grad(learned_weighting, argnums=1)
    assert float(slope(2.0, math.log(2.0), True)) == pytest.approx(0, abs=1e-6)
    assert float(slope(0.0, 1.0, False)) == 0


def test_the_loss_is_the_weighted_sum_of_the_tasks(run):
    logs = jnp.array([0.5, -1.0])
    value, found, gradient = run(toy_batch(), log_variance=logs)
    first, second = found["segmentation_loss"], found["diagnosis_loss"]
    expected = math.exp(-0.5) * first + 0.5 + math.e * second - 1.0
    assert value == pytest.approx(expected, rel=1e-5)
    assert found["segmentation_weight"] == pytest.approx(math.exp(-0.5))
    assert found["diagnosis_weight"] == pytest.approx(math.e)
    slopes = [1 - math.exp(-0.5) * first, 1 - math.e * second]
    np.testing.assert_allclose(gradient["log_variance"], slopes, rtol=1e-4)
    assert {"dice_1", "dice_2", "diagnosis_accuracy"} <= set(found)


def test_fixed_weights():
    rng, batch = np.random.default_rng(0), toy_batch()
    shapes = {"segmentation": (*batch["clips"].shape, 3), "diagnosis": (8, 2)}
    given = {task: rng.standard_normal(shape).astype(np.float32) for task, shape in shapes.items()}

    class Given(Multitask):  # without compiling the tower again
        def predict(self, params, clips, mask):
            return params

    fixed = dataclasses.replace(
        OBJECTIVE.config, weights="fixed", segmentation_weight=0.25, diagnosis_weight=2.0
    )
    objective = Given(model=TOWER, config=fixed, augment=OFF)
    value, aux = jax.jit(objective.loss)(given, {}, batch, KEY, 0)
    expected = 0.25 * aux.metrics["segmentation_loss"] + 2 * aux.metrics["diagnosis_loss"]
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert min(aux.metrics["segmentation_loss"], aux.metrics["diagnosis_loss"]) > 0.1
    params = jax.eval_shape(objective.init, KEY)[0]
    assert set(params) == {"video", "segmentation", "diagnosis"}


def test_what_is_behind_the_mask_changes_nothing(run):
    batch = toy_batch()
    batch["clip_mask"][1:, 1] = False
    value, found, gradient = run(batch)
    changed = {name: array.copy() for name, array in batch.items()}
    changed["clips"][1:, 1] = 255
    changed["segmentation"][1:, 1] = 2
    again, other, same = run(changed)
    assert again == pytest.approx(value, rel=1e-6)
    assert other["dice_2"] == pytest.approx(found["dice_2"], rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient, same)


def test_a_task_without_targets_leaves_the_other_as_it_is(run):
    batch = toy_batch()
    value, found, gradient = run(batch | {"labels": np.full((8, 1), NAN, np.float32)})
    assert value == pytest.approx(found["segmentation_loss"], rel=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert float(gradient["log_variance"][1]) == 0
    undrawn = np.full_like(batch["segmentation"], 255)
    value, found, gradient = run(batch | {"segmentation": undrawn})
    assert value == pytest.approx(found["diagnosis_loss"], rel=1e-5)
    assert float(gradient["log_variance"][0]) == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient["segmentation"]))


@pytest.mark.parametrize(
    ("task", "parts"), [("segmentation", {"segmentation"}), ("diagnosis", {"diagnosis", "pool"})]
)
def test_each_task_alone_has_its_own_head_and_needs_no_targets_of_the_other(task, parts):
    config = MultitaskConfig(tasks=(task,), classes=3, diagnoses=2, channels=16, pool="gated")
    objective = dataclasses.replace(OBJECTIVE, config=config)
    params = jax.eval_shape(objective.init, jax.random.key(0))[0]
    assert set(params) == {"video"} | parts
    batch = toy_batch()
    del batch["labels" if task == "segmentation" else "segmentation"]
    shape, aux = jax.eval_shape(objective.loss, params, {}, batch, KEY, 0)
    assert shape.shape == ()
    assert f"{task}_loss" in aux.metrics
    assert config.labels == (("group",) if task == "diagnosis" else ())


def test_frames_of_cines_as_images():
    still = dataclasses.replace(TOWER, tubelet=(1, 4, 4), clip=(1, 4, 4))
    objective = dataclasses.replace(OBJECTIVE, model=still)
    params, mask = parameters(objective), np.array([[True, True], [True, False]])
    clips = np.random.default_rng(0).random((2, 2, 3, 4, 4)).astype(np.float32)
    predict = jax.jit(objective.predict)
    found = predict(params, clips, mask)
    assert found["segmentation"].shape == (2, 2, 3, 4, 4, 3)
    # The same frames, each given as a cine of its own.
    alone = predict(params, clips.reshape(2, 6, 1, 4, 4), mask.repeat(3, axis=1))
    np.testing.assert_allclose(
        found["segmentation"].reshape(2, 6, 1, 4, 4, 3), alone["segmentation"], atol=1e-4
    )
    np.testing.assert_allclose(found["diagnosis"], alone["diagnosis"], atol=1e-4)


def test_the_encoder_is_the_tower_and_every_parameter_has_a_place_on_a_mesh():
    assert OBJECTIVE.network == TOWER
    params = parameters(OBJECTIVE)
    tower = nnx.to_pure_dict(nnx.state(abstract_model(TOWER), nnx.Param))
    encoder = OBJECTIVE.encoder_params(params, {})
    assert jax.tree.structure(encoder) == jax.tree.structure(tower)
    parameter_shardings(OBJECTIVE.abstract(), make_mesh({"data": 1, "fsdp": 4, "tensor": 2}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": ("depth",)}, "tasks = "),
        ({"tasks": ()}, "tasks = "),
        ({"pool": "max"}, "pool = 'max'"),
        ({"classes": 1}, "classes = 1"),
    ],
)
def test_a_wrong_choice_is_named(changed, message):
    config = dataclasses.replace(OBJECTIVE.config, **changed)
    with pytest.raises(UserError, match=message):
        dataclasses.replace(OBJECTIVE, config=config)


def test_a_wrong_weighting_is_named():
    with pytest.raises(UserError, match="weights = 'equal'"):
        MultitaskConfig(weights="equal")


def test_a_dataset_must_have_what_the_tasks_need():
    tasks = {
        "group": {"kind": "multiclass", "classes": list("abcde")},
        "ef": {"kind": "regression"},
    }
    config = MultitaskConfig()
    config.require_dataset(label_tasks=tasks, masks=True)
    with pytest.raises(UserError, match="no masks"):
        config.require_dataset(label_tasks=tasks, masks=False)
    dataclasses.replace(config, tasks=("diagnosis",)).require_dataset(
        label_tasks=tasks, masks=False
    )
    dataclasses.replace(config, tasks=("segmentation",)).require_dataset(label_tasks={}, masks=True)
    for wrong in ({"diagnoses": 4}, {"label": "lvef"}, {"label": "rhythm"}):
        with pytest.raises(UserError, match=r"no label '\w+' of \d classes"):
            dataclasses.replace(config, **wrong).require_dataset(label_tasks=tasks, masks=True)


def test_both_tasks_are_learned_together(start, run):
    params, moments = start
    batch, history = toy_batch(), []
    for _ in range(40):
        params, moments, *found, _ = train_step(params, moments, batch)
        history.append(found)
    (first, before), (last, _) = history[0], history[-1]
    assert float(last) < 0.3 * float(first)
    # Fresh examples: discs and squares at other places.
    _, unseen, _ = run(toy_batch(seed=9), **params)
    assert min(unseen["dice_1"], unseen["dice_2"]) > 0.85, unseen
    assert unseen["diagnosis_accuracy"] == 1
    assert max(before["dice_1"], before["dice_2"]) < 0.6
