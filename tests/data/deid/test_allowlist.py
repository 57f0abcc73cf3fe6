import dataclasses

import pytest

from cmrjax.data.deid import allowlist
from cmrjax.data.deid.vocabulary import VENDORS, field_strength_of, vendor_of
from cmrjax.data.records import Index
from cmrjax.data.shards import record_features
from cmrjax.data.study import RawCine
from tests.data.builders import contract

STUDY = {"study_id": "0" * 16, "patient_id": "f" * 16, "records": [("sax", 0), ("4ch", 1)]}
ROW = {"study_id": "0" * 16, "view": "sax", "slices": 3, "spacing_mm": [1.5, 1.5], "gap_mm": 8.0}


def test_the_tables_are_the_schema_field_by_field():
    stored = record_features(contract(masks=True), ("lvef",))
    assert set(stored) == set(allowlist.RECORD)
    assert [f.name for f in dataclasses.fields(Index)] == list(allowlist.INDEX)


def test_every_field_says_where_it_is_from_and_why_it_may_stay():
    tables = (allowlist.RECORD, allowlist.INDEX, allowlist.SERIES)
    for fields in tables:
        assert all(field.source and field.why for field in fields.values())
    free = {name for name, field in allowlist.RECORD.items() if field.form == "report"}
    assert free == {"report"}  # the one free text that a dataset holds
    # Nothing that a source passes on can hold a header's text.
    assert {f.name for f in dataclasses.fields(RawCine) if f.type in (str, "str")} == {
        "view",
        "series_id",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"series_description": "SECRET"},
        {"study_id": "SECRET"},
        {"study_id": "1.2.826.0.1.368"},
        {"view": "SECRET"},
        {"slices": "SECRET"},
        {"spacing_mm": [1.5, "SECRET"]},
        {"vendor": "SECRET"},
        {"days_since_first": "20190403"},
    ],
)
def test_what_is_not_listed_or_not_of_its_form_cannot_be_written(change):
    allowlist.check(info={}, series=[ROW], studies=[STUDY])
    with pytest.raises(ValueError, match="allowlist") as caught:
        allowlist.check(info={}, series=[ROW, ROW | change], studies=[])
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "info",
    [
        {"institution": "SECRET"},
        {"rejected": {"file.SECRET NAME": 1}},
        {"counts": {"patients": "SECRET"}},
        {"deidentified": {"SECRET^NAME": 1}},
    ],
)
def test_a_description_of_a_dataset_holds_counts_under_rules_names_alone(info):
    good = {"name": "x", "rejected": {"file.not_dicom": 2, "study.ValueError": 1}}
    allowlist.check(info=good, series=[], studies=[])
    with pytest.raises(ValueError, match=r"allowlist|no count"):
        allowlist.check(info=good | info, series=[], studies=[])


@pytest.mark.parametrize(
    "change", [{"study_id": "1.2.3"}, {"patient_id": "SECRET"}, {"records": [("SECRET", 0)]}]
)
def test_ids_and_views_of_records_are_looked_at(change):
    with pytest.raises(ValueError, match="allowlist"):
        allowlist.check(info={}, series=[], studies=[STUDY | change])


@pytest.mark.parametrize(
    ("text", "vendor"),
    [
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("GE", "ge"),
        ("GE MEDICAL SYSTEMS", "ge"),
        ("Philips Medical Systems", "philips"),
        ("TOSHIBA_MEC", "canon"),
        ("UIH", "united_imaging"),
        ("Gerhard Schmidt, Siemens", "other"),
        (" ", "unknown"),
    ],
)
def test_vendors_are_words_of_a_closed_list(text, vendor):
    assert vendor_of(text) == vendor
    assert vendor in VENDORS


def test_field_strengths_are_the_usual_ones():
    found = [field_strength_of(v) for v in (1.5, 1.494, 2.89, 30000, 15000, 0, -1, 2, float("inf"))]
    assert found == [1.5, 1.5, 3.0, 3.0, 1.5, 0, 0, 0, 0]
