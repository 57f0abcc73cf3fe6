import numpy as np

from cmrjax.data.records import Study
from cmrjax.evals.embeddings import Cohort, StudyEmbeddings
from cmrjax.reporting.cines import contact_sheet, representative
from cmrjax.reporting.similar import choose_queries, neighbours

TASKS = {"rare": {"kind": "binary"}, "common": {"kind": "binary"}, "lvef": {"kind": "regression"}}


def cohort_of(patients: list[str], split: str = "test") -> Cohort:
    n = len(patients)
    members = [Study(f"study{split}{i}", p, (i,), ("sax",)) for i, p in enumerate(patients)]
    labels = {
        "rare": np.eye(1, n, n - 1)[0],
        "common": (np.arange(n) % 2 == 0).astype(float),
        "lvef": np.where(np.arange(n) == 1, np.nan, 50.0),
    }
    return Cohort(
        source=None,  # type: ignore[arg-type]
        split=split,
        fold=None,
        members=members,
        labels=labels,
        reports=[""] * n,
        fingerprint="",
    )


def test_queries_are_picked_by_label_rarest_first():
    cohort = cohort_of([f"p{i}" for i in range(7)])
    chosen = choose_queries(cohort, TASKS, count=4)
    assert chosen[:2] == [6, 0]
    assert len(set(chosen)) == 4


def test_a_patient_is_no_neighbour_of_their_own():
    cohort = cohort_of(["a", "a", "b", "c"])
    angle = np.array([0.0, 0.01, 0.2, 1.0])
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    embedded = StudyEmbeddings(
        z, z, cohort.study_id, cohort.patient_id, cohort.labels, cohort.reports
    )
    found = neighbours([cohort], [embedded], TASKS, show_text=True)
    sizes = sorted(len(n.found) for n in found)
    assert sizes == [2, 2, 3, 3]  # the two studies of patient a do not find each other
    for n in found:
        scores = [float(card.score.replace("−", "-")) for card in n.found]
        assert scores == sorted(scores, reverse=True)
        assert n.query.report == ""


def test_unknown_labels_are_left_out_of_a_card():
    cohort = cohort_of(["a", "b", "c"])
    z = np.eye(3)
    embedded = StudyEmbeddings(z, z, cohort.study_id, cohort.patient_id, cohort.labels, [])
    cards = {
        card.cines[0][0]: card
        for n in neighbours([cohort], [embedded], TASKS, show_text=False)
        for card in n.found
    }
    assert cards[1].numbers == ()
    assert cards[0].numbers == ("LVEF 50.0 %",)
    assert cards[2].findings == ("Rare", "Common")


def test_representative_cines_are_middle_slices_of_different_views():
    views = ("sax",) * 5 + ("2ch", "4ch")
    study = Study("s", "p", tuple(range(10, 17)), views)
    assert representative(study, limit=2) == [(16, "4ch"), (12, "sax")]
    stack = Study("s", "p", tuple(range(5)), ("sax",) * 5)
    assert representative(stack, limit=2) == [(2, "sax"), (1, "sax")]
    single = Study("s", "p", (7,), ("3ch",))
    assert representative(single, limit=2) == [(7, "3ch")]


def test_contact_sheet_spreads_over_studies():
    members = [Study(f"s{i}", f"p{i}", (2 * i, 2 * i + 1), ("sax", "4ch")) for i in range(9)]
    sheet = contact_sheet(members, per_view=3)
    assert sheet == [(0, "sax"), (8, "sax"), (16, "sax"), (1, "4ch"), (9, "4ch"), (17, "4ch")]
    assert contact_sheet([], per_view=3) == []
