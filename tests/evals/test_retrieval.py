import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.evals import metrics, retrieval
from cmrjax.evals.embeddings import StudyEmbeddings

HOW = metrics.Resampling(split="test", step=1, n_bootstrap=100)


def test_ranks_by_hand_with_ties_in_the_middle():
    similarity = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.2, 0.2]])
    assert list(retrieval.ranks(similarity, np.eye(3, dtype=bool))) == [1, 2, 2]


def test_one_vector_for_everything_gains_nothing():
    n = 11
    rank = retrieval.ranks(np.ones((n, n)), np.eye(n, dtype=bool))
    assert set(rank) == {6.0}


def test_reports_that_differ_in_numbers_alone_are_the_same():
    listed = [["LVEF is 55 %.", "No effusion."], ["No effusion", "LVEF is 48 %"], ["Effusion."]]
    same = retrieval.same_statements(listed)
    assert same[0, 1]
    assert not same[0, 2]


def test_a_report_is_the_mean_of_its_sentences():
    table = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    asked = []

    def encode(sentences):
        asked.extend(sentences)
        return np.array([table[s] for s in sentences])

    z = retrieval.report_vectors([["a", "b"], ["b"]], encode)
    np.testing.assert_allclose(z, [[2**-0.5, 2**-0.5], [0, 1]])
    assert asked == ["a", "b"]


def embeddings(n=12):
    z = np.eye(n)
    reports = [f"FINDINGS: Statement {chr(97 + i // 2)}." for i in range(n)] + []
    ids = np.arange(n).astype(str)
    return StudyEmbeddings(z, z, ids, ids, {}, reports)


def test_a_perfect_model_is_held_back_by_duplicates_only_in_the_strict_task():
    e = embeddings()

    def encode(sentences):
        out = np.zeros((len(sentences), 12))
        for row, s in zip(out, sentences, strict=True):
            k = 2 * (ord(s[-2]) - 97)
            row[k : k + 2] = 2**-0.5
        return out

    result = retrieval.evaluate({"checkpoint": e}, {"checkpoint": encode}, ("findings",), HOW)
    value = {(r.encoder, r.task, r.metric): r.value for r in result.rows}
    assert value["checkpoint", "report_to_study_or_duplicate", "recall_at_1"] == 1.0
    assert value["checkpoint", "report_to_study", "recall_at_1"] == 0.0  # ties share rank 1.5
    assert value["checkpoint", "report_to_study", "recall_at_5"] == 1.0
    assert value["trivial", "report_to_study", "recall_at_1"] == pytest.approx(1 / 12)
    assert value["trivial", "report_to_study_or_duplicate", "recall_at_1"] == pytest.approx(2 / 12)
    assert value["trivial", "study_to_report", "recall_at_10"] == pytest.approx(10 / 12)


def test_chance_with_two_right_among_four_by_hand():
    relevant = np.array([[True, True, False, False]] * 4)
    rows = retrieval.chance_rows(relevant, HOW, evaluator="retrieval", task="t")
    assert rows[0].value == 0.5
    assert rows[1].value == rows[2].value == 1.0


def test_studies_without_a_report_are_left_out_and_none_is_an_error():
    e = embeddings()
    e.reports[0] = ""  # type: ignore[index]
    result = retrieval.evaluate(
        {"checkpoint": e}, {"checkpoint": lambda s: np.ones((len(s), 12))}, ("findings",), HOW
    )
    assert result.rows[0].n == 11
    bare = StudyEmbeddings(e.z, e.z, e.study_id, e.patient_id, {}, [""] * 12)
    with pytest.raises(UserError, match="report"):
        retrieval.evaluate({"checkpoint": bare}, {}, ("findings",), HOW)
