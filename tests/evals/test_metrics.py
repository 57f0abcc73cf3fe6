import time
from dataclasses import replace

import numpy as np
import pytest

from cmrjax.evals import metrics, stats
from cmrjax.evals.predictions import pool_predictions, to_csv
from tests.evals.test_predictions import predictions

HOW = metrics.Resampling(split="test", step=7, n_bootstrap=300)


def noisy(task, encoder, *, noise, n=120, seed=0, rate=0.3, kind="binary"):
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < rate).astype(float)
    score = target + noise * np.random.default_rng(seed + 1000).normal(size=n)
    return predictions(task, kind, target=target, prediction=score, encoder=encoder)


def find(rows, **wanted):
    return [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]


def test_a_row_of_each_kind_by_hand():
    p = predictions("mi", "probability", target=[1, 1, 0, 0], prediction=[0.8, 0.4, 0.4, 0.1])
    rows = {r.metric: r for r in metrics.task_rows(p, HOW)}
    assert rows["auroc"].value == 0.875
    assert rows["accuracy"].value == rows["balanced_accuracy"].value == 0.75
    assert (rows["auroc"].n, rows["auroc"].n_positive) == (4, 2)
    assert (rows["auroc"].split, rows["auroc"].step) == ("test", 7)
    p = predictions(target=[50, 60], prediction=[53, 56])
    rows = {r.metric: r for r in metrics.task_rows(p, HOW)}
    assert rows["mae"].value == 3.5
    assert rows["rmse"].value == pytest.approx(np.sqrt(12.5))
    assert rows["mae"].n_positive is None
    p = predictions("group", "multiclass", target=[0, 0, 1], prediction=[0, 1, 1])
    rows = {r.metric: r.value for r in metrics.task_rows(p, HOW)}
    assert rows == {"accuracy": pytest.approx(2 / 3), "balanced_accuracy": 0.75}
    p = predictions("report_to_study", "rank", target=[1, 1, 1], prediction=[1, 3, 20])
    rows = {r.metric: r.value for r in metrics.task_rows(p, HOW)}
    assert rows["recall_at_1"] == pytest.approx(1 / 3)
    assert rows["recall_at_5"] == pytest.approx(2 / 3)
    assert rows["median_rank"] == 3


def test_unknown_labels_leave_the_task_alone_and_n_says_so():
    p = predictions("mi", "binary", target=[1, np.nan, 0], prediction=[1, 5, 0])
    row = metrics.task_rows(p, HOW)[0]
    assert (row.value, row.n, row.n_positive) == (1.0, 2, 1)


@pytest.mark.parametrize("target", [[0, 0, 0], [1, 1], [np.nan], []])
def test_a_task_without_both_classes_has_rows_without_values(target):
    p = predictions("mi", "probability", target=target, prediction=np.zeros(len(target)))
    rows = metrics.all_rows([p], HOW)
    assert {r.metric for r in rows} == set(metrics.METRICS["probability"])
    assert all(r.value is None and r.ci_low is None for r in rows)
    assert rows[0].n == int(np.isfinite(target).sum())


def test_studies_of_one_patient_that_are_alike_say_no_more_than_one_of_them():
    p = noisy("mi", "checkpoint", noise=0.4, kind="probability")
    p = replace(p, prediction=np.clip(p.prediction, 0, 1))
    thrice = p.take(np.repeat(np.arange(120), 3))
    pairs = zip(metrics.task_rows(p, HOW), metrics.task_rows(thrice, HOW), strict=True)
    for once, again in pairs:
        assert again.value == pytest.approx(once.value)
        ends = (again.ci_low, again.ci_high)
        assert ends == pytest.approx((once.ci_low, once.ci_high), abs=0.01), once.metric


@pytest.mark.parametrize("patients", [6, 5, 3])
@pytest.mark.parametrize("right", [True, False])
def test_no_interval_has_zero_width_where_every_case_is_right_or_wrong(patients, right):
    """Six studies, of six patients or fewer: an interval with a width, or none."""
    target = np.array([0, 1, 0, 1, 0, 1])
    prediction = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    prediction = prediction if right else 1 - prediction
    who = np.array([f"p{i % patients}" for i in range(6)])
    p = predictions("mi", "probability", target=target, prediction=prediction, patient_id=who)
    group = predictions("group", "multiclass", target=target, prediction=target, patient_id=who)
    folds = replace(p, task="pooled", stratum=np.array([0, 0, 0, 1, 1, 1]))
    rank = predictions(
        "report_to_study", "rank", target=np.ones(6), prediction=np.ones(6), patient_id=who
    )
    rows = metrics.all_rows([p, group, folds, rank], HOW)
    for row in rows:
        assert row.ci_low is None or row.ci_high - row.ci_low > 0.1, row
    for row in rows:
        if row.task != "macro" and row.metric not in ("auprc", "median_rank"):
            assert row.ci_low is not None, row
    assert find(rows, task="macro")[0].ci_low is None


def test_a_difference_that_no_resample_changes_has_no_interval():
    """Four studies, one positive: seen right by one and wrong by the other."""
    target, score = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    ours = predictions("mi", "probability", target=target, prediction=1 - score)
    theirs = predictions("mi", "probability", target=target, prediction=score, encoder="random")
    rows = [*metrics.difference_rows([ours], [theirs], HOW, each=True)]
    rows += metrics.task_rows(ours, HOW)
    for row in find(rows, metric="auroc_difference"):
        assert (row.value, row.ci_low, row.ci_high) == (-1.0, None, None)
    assert find(rows, metric="auroc")[0].ci_low is None
    for row in rows:
        assert row.ci_low is None or row.ci_low < row.ci_high


def test_a_fold_of_one_class_says_nothing_about_separated_folds():
    target = np.r_[0, 1, 0, 1, np.zeros(50)]
    p = predictions("mi", "binary", target=target, prediction=target)
    pooled = replace(p, stratum=np.r_[0, 0, 0, 0, np.ones(50)].astype(int))
    alone = metrics.task_rows(p.take(np.arange(4)), HOW)[0]
    row = metrics.task_rows(pooled, HOW)[0]
    assert (row.value, row.ci_low) == (1.0, alone.ci_low)


def test_macro_is_the_mean_over_tasks_that_have_both_classes():
    tasks = [noisy(f"t{i}", "checkpoint", noise=1.0, seed=i) for i in range(3)]
    empty = predictions("none", "binary", target=[0.0], prediction=[1.0])
    classes = noisy("group:A", "checkpoint", noise=0.1)
    row = metrics.macro_row([*tasks, empty, classes], HOW)
    assert row is not None
    each = [stats.estimate(stats.auroc_statistic(t.target, t.prediction), 120) for t in tasks]
    assert row.value == pytest.approx(np.mean(each))
    assert row.ci_low is not None
    assert row.ci_low < row.value < row.ci_high
    assert (row.n, row.n_positive) == (120, sum(int(t.target.sum()) for t in tasks))


def test_macro_with_labels_known_for_other_patients_in_each_task():
    a = noisy("a", "checkpoint", noise=1.0)
    b = predictions("b", "binary", target=[0, 1, 0, 1], prediction=[0, 1, 1, 2], prefix="other")
    row = metrics.macro_row([a, b], HOW)
    assert row is not None
    assert row.n == 124


def test_differences_from_random_are_paired_whatever_the_order_of_cases():
    ours = [noisy(f"t{i}", "checkpoint", noise=0.8, seed=i) for i in range(3)]
    shuffled = np.random.default_rng(0).permutation(120)
    theirs = [noisy(f"t{i}", "random", noise=3.0, seed=i).take(shuffled) for i in range(3)]
    rows = metrics.all_rows([*ours, *theirs], HOW)
    (row,) = find(rows, metric="auroc_difference")
    assert (row.encoder, row.task) == ("checkpoint-random", "macro")
    values = {e: find(rows, encoder=e, task="macro")[0].value for e in ("checkpoint", "random")}
    assert row.value == pytest.approx(values["checkpoint"] - values["random"])
    assert row.ci_low > 0


def test_mae_difference_and_ratio():
    target = np.arange(40.0)
    ours = predictions(target=target, prediction=target + 1)
    random = predictions(target=target, prediction=target + 3, encoder="random")
    trivial = predictions(target=target, prediction=np.full(40, 19.5), encoder="trivial")
    rows = metrics.all_rows([ours, random, trivial], HOW)
    assert find(rows, encoder="checkpoint-random", metric="mae_difference")[0].value == -2
    ratio = find(rows, encoder="checkpoint/trivial", metric="mae_ratio")[0]
    assert ratio.value == pytest.approx(0.1)
    assert ratio.ci_low < 0.1 < ratio.ci_high


def test_multiclass_has_a_one_vs_rest_auroc_under_its_own_name():
    whole = predictions("group", "multiclass", target=[0, 1, 0, 1], prediction=[0, 1, 0, 0])
    one = predictions("group:B", "probability", target=[0, 1, 0, 1], prediction=[0.1, 0.9, 0, 0.3])
    rows = metrics.all_rows([whole, one], HOW)
    assert find(rows, task="group", metric="auroc")[0].value == 1.0
    assert {r.metric for r in find(rows, task="group:B")} == {"auroc"}
    assert not find(rows, task="macro")


def test_ten_tasks_and_four_encoders_take_seconds():
    how = metrics.Resampling(split="test", step=0, n_bootstrap=2000)
    found = [
        noisy(f"t{i}", e, noise=1.0, n=200, seed=i)
        for e in ("checkpoint", "random", "pixels_pca", "supervised")
        for i in range(10)
    ]
    start = time.process_time()
    metrics.all_rows(found, how)
    assert time.process_time() - start < 20  # about 2 s on one idle core


def test_the_prevalence_of_each_fold_is_chance_also_when_pooled(tmp_path):
    """Training prevalence is low where testing prevalence is high: pooled ranks would say < .5."""
    paths = []
    for fold, (rate, constant) in enumerate(((0.6, 0.2), (0.2, 0.6))):
        p = noisy("mi", "trivial", noise=0.0, seed=fold, rate=rate, n=50)
        ids = np.array([f"{fold}/{i}" for i in range(50)])
        p = replace(p, study_id=ids, patient_id=ids, prediction=np.full(50, constant))
        paths.append(tmp_path / f"{fold}.csv")
        paths[-1].write_bytes(to_csv([p]))
    rows = metrics.all_rows(pool_predictions(paths), HOW)
    assert {r.value for r in rows if r.metric == "auroc"} == {0.5}
    assert find(rows, task="mi", metric="auroc")[0].n == 100
