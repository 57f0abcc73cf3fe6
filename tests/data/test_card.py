import json

import numpy as np
import pytest

from cmrjax.core.errors import CorruptDataError
from cmrjax.data import card
from cmrjax.data.records import RecordSource
from tests.data.builders import write_small_dataset


def row(study: str, view: str = "sax", **changes) -> dict:
    fields = {"slices": 10, "phases": 25, "spacing_mm": [1.4, 1.4], "gap_mm": 8.0}
    return {"study_id": study, "view": view, **fields, **changes}


def read(folder, rows) -> dict:
    (folder / "series.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return card.data_card(RecordSource(folder))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "dataset"
    write_small_dataset(folder)
    return folder


def test_scanners_count_studies_and_phases_count_cines(dataset):
    ge, siemens = ({"vendor": v, "field_strength_t": t} for v, t in (("ge", 1.5), ("siemens", 0.0)))
    found = read(
        dataset,
        [
            row("a", **ge),
            row("a", "4ch", slices=1, phases=9, gap_mm=0.0, spacing_mm=[2.0, 2.0], **ge),
            row("b", slices=3, phases=100, gap_mm=6.0, **siemens),
            row("c", slices=1, gap_mm=0.0),  # of NIfTI
        ],
    )
    assert found["by_vendor"] == {"ge": 1, "not stored": 1, "siemens": 1}
    assert found["by_field_strength"] == {"1.5 T": 1, "not stored": 1, "unknown": 1}
    assert list(found["phases"].items()) == [("9", 1), ("25", 11), ("100", 3)]
    assert found["slices"] == {"3": 1, "10": 1}
    assert (found["gap_mm"]["min"], found["gap_mm"]["max"]) == (6.0, 8.0)
    assert found["spacing_mm"]["mean"] == pytest.approx((14 * 1.4 + 2.0) / 15, abs=1e-3)
    assert sum(found["spacing_mm"]["histogram"]["counts"]) == 15
    json.dumps(found)


def test_a_dataset_without_series_has_empty_counts(dataset):
    found = read(dataset, [])
    assert found["by_vendor"] == found["phases"] == found["spacing_mm"] == found["gap_mm"] == {}


@pytest.mark.parametrize("text", ['{"study_id": ', "[1]\n", '{"study_id": "a"}\n'])
def test_damaged_rows_of_series_are_told(dataset, text):
    (dataset / "series.jsonl").write_text(text)
    with pytest.raises(CorruptDataError, match=r"series\.jsonl: cannot be read"):
        card.data_card(RecordSource(dataset))
    (dataset / "series.jsonl").unlink()
    with pytest.raises(CorruptDataError, match=r"series\.jsonl: cannot be read"):
        card.data_card(RecordSource(dataset))


def test_every_missing_part_of_the_info_is_named(dataset):
    source = RecordSource(dataset)
    source.info = {key: source.info[key] for key in ("name", "source", "public", "counts")}
    missing = "text_source, licence, label_tasks, rejected"
    with pytest.raises(CorruptDataError, match=rf"dataset\.json: has no {missing}"):
        card.data_card(source)


def test_reports_are_counted_with_their_copies(dataset):
    found = read(dataset, [])["reports"]
    assert (found["studies_with_report"], found["distinct"]) == (12, 1)
    assert (found["words"]["min"], found["words"]["max"], found["words"]["sd"]) == (4, 4, 0)


@pytest.mark.parametrize(
    "values", [[3.0], [0.0, 0.0], [48.0, 52.0, 53.0, 61.0], [-5.0, 5.0], [1e-9, 0.5, 20000.0]]
)
def test_a_histogram_holds_every_value_within_round_edges(values):
    found = card._histogram(np.array(values))
    counts, start, width = found["counts"], found["start"], found["width"]
    assert sum(counts) == len(values)
    assert 1 <= len(counts) <= 14
    assert start <= min(values)
    assert start + width * len(counts) >= max(values)
    assert f"{width:e}"[0] in "125"
    for i, n in enumerate(counts):
        low, high = start + i * width, start + (i + 1) * width
        assert n == sum(low <= v < high for v in values)


def test_a_label_tells_its_mean_and_spread():
    spec = {"kind": "regression"}
    found = card._label(spec, np.array([50.0, 60.0, np.nan, 70.0]))
    assert (found["known"], found["mean"], found["median"], found["sd"]) == (3, 60, 60, 10)
    assert card._label(spec, np.array([np.nan])) == {"kind": "regression", "known": 0}
    classes = {"kind": "multiclass", "classes": ["NOR", "DCM"]}
    assert card._label(classes, np.array([0.0, 0, 1, np.nan]))["classes"] == {"NOR": 2, "DCM": 1}
