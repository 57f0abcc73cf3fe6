"""The contrastive losses, in every form, against hand-computed cases and a float64 reference."""

import functools
import math

import jax
import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh
from cmrjax.objectives.pairs.loss import FORMS, KINDS, pair_loss
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig

STUDY = RelationConfig()
# Nothing here is large: compiling costs more than running.
COMPILER = {"xla_backend_optimization_level": 0}


@functools.cache
def losses(kind, relation, form, chunk=0, mesh=None):
    """The loss with its gradients by embeddings, scale and bias; compiled once for all tests."""

    def loss(z_video, z_text, scale, bias, pairs):
        return pair_loss(
            z_video,
            z_text,
            scale,
            bias,
            pairs,
            kind=kind,
            relation=relation,
            form=form,
            chunk=chunk,
            mesh=mesh,
        )

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3)), compiler_options=COMPILER)


# Odds of the pairs; with unit vectors as texts and scale 1 the logits are their logarithms.
ODDS = np.array([[4, 1, 1], [1, 2, 1], [2, 1, 1]], np.float32)
EYE = np.eye(3, dtype=np.float32)


@pytest.fixture(scope="module", params=FORMS)
def by_hand(request):
    """The loss of the odds, on three devices in a ring or in chunks of two videos and one."""
    mesh = make_mesh({"data": 3}, devices=jax.devices()[:3]) if request.param == "ring" else None
    chunk = 2 if request.param == "chunked" else 0
    functions = {kind: losses(kind, STUDY, request.param, chunk, mesh) for kind in KINDS}

    def loss(kind, bias, studies_of_videos, valid=(True, True, True)):
        rows = {"study": np.array(studies_of_videos), "valid": np.array(valid)}
        pairs = Pairs(rows, {"study": np.arange(3)})
        return float(functions[kind](np.log(ODDS), EYE, 1.0, bias, pairs)[0])

    return loss


def test_softmax_by_hand(by_hand):
    # Videos: ln 6/4 + ln 4/2 + ln 4/1 = .405465 + .693147 + 1.386294 = 2.484907
    # Texts:  ln 7/4 + ln 4/2 + ln 3/1 = .559616 + .693147 + 1.098612 = 2.351375
    # (2.484907 / 3 + 2.351375 / 3) / 2 = .806047
    assert by_hand("softmax", 0.0, [0, 1, 2]) == pytest.approx(0.806047, abs=2e-6)
    # A bias changes no softmax.
    assert by_hand("softmax", -3.0, [0, 1, 2]) == pytest.approx(0.806047, abs=2e-6)


def test_softmax_with_two_clips_of_a_study_by_hand(by_hand):
    # The third video shows the first study, so the third text has no video.
    # Videos: ln 6/4 + ln 4/2 + ln 4/2 = 1.791759, of 3: .597253
    # Texts:  (ln 7/4 + ln 7/2) / 2 = .906189 and ln 4/2 = .693147, of 2: .799668
    # (.597253 + .799668) / 2 = .698461
    assert by_hand("softmax", 0.0, [0, 1, 0]) == pytest.approx(0.698461, abs=2e-6)


def test_sigmoid_by_hand(by_hand):
    # A positive of odds o costs ln(1 + 1/o), a negative ln(1 + o).
    # Positives: ln 5/4 + ln 3/2 + ln 2 = 1.321756; negatives: 5 ln 2 + ln 3 = 4.564348
    # 5.886104 / 3 = 1.962035
    assert by_hand("sigmoid", 0.0, [0, 1, 2]) == pytest.approx(1.962035, abs=4e-6)
    # A bias of -ln 2 halves the odds: ln 3/2 + ln 2 + ln 3 = 2.197225 and
    # 5 ln 3/2 + ln 2 = 2.720473; 4.917698 / 3 = 1.639233
    assert by_hand("sigmoid", -math.log(2), [0, 1, 2]) == pytest.approx(1.639233, abs=4e-6)


def test_videos_that_do_not_count_by_hand(by_hand):
    # Without the third video and so without a positive of the third text:
    # Videos: (ln 6/4 + ln 4/2) / 2 = .549306; texts: (ln 5/4 + ln 3/2) / 2 = .314305
    valid = [True, True, False]
    assert by_hand("softmax", 0.0, [0, 1, 2], valid) == pytest.approx(0.431806, abs=2e-6)
    # ln 5/4 + ln 3/2 and 4 ln 2 = 3.401198, of two videos
    assert by_hand("sigmoid", 0.0, [0, 1, 2], valid) == pytest.approx(1.700599, abs=4e-6)


def batch(seed=0, studies=8, d=4):
    """Two videos a study; reports of 0 to 3 sentences, shared between studies; a blank video."""
    rng = np.random.default_rng(seed)
    statements = np.zeros((studies, 4), np.uint32)
    statement = np.zeros((studies, 3), np.uint32)
    for i in range(studies):
        keys = rng.permutation(np.arange(1, 10))[: i % 4]
        statements[i, : len(keys)] = statement[i, : len(keys)] = keys
    features = rng.integers(-1, 2, (studies, 3)).astype(np.float32)
    features[0] = 0
    valid = np.ones(2 * studies, bool)
    valid[5] = False
    rows = {
        "study": np.arange(2 * studies) % studies,
        "statements": np.tile(statements, (2, 1)),
        "features": np.tile(features, (2, 1)),
        "valid": valid,
    }
    columns = {
        "study": np.repeat(np.arange(studies), 3),
        "statement": statement.reshape(-1),
        "features": np.repeat(features, 3, axis=0),
    }
    z_video, z_text = rng.normal(size=(2 * studies, d)), rng.normal(size=(3 * studies, d))
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z_video, z_text)]
    return *(z.astype(np.float32) for z in unit), Pairs(rows, columns)


def reference_relation(pairs, config):
    """Pair by pair, in words: positive weight and whether the pair counts."""
    rows, columns = pairs.rows, pairs.columns
    weight = np.zeros((len(rows["study"]), len(columns["study"])))
    counted = np.zeros(weight.shape, bool)
    for i, j in np.ndindex(weight.shape):
        if not rows["valid"][i] or columns["statement"][j] == 0:
            continue
        counted[i, j] = True
        x, y = np.float64(rows["features"][i]), np.float64(columns["features"][j])
        cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) if x.any() and y.any() else 0
        alike = cosine > config.threshold
        other = {
            "study": 0,
            "statement": columns["statement"][j] in list(rows["statements"][i]),
            "findings": alike,
            "similarity": cosine if alike else 0,
        }[config.positives]
        if rows["study"][i] == columns["study"][j]:
            weight[i, j] = 1
        elif config.others == "soft":
            weight[i, j] = other
        else:
            counted[i, j] = not other
    return weight, counted


def reference_loss(kind, z_video, z_text, scale, bias, weight, counted, videos):
    """The published formulas in float64, row by row and column by column."""
    logits = scale * z_video @ z_text.T
    if kind == "sigmoid":
        p = 1 / (1 + np.exp(-(logits + bias)))
        return -np.sum((weight * np.log(p) + (1 - weight) * np.log(1 - p))[counted]) / videos
    sides = []
    for side, target, kept in ((logits, weight, counted), (logits.T, weight.T, counted.T)):
        terms = []
        for x, w, k in zip(side, target, kept, strict=True):
            if w.sum() > 0:
                log_p = x - np.log(np.exp(x[k]).sum())
                terms.append(-(w[k] * log_p[k]).sum() / w.sum())
        sides.append(np.mean(terms))
    return np.mean(sides)


def reference_gradients(function, arguments, h=1e-6):
    """Central differences of a float64 function, by every number of every argument."""
    gradients = []
    for n, x in enumerate(arguments):
        gradient = np.zeros(np.shape(x))
        for place in np.ndindex(gradient.shape):
            step = np.zeros(gradient.shape)
            step[place] = h
            up, down = ([*arguments[:n], x + s, *arguments[n + 1 :]] for s in (step, -step))
            gradient[place] = (function(*up) - function(*down)) / (2 * h)
        gradients.append(gradient)
    return gradients


SCALE, BIAS = 15.0, -2.0
CHUNK = 5  # does not divide 16 videos
RELATIONS = {
    "study": STUDY,
    "statement": RelationConfig(positives="statement"),
    "statement, masked": RelationConfig(positives="statement", others="mask"),
    "findings": RelationConfig(positives="findings", threshold=0.7),
    "findings, masked": RelationConfig(positives="findings", others="mask", threshold=0.7),
    "similarity": RelationConfig(positives="similarity", threshold=0.6),
    "similarity, masked": RelationConfig(positives="similarity", others="mask", threshold=0.6),
}


@functools.cache
def expected(kind, name):
    z_video, z_text, pairs = batch()
    weight, counted = reference_relation(pairs, RELATIONS[name])
    videos = pairs.rows["valid"].sum()
    # Rows and columns without a positive, and several positives, are all in the batch.
    assert 0 < (weight.sum(1) == 0).sum() < 8
    assert (weight.sum(0) > 1).any()

    def loss(*arguments):
        return reference_loss(kind, *arguments, weight, counted, videos)

    arguments = [np.float64(z_video), np.float64(z_text), SCALE, BIAS]
    return loss(*arguments), reference_gradients(loss, arguments)


# Every option densely, and either in chunks or around a ring.
MESHES = {
    "statement, masked": {"data": 8},
    "findings": {"data": 4, "fsdp": 2},
    "similarity, masked": {"data": 2, "fsdp": 2, "tensor": 2},
}
CASES = [(name, "dense") for name in RELATIONS]
CASES += [(name, "ring" if name in MESHES else "chunked") for name in RELATIONS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "form"), CASES)
def test_loss_and_gradients_equal_a_float64_reference(kind, name, form):
    z_video, z_text, pairs = batch()
    mesh = make_mesh(MESHES[name]) if form == "ring" else None
    function = losses(kind, RELATIONS[name], form, 1 if mesh else CHUNK, mesh)
    value, gradients = function(z_video, z_text, SCALE, BIAS, pairs)
    loss, wanted = expected(kind, name)
    assert float(value) == pytest.approx(loss, rel=1e-5)
    for found, reference in zip(gradients, wanted, strict=True):
        largest = np.abs(reference).max()
        np.testing.assert_allclose(found, reference, atol=1e-4 * largest + 1e-8, rtol=0)


def test_the_order_of_videos_and_of_texts_does_not_matter():
    z_video, z_text, pairs = batch()
    function = losses("softmax", RELATIONS["statement"], "chunked", CHUNK)
    value, (by_video, by_text, *_) = function(z_video, z_text, SCALE, BIAS, pairs)
    rng = np.random.default_rng(1)
    i, j = rng.permutation(len(z_video)), rng.permutation(len(z_text))
    moved = Pairs(
        {name: x[i] for name, x in pairs.rows.items()},
        {name: x[j] for name, x in pairs.columns.items()},
    )
    again, (by_moved_video, by_moved_text, *_) = function(z_video[i], z_text[j], SCALE, BIAS, moved)
    assert float(again) == pytest.approx(float(value), rel=1e-6)
    np.testing.assert_allclose(by_moved_video, by_video[i], atol=1e-6)
    np.testing.assert_allclose(by_moved_text, by_text[j], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_in_16_bits_are_summed_in_32(kind):
    z_video, z_text, pairs = batch()
    rounded = [jax.numpy.asarray(z, "bfloat16") for z in (z_video, z_text)]
    value, gradients = losses(kind, STUDY, "chunked", CHUNK)(*rounded, SCALE, BIAS, pairs)
    weight, counted = reference_relation(pairs, STUDY)
    videos = pairs.rows["valid"].sum()
    exact = [np.float64(z) for z in rounded]
    loss = reference_loss(kind, *exact, SCALE, BIAS, weight, counted, videos)
    assert float(value) == pytest.approx(loss, rel=1e-5)
    assert value.dtype == np.float32
    assert [g.dtype.name for g in gradients] == ["bfloat16"] * 2 + ["float32"] * 2


@pytest.mark.parametrize("form", ["dense", "chunked"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_any_report_has_no_gradient(kind, form):
    z_video, z_text, pairs = batch()
    blank = Pairs(pairs.rows, pairs.columns | {"statement": np.zeros(len(z_text), np.uint32)})
    value, gradients = losses(kind, STUDY, form, CHUNK)(z_video, z_text, 100.0, 0.0, blank)
    assert float(value) == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_choices_that_do_not_fit_are_named():
    z_video, z_text, pairs = batch()
    call = functools.partial(pair_loss, z_video, z_text, SCALE, BIAS, pairs, relation=STUDY)
    with pytest.raises(UserError, match="loss = 'magic'; use "):
        call(kind="magic")
    with pytest.raises(UserError, match="form = 'magic'; use "):
        call(kind="softmax", form="magic")
    with pytest.raises(UserError, match="'ring' without a mesh"):
        call(kind="softmax", form="ring")
    mesh = make_mesh({"data": 5}, devices=jax.devices()[:5])
    with pytest.raises(UserError, match="16 videos on 5 devices; choose a multiple"):
        call(kind="softmax", form="ring", mesh=mesh)
