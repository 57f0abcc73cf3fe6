import pytest

from cmrjax.evals.base import Row
from cmrjax.reporting import tables
from cmrjax.reporting.run import newest


def row(encoder="checkpoint", task="lv_dilation", metric="auroc", value=0.8, **changed) -> Row:
    base = {"ci_low": 0.7, "ci_high": 0.9, "n": 60, "n_positive": 20, "split": "test", "step": 10}
    return Row(
        **{"evaluator": "zero_shot", "encoder": encoder, "task": task} | base | changed,
        metric=metric,
        value=value,
    )


def test_macro_comes_first_and_this_model_left():
    rows = [row("trivial", value=0.5), row("random"), row(), row(task="macro"), row("rival")]
    (table,) = tables.by_evaluator(rows)
    assert table.encoders == ("This model", "Untrained", "Trivial", "rival")
    first = table.headline[0].lines[0]
    assert first.macro
    assert [cell.value for cell in first.cells] == ["0.800", "", "", ""]
    assert table.headline[0].lines[1].cells[0].own


def test_few_positives_are_marked_but_not_in_the_macro():
    rows = [row(n_positive=14), row(task="reduced_lvef", n_positive=15), row(task="macro")]
    (table,) = tables.by_evaluator(rows)
    lines = {line.name: line.few for line in table.headline[0].lines}
    assert lines == {
        "Mean over findings (macro)": False,
        "LV dilation": True,
        "Reduced LVEF": False,
    }
    assert table.few_positives


def test_an_undefined_value_is_a_dash():
    (table,) = tables.by_evaluator([row(value=None, ci_low=None, ci_high=None)])
    cell = table.headline[0].lines[0].cells[0]
    assert (cell.value, cell.interval) == ("–", "")


def test_comparisons_know_what_no_difference_is():
    difference = {"encoder": "checkpoint-random", "metric": "auroc_difference"}
    ratio = {"encoder": "checkpoint/trivial", "metric": "mae_ratio"}
    rows = [
        row(),
        row(**difference, value=0.1, ci_low=0.02, ci_high=0.2),
        row(**difference, value=0.1, ci_low=-0.02, ci_high=0.2),
        row(**ratio, value=0.6, ci_low=0.5, ci_high=0.7),
        row(**ratio, value=0.9, ci_low=0.7, ci_high=1.1),
        row(encoder="supervised-random", metric="auroc_difference", value=0.2),
    ]
    (table,) = tables.by_evaluator(rows)
    assert [c.beyond for c in table.comparisons] == [True, False, True, False]
    assert [c.sides for c in table.others] == ["Supervised minus untrained"]


@pytest.mark.parametrize("ends", [(None, None), (-1.0, -1.0)])
def test_without_an_interval_nothing_is_beyond_no_difference(ends):
    low, high = ends
    made = row("checkpoint-random", metric="auroc_difference", value=-1.0, ci_low=low, ci_high=high)
    (table,) = tables.by_evaluator([row(), made])
    assert not table.comparisons[0].beyond
    assert table.comparisons[0].interval == ""


def test_single_classes_and_near_duplicates_wait():
    rows = [row(task="group"), row(task="group:DCM"), row(task="study_to_report_or_duplicate")]
    (table,) = tables.by_evaluator(rows)
    assert [line.name for line in table.headline[0].lines] == ["Group"]
    assert len(table.more[0].lines) == 2


def test_key_figures_name_what_stands_beside():
    rows = [row(task="macro"), row("random", task="macro", value=0.6)]
    (figure,) = tables.key_figures(rows)
    assert figure.title == "Zero-shot: mean AUROC over findings"
    assert figure.beside == "untrained 0.600"
    assert tables.key_figures([]) == []


def test_newest_step_of_each_evaluator():
    rows = [row(step=5), row(step=10), row(evaluator="linear_probe", step=5)]
    assert [(r.evaluator, r.step) for r in newest(rows)] == [("zero_shot", 10), ("linear_probe", 5)]
