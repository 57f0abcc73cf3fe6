"""Dates however they are written; and what is written like one and is none."""

import time

import pytest

from cmrjax.data.deid.text import clean

DATES = """
14 Sept 2021|14. März 2021|14. Ma\u0308rz 2021|14 mars 2021|14 de marzo de 2021|enero de 2020
3. Oktober 2019|2021-Mar-14|2021 Mar 14|14MAR21|14MAR2021|14 Mar|Mar 14|Sept 3|14. März|14 mars
14–03–2021|14‑03‑21|14 03 2021|2021_03_14|2021–03–14|2021 03 14|14,03,2021|14_03_2021
March 14-16, 2021|14-16 March 2021|14–16 March 2021|14/15 March 2021|14 to 16 March 2021
14 and 15 Mar|14. bis 16. März 2021|1er février 2020|le 3 août|12 de octubre|14. Dezember 2020
14-Mar-2021|14/Mar/2021|14_Mar_2021|Mar-2021|Mar_2021|Décembre 2020|14 MAR|Dez. 2019|14.Okt.2019
14\u00a0March\u00a02021|14\u00a003\u00a02021|14 d'août 2019|Segments 3/4/2019|Aug-14-2021
01/02/20–14/03/21|01/02/2020-14/03/2021|01.02.20 - 14.03.21
""".strip().replace("\n", "|").split("|")  # fmt: skip


@pytest.mark.parametrize("written", DATES)
def test_no_part_of_a_date_is_left(written):
    found = clean(f"Seen {written}, stable.")
    if written.startswith("Segments"):
        assert found.text == "Seen Segments [date], stable."
        return
    left = found.text.removeprefix("Seen ").removesuffix(", stable.")
    assert left in ("[date]", "le [date]"), found.text


SURVIVES = """
Examination performed on the 1.5 T Siemens Aera.
Cardiac MRI on the 1.5 T system and from the 1.5T or the 1.5-Tesla scanner.
Segments 7/8/12 show mid-wall LGE.
SEGMENTS 7/8/12 AND 4-5-10 ARE THIN.
Mid-wall LGE in AHA 7/8/12.
LGE in segments 4-5-10 and 11-12-16.
Segments: 1/2/7 hypokinetic; segments 4, 5 and 10/11/12 normal.
Basal segments (1/2/6) and mid 7/8/12 are thin.
Data set 2018 and gen 2020 of the scanner; s/p AVR 2015, MRT 2019.
Segment 12 may be hypokinetic; 2 OCT scans; 5 sets, 3 gen.
Matrix 12 10 20, sizes 14 12 10 mm, 10, 12, 14 mm.
Septum 12 mm, Sep 12 mm; 3 march fractures; 12 mar.
EDV 14 10 1950 ml.
""".strip().splitlines()


@pytest.mark.parametrize("text", SURVIVES)
def test_numbers_and_words_like_dates_come_through(text):
    found = clean(text)
    assert (found.text, found.counts) == (text, {})


@pytest.mark.parametrize(
    "unit", ["14 ", "14-", "14 Mar ", "1 de ", "Mar ", "2021_", "7/8/12 ", "seg 1"]
)
def test_no_text_costs_more_than_its_length(unit):
    began = time.process_time()
    clean(unit * (24_000 // len(unit)))
    assert time.process_time() - began < 2
