import re

import pytest

from cmrjax.data.card import data_card
from cmrjax.data.reasons import Reason
from cmrjax.data.records import RecordSource
from cmrjax.reporting import contact_sheet, dataset_page
from cmrjax.reporting.reasons import counted, meaning
from tests.data.builders import write_small_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "dataset"
    write_small_dataset(folder, studies=3)
    source = RecordSource(folder)
    return data_card(source), contact_sheet.sheets(source)


def page(made, **changes) -> str:
    card, sheets = made
    return dataset_page.render(card | changes, sheets).decode()


def cells(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_page_shows_every_part(made):
    spread = {"min": 1.0, "median": 1.5, "max": 2.0, "mean": 1.5, "sd": 0.5}
    spread |= {"histogram": {"start": 1.0, "width": 0.5, "counts": [1, 0, 3]}}
    html = page(
        made,
        by_vendor={"ge": 1, "united_imaging": 2},
        by_field_strength={"1.5 T": 3},
        spacing_mm=spread,
        rejected={"file.not_mr": 7, "study.ValueError": 1},
        labels={
            "lvef": {"kind": "regression", "known": 4, **spread},
            "group": {"kind": "multiclass", "known": 4, "classes": {"NOR": 1, "Other": 3}},
            "nor": {"kind": "binary", "known": 4, "positive": 1},
            "rare": {"kind": "binary", "known": 0, "positive": 0},
        },
    )
    text = cells(html)
    for expected in (
        "GE 1",
        "United Imaging 2",
        "1.5 T 3",
        "file.not_mr 7 files of another modality than MR",
        "study.ValueError 1 studies",
        "Median 1.5 mm, from 1 to 2",
        "LVEF (%) 4 1.5 ± 0.5 1.0 to 2.0",
        "Normal (NOR) 4 1 (25 %)",
        "Group: Other 4 3 (75 %)",
    ):
        assert expected in text, expected
    assert "Group: NOR" not in text  # a finding of its own
    assert "1.5 to 2: 0" in html
    assert html.count("data:image/webp;base64,") == 1


def test_no_text_of_a_report_is_on_the_page(made):
    assert "Kammer" not in page(made)


def test_patients_pixels_are_announced_unless_public(made):
    assert "shows pixels of patients" in page(made, public=False)
    assert "shows pixels of patients" not in page(made, public=True)


def test_names_of_tasks_cannot_become_markup(made):
    row = {"kind": "binary", "known": 1, "positive": 1}
    html = page(made, labels={"<script>x</script>": row}, name="<b>")
    assert "<script>x" not in html
    assert "<b>" not in html


def test_alike_studies_and_missing_hearts_are_said(made):
    pair = {"study_a": "aa", "study_b": "bb", "split_a": "train", "split_b": "test"}
    html = page(
        made,
        near_duplicates=[pair | {"distance": 0.0234}],
        crops={"around_the_heart": 1, "at_the_middle": 5},
        counts={"people_with_several_ids": 3},
    )
    text = cells(html)
    assert "People under several patient ids: 3 (by name and birth date; they count as" in text
    assert "no patient id is in two. A person with several ids may be" in text
    assert "below: 1, 1 of them across splits" in html
    assert "aa train bb test 2.3 %" in cells(html)
    assert "No heart was found by its motion in 5 of 6 cines" in html


def test_what_is_said_of_splits_is_of_patient_ids(made):
    text = cells(page(made, counts={"ids_of_several_people": 2}))
    assert "Patient ids of several people: 2 (by name and birth date" in text
    assert "patient ids, none in two splits" in text
    assert "A person with several ids" not in text
    assert "never in two splits" not in text


def test_what_found_no_partner_is_counted(made):
    counts = {
        "reports_without_study": 4,
        "report_rows_without_key": 5,
        "studies_without_report": 6,
        "labels_without_study": 7,
        "label_rows_without_key": 0,
        "reports_of_studies_left_out": 8,
    }
    text = cells(page(made, counts=counts, text_source="report"))
    for expected in (
        "reports without a study 4 their key is of no study given",
        "report rows without a key 5",
        "studies without a report 6",
        "labels without a study 7",
        "reports of studies left out 8",
    ):
        assert expected in text, expected
    assert "label rows without" not in text
    none = cells(page(made, counts={"studies_without_report": 6}, text_source="none"))
    assert "studies without a report" not in none
    assert "Reports and tables" not in none


def test_a_heading_says_how_many_of_how_many(made):
    assert "SAX: 6 of 46 cines" in page(made, by_view={"sax": 46})


def test_rare_values_of_a_long_table_are_added_up():
    values = {str(phases): 1 + (phases == 25) * 9 for phases in range(15, 45)}
    found = dataset_page._shares(values)
    assert len(found) == 12
    assert next(c.count for c in found if c.name == "25") == 10
    assert (found[-1].name, sum(c.count for c in found)) == ("others", sum(values.values()))


def test_every_reason_of_a_file_is_explained():
    internal = {Reason.ARCHIVE, Reason.NO_SPACE}  # never counted
    for reason in set(Reason) - internal:
        assert meaning(f"file.{reason}"), reason
        assert counted(f"file.{reason}") == "files"
