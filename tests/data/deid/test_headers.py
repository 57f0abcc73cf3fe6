from datetime import date
from itertools import permutations

import pytest

from cmrjax.data.deid.headers import IDENTIFYING, day_of, patient_key, person_key, study_day
from cmrjax.data.dicom import read_images
from tests.data.builders import beating, write_image

NAME, ID, BIRTH, STUDY, ACQUIRED = 0x00100010, 0x00100020, 0x00100030, 0x00080020, 0x00080022


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20190403", date(2019, 4, 3)),
        ("2019.04.03", date(2019, 4, 3)),
        ("20190403121500.000", date(2019, 4, 3)),
        ("20120000", None),
        ("00000000", None),
        ("", None),
        ("unknown", None),
    ],
)
def test_days_are_read_or_unknown(text, day):
    assert day_of(text) == day


def test_the_study_day_is_the_earliest_that_the_images_agree_on():
    assert study_day([(STUDY, "20190404"), (STUDY, "20190403")]) == date(2019, 4, 3)
    assert study_day([(STUDY, "20120000"), (ACQUIRED, "20190405")]) == date(2019, 4, 5)
    assert study_day([(BIRTH, "19500101")]) is None


def test_a_patient_is_told_by_id_then_by_name_and_birth_date():
    headers = [(NAME, "Doe^Jo"), (BIRTH, "19500101"), (ID, "P2"), (ID, "P1")]
    assert {patient_key(p) for p in permutations(headers)} == {"P1"}
    jo = patient_key([(NAME, "DOE^JO"), (BIRTH, "19500101"), (ID, "ANONYMOUS")])
    assert jo == patient_key([(BIRTH, "1950.01.01"), (NAME, "Doe^Jo ")])
    assert jo != patient_key([(NAME, "Doe^Jo"), (BIRTH, "19500102")])
    # A name alone tells nobody apart, and a wiped id would make one patient of all.
    assert patient_key([(NAME, "Doe^Jo")]) is None
    assert patient_key([(ID, "0"), (NAME, "Anonymous"), (BIRTH, "19500101")]) is None
    for wiped in ("", "000000", "XXX-XX", "N/A", "Removed"):
        assert patient_key([(ID, wiped), (NAME, "Doe^Jo"), (BIRTH, "19500101")]) == jo
        assert patient_key([(ID, wiped)]) is None
    assert patient_key([(ID, "X0012")]) == "X0012"
    assert person_key([(NAME, "DOE^JO"), (BIRTH, "19500101"), (ID, "P1")]) == jo
    assert person_key([(NAME, "DOE^JO"), (ID, "P1")]) is None


def test_identifying_elements_are_read_with_their_tags(tmp_path):
    tags = {
        "PatientAge": "097Y",
        "ReferringPhysicianName": "Doe^Jo",
        "PatientBirthDate": "19500101",
    }
    write_image(tmp_path / "x", pixels=beating(1)[0], **tags)
    found = dict(read_images(str(tmp_path / "x"))[0].shared.identifiers)
    assert found[0x00080090] == "Doe^Jo"
    assert found[0x00101010] == "097Y"
    assert found[BIRTH] == "19500101"
    assert set(found) <= set(IDENTIFYING)
    assert set(IDENTIFYING.values()) == {"name", "id", "date", "place", "age"}
