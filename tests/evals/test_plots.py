import io

import numpy as np
from PIL import Image

from cmrjax.evals import plots
from cmrjax.evals.base import Row
from cmrjax.evals.tables import format_rows
from tests.evals.test_predictions import predictions


def test_roc_curve_by_hand_takes_ties_in_one_step():
    fpr, tpr = plots.roc_curve(np.array([1, 1, 0, 0]), np.array([0.8, 0.4, 0.4, 0.1]))
    np.testing.assert_allclose(fpr, [0, 0, 0.5, 1])
    np.testing.assert_allclose(tpr, [0, 0.5, 1, 1])


def test_the_area_under_the_curve_is_the_auroc():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 50)
    score = np.round(rng.normal(size=50) + target, 1)
    fpr, tpr = plots.roc_curve(target, score)
    auroc = plots.stats.estimate(plots.stats.auroc_statistic(target, score), 50)
    np.testing.assert_allclose(np.trapezoid(tpr, fpr), auroc)


def test_figures_are_images_and_only_of_what_can_be_drawn():
    binary = predictions("mi", "binary", target=[0, 1, 1], prediction=[0, 1, 2])
    one_class = predictions("none", "binary", target=[0, 0], prediction=[0, 1])
    number = predictions(target=[50, 60], prediction=[51, 58])
    drawn = plots.figures([binary, one_class, number])
    assert set(drawn) == {"roc.png", "predicted_vs_true.png"}
    for content in drawn.values():
        image = Image.open(io.BytesIO(content))
        assert image.size[0] > 200
        assert "Software" not in image.info
    assert plots.figures([one_class]) == {}
    assert plots.figures([binary]) == plots.figures([binary])


def test_table_marks_what_is_not_defined():
    rows = [
        Row("e", "checkpoint", "mi", "auroc", 0.5, 0.25, 0.75, 9, 3, "test", 1),
        Row("e", "trivial", "lvef", "r", None, None, None, 9, None, "test", 1),
        Row("e", "checkpoint", "lvedv_ml", "mae", 12.34, 11.0, 14.0, 9, None, "test", 1),
    ]
    lines = format_rows(rows, title="T").splitlines()
    assert lines[0] == "T"
    assert lines[2].split() == [
        "checkpoint",
        "mi",
        "auroc",
        "0.500",
        "0.250",
        "to",
        "0.750",
        "9",
        "3",
    ]
    assert lines[3].split() == ["trivial", "lvef", "r", "-", "-", "9", "-"]
    assert "12.3" in lines[4]
