import numpy as np
import pytest
from scipy.optimize import minimize

from cmrjax.core.errors import UserError
from cmrjax.evals import linear_probe as probe
from cmrjax.evals import metrics

HOW = metrics.Resampling(split="test", step=1, n_bootstrap=100)
N, D = 240, 12


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) * 5 + 3
    x[:, -1] = 7.0  # a dead feature
    clean = probe.standardise(x, np.ones(N, bool))
    noise = rng.normal(size=(4, N))
    labels = {
        "easy": (clean[:, 0] + 0.1 * noise[0] > 0.5).astype(float),
        "noise": (noise[1] > 0.5).astype(float),
        "lvef": 55 + 8 * clean[:, 1] + noise[2],
        "group": np.digitize(clean[:, 2], [-0.6, 0.6]).astype(float),
    }
    labels["easy"][:10] = np.nan
    split = np.repeat(probe.SPLITS, [140, 40, 60])
    ids = np.array([f"{i:04x}" for i in range(N)])
    return probe.ProbeData(x, split, labels, ids, ids)


TASKS = {
    "easy": {"kind": "binary"},
    "noise": {"kind": "binary"},
    "lvef": {"kind": "regression"},
    "group": {"kind": "multiclass", "classes": ["A", "B", "C"]},
}


def change(data, **fields):
    return probe.ProbeData(**(vars(data) | fields))


def test_standardise_uses_training_rows_alone_and_kills_constants():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 6.0]])
    out = probe.standardise(x, np.array([True, True, False]))
    np.testing.assert_allclose(out, [[-1, 0], [1, 0], [98, 0]])


def test_logistic_equals_scipy(data):
    x = probe.standardise(data.features, data.split == "train").astype(np.float32)
    y, l2 = (data.labels["noise"] == 1).astype(np.float32), np.array([0.01, 1.0], np.float32)
    weight = (np.ones(N) / N).astype(np.float32)
    ours = np.asarray(probe.fit_logistic(x, y[None], weight[None], l2[None]))[0]

    for found, penalty in zip(ours, l2, strict=True):

        def loss(theta, penalty=penalty):
            z = x @ theta[:-1] + theta[-1]
            fit = np.mean(np.logaddexp(0, z) - y * z)
            return fit + 0.5 * penalty * np.sum(theta[:-1] ** 2)

        best = minimize(loss, np.zeros(D + 1), method="L-BFGS-B", options={"gtol": 1e-7})
        np.testing.assert_allclose(found, best.x, atol=5e-3)


def test_ridge_equals_the_normal_equations():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)) + 2, rng.normal(size=30)
    for l2, theta in zip((0.1, 3.0), probe.fit_ridge(x, y, (0.1, 3.0)), strict=True):
        centred, shifted = x - x.mean(0), y - y.mean()
        expected = np.linalg.solve(centred.T @ centred + 30 * l2 * np.eye(4), centred.T @ shifted)
        np.testing.assert_allclose(theta[:-1], expected, atol=1e-10)
        np.testing.assert_allclose(theta[-1], y.mean() - x.mean(0) @ expected)


def test_softmax_with_two_classes_equals_logistic(data):
    x = probe.standardise(data.features, data.split == "train").astype(np.float32)
    y = (data.labels["noise"] == 1).astype(np.float32)
    weight = (np.ones(N) / N).astype(np.float32)
    two = np.asarray(probe.fit_softmax(x, np.stack([1 - y, y], 1), weight, np.float32([0.2])))[0]
    # The penalty is shared by two opposite vectors, so twice of it equals the logistic one.
    one = np.asarray(probe.fit_logistic(x, y[None], weight[None], np.float32([[0.1]])))[0, 0]
    np.testing.assert_allclose(two[1] - two[0], one, atol=5e-3)


def test_the_probe_reads_what_is_there_and_not_what_is_not(data):
    found = {p.task: p for p in probe.probe(data, TASKS, encoder="c", evaluator="linear_probe")}
    rows = {(r.task, r.metric): r.value for p in found.values() for r in metrics.task_rows(p, HOW)}
    assert rows["easy", "auroc"] > 0.97
    assert 0.3 < rows["noise", "auroc"] < 0.7
    assert rows["lvef", "mae"] < 1.3
    assert rows["group", "accuracy"] > 0.8
    assert set(found) == {*TASKS, "group:A", "group:B", "group:C"}
    assert len(found["easy"].target) == 60
    total = sum(found[f"group:{k}"].prediction for k in "ABC")
    np.testing.assert_allclose(total, 1, atol=1e-9)


def test_test_labels_change_no_prediction(data):
    """Whatever the labels of the test patients are, the model is the same."""
    rng = np.random.default_rng(5)
    test = data.split == "test"
    labels = {t: np.where(test, rng.permutation(y), y) for t, y in data.labels.items()}
    labels["easy"] = np.where(test, rng.integers(0, 2, N), data.labels["easy"])
    before = probe.probe(data, TASKS, encoder="c", evaluator="e")
    after = probe.probe(change(data, labels=labels), TASKS, encoder="c", evaluator="e")
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.prediction, b.prediction)


def test_the_penalty_is_chosen_on_validation_patients():
    """Many useless features: the strongest fit to training is not the one that is taken."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 60))
    y = (x[:, 0] + 1.0 * rng.normal(size=150) > 0).astype(float)
    split = np.repeat(probe.SPLITS, [60, 60, 30])
    ids = np.arange(150).astype(str)
    p = probe.probe_binary(probe.ProbeData(x, split, {"t": y}, ids, ids), ["t"])["t"]
    assert 0.005 < p.min() < p.max() < 0.995  # a nearly unpenalised fit saturates


def test_tasks_without_labels_in_a_split_do_not_crash(data):
    nowhere = np.full(N, np.nan)
    no_val = np.where(data.split == "val", np.nan, data.labels["noise"])
    no_train = np.where(data.split == "train", np.nan, data.labels["lvef"])
    labels = {"a": nowhere, "b": no_val, "c": np.zeros(N), "d": no_train, "e": nowhere}
    tasks = {t: {"kind": "binary"} for t in "abc"} | {t: {"kind": "regression"} for t in "de"}
    tasks["e"] = {"kind": "multiclass", "classes": ["x", "y"]}
    result = probe.evaluate(
        {"checkpoint": change(data, labels=labels)}, tasks, HOW, evaluator="linear_probe"
    )
    undefined = {r.task for r in result.rows if r.value is None and r.metric == "auroc"}
    assert {"a", "c"} <= undefined


def test_trivial_is_exactly_chance(data):
    result = probe.evaluate({"checkpoint": data}, TASKS, HOW, evaluator="linear_probe")
    rows = {(r.task, r.metric): r for r in result.rows if r.encoder == "trivial"}
    assert rows["easy", "auroc"].value == rows["macro", "auroc"].value == 0.5
    assert rows["group", "auroc"].value == 0.5
    train, test = data.split == "train", data.split == "test"
    mean = data.labels["lvef"][train].mean()
    expected = np.abs(data.labels["lvef"][test] - mean).mean()
    assert rows["lvef", "mae"].value == pytest.approx(expected)
    assert set(result.figures) == {"roc.png", "predicted_vs_true.png"}
    assert all(f.startswith(b"\x89PNG") for f in result.figures.values())


def test_no_task_is_a_user_error(data):
    with pytest.raises(UserError, match="no labels"):
        probe.evaluate({"checkpoint": data}, {}, HOW, evaluator="linear_probe")


def test_more_features_than_patients_are_the_same_model_in_fewer_dimensions():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20, 50)).astype(np.float32)
    fit = np.arange(20) < 14
    y = (x[:, 0] + rng.standard_normal(20) > 0).astype(np.float32)[None]
    weight, l2 = probe._weights(fit[None], np.ones((1, 20), bool)), np.array([[0.1]], np.float32)
    small = probe.in_span(x, fit).astype(np.float32)
    assert small.shape == (20, 14)
    scores = [
        np.c_[features, np.ones(20)] @ np.asarray(probe.fit_logistic(features, y, weight, l2))[0, 0]
        for features in (x, small)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3)  # patients not fitted, too
