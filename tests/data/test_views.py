import csv

import pytest

from cmrjax.data.views import names_other_imaging, view_of


@pytest.mark.parametrize(
    ("description", "view"),
    [
        ("SAX_FIESTA_BH", "sax"),
        ("cine short axis stack", "sax"),
        ("tf2d14_retro_iPAT_shax", "sax"),
        ("CINE_segmented_LAX_4Ch", "4ch"),
        ("2_Chamber", "2ch"),
        ("four chamber", "4ch"),
        ("LV3CH", "3ch"),
        ("cine HLA", "4ch"),
        ("RV3CH_FIESTA_BH", "unknown"),
        ("RVOT_FIESTA_BH", "unknown"),
        ("cine 2ch 4ch", "unknown"),
        ("cine", None),
        ("", None),
    ],
)
def test_view_of_a_description(description, view):
    assert view_of(description) == view
    assert not names_other_imaging(description)


@pytest.mark.parametrize(
    "description",
    ["SAX_LGE", "4CH PSIR", "SAX_IrP-FGRE_TI=240", "sax MOLLI", "T1map", "3-pl_Loc_Fiesta",
     "CINE_IR", "AX_4D_FLOWq", "PA_FastPC_V=250_BH", "rest perf sax", "SAX_Tags_Grid", "scout"],
)  # fmt: skip
def test_other_imaging_is_known_by_name(description):
    assert names_other_imaging(description)


def test_real_descriptions(shared_data):
    """Of the strings that were selected as a view, most are found, none is taken for another."""
    right = total = 0
    for table in ("series_descriptions_master", "ukbiobank_series_map"):
        with open(shared_data / "labels" / f"{table}.csv", newline="") as file:
            for row in csv.DictReader(file):
                expected = row["cleaned_series_names"].lower()
                if expected not in ("sax", "2ch", "3ch", "4ch"):
                    continue
                description = row["series_description"]
                found = None if names_other_imaging(description) else view_of(description)
                assert found in (expected, "unknown", None), description
                total += int(row["counts"])
                right += int(row["counts"]) * (found == expected)
    assert right / total > 0.97
