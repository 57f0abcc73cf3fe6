"""DINO on a tiny tower: padding, freezing, the teacher; that it learns, and how it collapses."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig
from cmrjax.objectives.dino import Dino, DinoConfig
from tests.models.networks import filled

STEPS = 40
PROTOTYPES = 16
OBJECTIVE = Dino(
    model=VideoViTConfig(
        size=(32, 1, 2),
        tubelet=(1, 8, 8),
        clip=(1, 16, 16),
        cls_token=True,
        pool="cls",
        remat="none",
    ),
    config=DinoConfig(
        prototypes=PROTOTYPES,
        hidden=32,
        bottleneck=16,
        global_scale=(0.7, 1.0),
        local_crops=1,
        local_scale=(0.3, 0.6),
        local_size=8,
        teacher_temperature=(0.05, 0.06),
        teacher_warmup=0.5,
        momentum=(0.998, 1.0),
        centring="sinkhorn",
        freeze_last_layer=0.05,
    ),
    augment=AugmentConfig(noise=0.0),
    steps=STEPS,
)
MASK = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], bool)


def spots() -> np.ndarray:
    """Frames with a bright spot each, of another place and size: uint8 `[4, 2, 2, 16, 16]`."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    row, column = rng.uniform(3, 13, (2, *MASK.shape, 2, 1, 1))
    size = rng.uniform(3, 30, (*MASK.shape, 2, 1, 1))
    return (255 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / size)).astype(np.uint8)


def start(objective):
    """Parameters drawn by NumPy, biases 0 as at the start of a run, and the rest of the state."""
    params = nnx.to_pure_dict(nnx.state(filled(objective.abstract, scale=0.1), nnx.Param))
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: np.asarray(x) * ("bias" not in jax.tree_util.keystr(path)), params
    )
    centres = {name: np.zeros(PROTOTYPES, np.float32) for name in ("centre", "patch_centre")}
    if not objective.config.ibot_weight:
        del centres["patch_centre"]
    return params, {"teacher": params, **centres}


def compiled(objective):
    """`(params, extra, clips, step)` to the loss, `Aux` and the gradients."""

    def run(params, extra, clips, step):
        batch = {"clips": clips, "clip_mask": MASK}
        key = jax.random.fold_in(jax.random.key(0), step)
        loss_of = lambda p: objective.loss(p, extra, batch, key, step)  # noqa: E731
        return jax.value_and_grad(loss_of, has_aux=True)(params)

    # A tiny network runs at once and compiles for seconds: half of them are LLVM's optimising.
    function = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})
    return lambda params, extra, clips, step: function(params, extra, clips, np.int32(step))


@pytest.fixture(scope="module")
def run():
    return compiled(OBJECTIVE)


def fit(objective, function) -> tuple[list[float], list[dict[str, float]]]:
    """Losses and metrics of a run under Adam, in NumPy."""
    params, extra = start(objective)
    mean = square = jax.tree.map(np.zeros_like, params)
    losses, metrics = [], []
    for step in range(STEPS):
        (loss, aux), gradient = function(params, extra, spots(), step)
        extra, gradient = aux.extra, jax.tree.map(np.asarray, gradient)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, gradient)
        rate = 3e-3 * math.sqrt(1 - 0.99 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        params = jax.tree.map(
            lambda p, m, s, rate=rate: np.float32(p - rate * m / (np.sqrt(s) + 1e-8)),
            params,
            mean,
            square,
        )
        losses.append(float(loss))
        metrics.append({name: float(value) for name, value in aux.metrics.items()})
    return losses, metrics


def test_padding_cines_count_nowhere(run):
    params, extra = start(OBJECTIVE)
    before = run(params, extra, spots(), 3)
    clips = spots()
    clips[~MASK] = 255 - clips[~MASK]
    after = run(params, extra, clips, 3)
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5, rtol=1e-4)
    clips[MASK] = 255 - clips[MASK]
    assert abs(run(params, extra, clips, 3)[0][0] - before[0][0]) > 1e-3


def test_the_prototypes_have_no_gradient_while_they_are_frozen(run):
    params, extra = start(OBJECTIVE)
    for step, frozen in ((0, True), (1, True), (2, False)):
        gradient = run(params, extra, spots(), step)[1]
        assert (np.abs(gradient["head"]["last"]["kernel"]).max() == 0) == frozen
        assert np.abs(gradient["head"]["third"]["kernel"]).max() > 0
        # The positions of both kinds of crops are one table.
        assert np.abs(gradient["video"]["space"]).max() > 0


@pytest.mark.parametrize(
    ("step", "momentum"), [(0, 0.0), (1, 0.998), (21, 0.999), (STEPS + 1, 1.0)]
)
def test_the_teacher_is_a_running_mean_that_starts_as_the_student(run, step, momentum):
    student, extra = start(OBJECTIVE)
    teacher = jax.tree.map(lambda x: x + 1, student)
    (_, aux), _ = run(student, extra | {"teacher": teacher}, spots(), step)
    found = jax.tree.leaves(aux.extra["teacher"])
    leaves = zip(jax.tree.leaves(student), jax.tree.leaves(teacher), found, strict=True)
    for x, before, after in leaves:
        np.testing.assert_allclose(after, momentum * before + (1 - momentum) * x, atol=1e-5)
    assert float(aux.metrics["teacher_temperature"]) == pytest.approx(
        {0: 0.05, 1: 0.0505}.get(step, 0.06)
    )
    tower = OBJECTIVE.encoder_params(student, aux.extra)
    assert tower is aux.extra["teacher"]["video"]


def test_it_learns_what_the_teacher_sees_in_each_image(run):
    losses, metrics = fit(OBJECTIVE, run)
    assert np.mean(losses[-5:]) < 0.98 * math.log(PROTOTYPES) < losses[0]
    assert min(m["teacher_information"] for m in metrics) > 0.05
    assert metrics[-1]["embedding_spread"] > 0.3 * metrics[0]["embedding_spread"]


def test_without_centring_and_sharpening_it_collapses():
    config = dataclasses.replace(
        OBJECTIVE.config,
        centring="none",
        teacher_temperature=(1.0, 1.0),
        momentum=(0.9, 1.0),
        local_crops=0,
    )
    objective = dataclasses.replace(OBJECTIVE, config=config)
    losses, metrics = fit(objective, compiled(objective))
    assert losses[-1] == pytest.approx(math.log(PROTOTYPES), rel=0.01)
    assert metrics[-1]["teacher_information"] < 1e-4
    assert metrics[-1]["embedding_spread"] < 0.3 * metrics[0]["embedding_spread"]


def test_videos_with_hidden_patches_and_spread_vectors():
    config = dataclasses.replace(
        OBJECTIVE.config,
        centring="centre",
        local_crops=0,
        ibot_weight=0.5,
        koleo_weight=0.1,
        freeze_last_layer=0.0,
    )
    model = dataclasses.replace(OBJECTIVE.model, clip=(2, 16, 16))
    objective = dataclasses.replace(OBJECTIVE, config=config, model=model)
    params, extra = start(objective)
    (loss, aux), gradient = compiled(objective)(params, extra, spots(), 5)
    m = {name: float(value) for name, value in aux.metrics.items()}
    terms = m["dino_loss"] + 0.5 * m["ibot_loss"] + 0.1 * m["koleo_loss"]
    assert float(loss) == pytest.approx(terms, rel=1e-5)
    assert m["ibot_loss"] > 0
    assert np.abs(gradient["mask"]).max() > 0
    for name in ("centre", "patch_centre"):
        assert 0 < np.abs(aux.extra[name]).max() <= 0.1, "a tenth of a mean of cosines"
    assert np.abs(aux.extra["centre"] - aux.extra["patch_centre"]).max() > 0


def test_every_pair_of_different_views_counts_once():
    rng = np.random.default_rng(0)
    targets = rng.dirichlet(np.ones(5), (3, 2)).astype(np.float32)
    large, small = (rng.standard_normal((3, v, 5)).astype(np.float32) for v in (2, 4))
    found = jax.jit(OBJECTIVE._over_pairs)(targets, [large, small])
    logits = np.concatenate([large, small], axis=1) / OBJECTIVE.config.student_temperature
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    pairs = [(i, v) for i in range(2) for v in range(6) if i != v]
    expected = np.mean([-(targets[:, i] * log_p[:, v]).sum(-1) for i, v in pairs], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_state_at_the_start():
    config = dataclasses.replace(OBJECTIVE.config, ibot_weight=1.0)
    objective = dataclasses.replace(OBJECTIVE, config=config)
    params, extra = jax.eval_shape(objective.init, jax.random.key(0))
    assert set(params) == {"video", "head", "mask"}
    assert set(extra) == {"teacher", "centre", "patch_centre"}
    assert jax.tree.structure(extra["teacher"]) == jax.tree.structure(params)
    assert extra["centre"].shape == (PROTOTYPES,)
    assert objective.network == OBJECTIVE.model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"local_size": 12}, "local_size = 12"),
        ({"local_size": 24}, "local_size = 24"),
        ({"centring": "center"}, "centring = 'center'"),
        ({"global_scale": (0.4, 1.2)}, "global_scale"),
        ({"global_crops": 1, "local_crops": 0}, "1 global and 0 local"),
        ({"student_temperature": 0.0}, "temperature"),
        ({"teacher_temperature": (0.04,)}, "teacher_temperature"),
        ({"prototypes": 1}, "1 prototypes"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(OBJECTIVE, config=dataclasses.replace(OBJECTIVE.config, **change))


def test_other_towers_have_no_small_crops_and_no_hidden_patches():
    for change in ({"local_crops": 8, "ibot_weight": 0.0}, {"local_crops": 0, "ibot_weight": 1.0}):
        config = dataclasses.replace(OBJECTIVE.config, **change)
        with pytest.raises(UserError, match="family 'vit'"):
            dataclasses.replace(OBJECTIVE, model=MViTConfig(), config=config)
