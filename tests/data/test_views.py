import csv
import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.contract import VIEWS
from cmrjax.data.views import names_cine, names_other_imaging, readings, view_of

GOLDEN = Path(__file__).parents[1] / "golden" / "series_descriptions.json"
NAMED = {
    "SAX_FIESTA_BH": "sax",
    "cine short axis stack": "sax",
    "tf2d14_retro_iPAT_shax": "sax",
    "cine sa mid": "sax",
    "Kurze Achse trufi": "sax",
    "bTFE petit axe": "sax",
    "CINE_segmented_LAX_4Ch": "4ch",
    "2_Chamber": "2ch",
    "four chamber": "4ch",
    "LV3CH": "3ch",
    "cine HLA": "4ch",
    "VLA bFFE": "2ch",
    "Vierkammerblick": "4ch",
    "cine 2 cavités": "2ch",
    "eje largo 3 cámaras": "3ch",
    "3T 2CH trufi": "2ch",
    "SAX cine 32ch coil": "sax",
    "cine LVOT cor": "lvot",
    "LV outflow tract": "lvot",
    "LVOT (3CH)": "3ch",
    "multiphase SAX": "sax",
    "RV3CH_FIESTA_BH": "unknown",
    "RVOT_FIESTA_BH": "unknown",
    "RV inflow cine": "unknown",
    "cine 2ch 4ch": "unknown",
    "SAX on 4ch": "unknown",
    "axial cine": "unknown",
    "aortic valve short axis": "unknown",
}
OTHER = (
    *("SAX_LGE", "4CH PSIR", "SAX_IrP-FGRE_TI=240", "sax MOLLI", "T1map", "3-pl_Loc_Fiesta"),
    *("CINE_IR", "cineIR 4ch", "AX_4D_FLOWq", "PA_FastPC_V=250_BH", "rest perf sax", "scout"),
    *("SAX_Tags_Grid", "sax mtag", "PS:SAX_PSMDE", "2ch DHE", "viab sax", "4ch loc", "sax T2*"),
    *("4CH phase contrast", "2ch black blood TSE", "3D heart", "SAX 1st pass", "venc150 aov"),
    *("LAX late gad", "Inline VF results", "sax_t1_post", "T2 STIR sax", "mitral inflow"),
)
# What takes a series out, whatever else its name says.
FORBIDDEN = (
    *("LGE", "DE", "PSIR", "T1 map", "map", "MOLLI", "tag", "perfusion", "scout", "localizer"),
    *("localiser", "IR", "TI", "TI=300", "flow", "Late Gad", "T2w", "venc 150"),
)


def called(description: str) -> str | None:
    """The cine view that a description is called, if any."""
    view = None if names_other_imaging(description) else view_of(description)
    return None if view == "unknown" else view


@pytest.mark.parametrize(("description", "view"), NAMED.items())
def test_view_of_a_description(description, view):
    assert view_of(description) == view
    assert view in VIEWS
    assert not names_other_imaging(description)


@pytest.mark.parametrize("description", ["cine", "", "Option 2", "cine LAX", "Reihe ä 7", "短轴"])
def test_a_description_that_says_nothing_gives_nothing(description):
    assert view_of(description) is None
    assert not names_other_imaging(description)


@pytest.mark.parametrize(
    "description",
    [
        "SAX CINE R2",
        "cine_sax_GRAPPA_R2",
        "R2 SENSE cine sax",
        "SAX FIESTA PHASE 30",
        "SA bTFE r 2",
    ],
)
def test_acceleration_and_a_number_of_phases_name_no_other_imaging(description):
    assert called(description) == "sax"
    assert names_cine(description)


@pytest.mark.parametrize(
    "description",
    [
        *("SAX R2", "R2* cine SAX", "cine sax R 2*", "SAX cine T2", "cine SAX R2 map"),
        *("SAX PHASE 30", "cine sax in phase 30", "cine SAX phase", "cine SAX phase 80 cm/s"),
        "SAX cine R2 flow",
    ],
)
def test_relaxation_rates_and_phase_images_are_still_known_by_name(description):
    assert names_other_imaging(description)


@pytest.mark.parametrize("description", OTHER)
def test_other_imaging_is_known_by_name(description):
    assert names_other_imaging(description)
    assert not names_cine(description)


def test_sequences_of_the_vendors_name_a_cine():
    for name in ("CINE", "sax FIESTA", "4ch TrueFISP", "bFFE sa", "b-TFE", "trufi", "SSFP retro"):
        assert names_cine(name)
    assert not names_cine("2 Chamber")


@given(
    st.sampled_from((*NAMED, *OTHER)),
    st.sampled_from((str.lower, str.upper, str.title, str.swapcase)),
    st.sampled_from(" _-./"),
    st.sampled_from(("", "1.", "12 ", "*", "#3_", "(2) ")),
    st.sampled_from(("", " 3", "_#2", "-12", ".", " b10", " (7)")),
)
def test_case_spacing_punctuation_and_numbering_change_nothing(name, case, gap, before, after):
    # "LV3CH" and "LV 3CH" are one name, so a number never needs the space before it.
    spelt = before + re.sub(r"[ _]", gap, case(name)) + after
    assert view_of(spelt) == view_of(name)
    assert names_other_imaging(spelt) == names_other_imaging(name)


@given(
    st.sampled_from(sorted(NAMED)),
    st.sampled_from(FORBIDDEN),
    st.sampled_from(" _-:"),
    st.booleans(),
    st.booleans(),
)
def test_a_word_for_other_imaging_always_takes_a_series_out(name, word, gap, first, lower):
    word = word.lower() if lower else word
    assert names_other_imaging(word + gap + name if first else name + gap + word)


@given(st.text(max_size=64))
def test_any_text_has_an_answer(text):
    assert view_of(text) in (*VIEWS, None)
    assert names_other_imaging(text) in (True, False)


def test_words_that_sites_use_for_two_views():
    assert readings("LVOT cine") == ("lvot", "3ch")
    assert readings("VLAX_FIESTA") == ("3ch", "2ch")
    assert readings("VLAX 3CH") == readings("LVOT 3ch") == ("3ch",)
    assert readings("SAX") == ("sax",)
    assert readings("RVOT") == ("unknown",)
    assert readings("cine") == ()


def test_a_name_of_several_views_is_each_of_them_by_its_plane():
    assert readings("cine_LAX_2ch_3ch_4ch") == ("unknown", "2ch", "3ch", "4ch")
    assert readings("SAX on 4ch") == ("unknown", "4ch", "sax")
    assert readings("aortic valve 2ch 3ch") == ("unknown",)
    assert readings("axial 4ch") == readings("SAX LAX") == ("unknown",)


@pytest.fixture(scope="module")
def tables(shared_data):
    """(table, description, count, view or nothing) of the real descriptions."""
    rows = []
    for name in ("series_descriptions_master", "ukbiobank_series_map"):
        with open(shared_data / "labels" / f"{name}.csv", newline="") as file:
            for row in csv.DictReader(file):
                label = row["cleaned_series_names"].lower()
                rows.append((name, row["series_description"], int(row["counts"] or 0), label))
    return rows


def test_recall_on_real_descriptions(tables):
    """Of the strings that people selected as a view: at least .97 by count, .85 by string."""
    counts, strings = defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
    for table, description, count, label in tables:
        if label:
            right = called(description) == label
            for tally, weight in ((counts, count), (strings, 1)):
                tally[table, label][0] += weight * right
                tally[table, label][1] += weight
    assert {label for _, label in counts} == {"sax", "2ch", "3ch", "4ch", "lvot"}
    for key in counts:
        assert counts[key][0] / counts[key][1] >= 0.97, key
        assert strings[key][0] / strings[key][1] >= 0.85, key


def test_no_real_description_of_other_imaging_is_called_a_view(tables):
    says = re.compile(
        r"lge|mde|dhe|psir|map|molli|tag|perf|scout|locali|flow|ir(?![a-z])"
        r"|(?<![a-z])(?:de|ti|loc)(?![a-z])",
        re.IGNORECASE,
    )
    wrong = [d for _, d, _, _ in tables if called(d) and says.search(d)]
    assert not wrong


def test_every_disagreement_was_reviewed(tables):
    """The golden file holds hashes, since the data's terms keep its strings out of here.

    It lists the labelled strings that we read otherwise, and the unlabelled ones that we call a
    view though they name no cine.
    """
    found: dict[str, dict[str, dict[str, str | None]]] = {"labelled": {}, "no_cine_named": {}}
    for _, description, _, label in tables:
        key = hashlib.sha256(description.encode()).hexdigest()[:16]
        ours = None if names_other_imaging(description) else view_of(description)
        if label and ours != label:
            found["labelled"][key] = {"label": label, "ours": ours}
        elif not label and ours not in (None, "unknown") and not names_cine(description):
            found["no_cine_named"][key] = {"ours": ours}
    golden = json.loads(GOLDEN.read_text())
    for part, entries in found.items():
        reviewed = {
            key: {name: entry[name] for name in entry if name != "reason"}
            for key, entry in golden[part].items()
        }
        assert entries == reviewed
        assert all(entry["reason"] for entry in golden[part].values())
