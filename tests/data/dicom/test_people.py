import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cmrjax.data.deid.headers import ISSUER, OTHERWISE, SEQUENCES, WITHIN, patient_key
from cmrjax.data.deid.text import clean
from cmrjax.data.dicom import guard, people_of, read_images, tags
from cmrjax.data.dicom.people import elements, identifiers_of
from tests.data.builders import beating, write_image


def item(**values) -> Dataset:
    out = Dataset()
    for name, value in values.items():
        setattr(out, name, Sequence(value) if isinstance(value, list) else value)
    return out


CODE = item(CodeValue="ST4711X", CodeMeaning="Zielinski^Piotr", CodingSchemeDesignator="99L")
HELD = {
    "OtherPatientIDsSequence": ([item(PatientID="QX77Z12")], "QX77Z12"),
    "ReferringPhysicianIdentificationSequence": (
        [item(InstitutionName="Karolinska", PersonIdentificationCodeSequence=[CODE])],
        "Zielinski",
    ),
    "RequestAttributesSequence": (
        [item(ScheduledProcedureStepID="S1"), item(AccessionNumber="B98Z1X")],
        "B98Z1X",
    ),
    "VerifyingObserverSequence": ([item(VerifyingObserverName="Nowicki^Ewa")], "Nowicki"),
    "OriginalAttributesSequence": (
        [item(ModifiedAttributesSequence=[item(PatientName="Formername^Erika")])],
        "Formername",
    ),
    "ContentSequence": (
        [item(ConceptNameCodeSequence=[CODE], PersonName="Kowalczyk^Jan")],
        "Kowalczyk",
    ),
}
PLAIN = {
    "ClinicalTrialSubjectID": ("S7Q4X", "S7Q4X"),
    "NamesOfIntendedRecipientsOfResults": ("Zielinski^Piotr", "Zielinski"),
    "InstanceCreationDate": ("20210314", "14 Mar"),
    "PerformedProcedureStepStartDate": ("20210314", "14 Mar"),
    "ScheduledProcedureStepStartDate": ("20210314", "14 Mar"),
    "PerformedStationName": ("KARO1234", "KARO1234"),
    "ScheduledStationName": ("KARO1234", "KARO1234"),
    "FillerOrderNumberProcedure": ("FQ77Z1", "FQ77Z1"),
    "ScheduledProcedureStepID": ("FQ77Z1", "FQ77Z1"),
    "ServiceEpisodeID": ("EP77Q1", "EP77Q1"),
    "PatientInstitutionResidence": ("Elmcourt", "Elmcourt"),
    "RequestingService": ("Karolinska Ward", "Karolinska"),
    "InsurancePlanIdentification": ("BKK77Q1", "BKK77Q1"),
}


def _write(path, *, undefined=False, implicit=False, **values):
    write_image(path, pixels=beating(1)[0], implicit=implicit, **values)
    if undefined:
        dataset = pydicom.dcmread(path)
        for name, value in values.items():
            if isinstance(value, Sequence):
                dataset[name].is_undefined_length = True
                for one in dataset[name].value:
                    one.is_undefined_length_sequence_item = True
        dataset.save_as(path)


def _general(path):
    """What the general parser finds."""
    header = guard.header(str(path), wanted=tags.WANTED, entered=tags.ENTERED)
    return identifiers_of(header.values)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("name", HELD)
def test_what_sequences_say_is_found_in_the_report(tmp_path, name, implicit, undefined):
    items, told = HELD[name]
    path = tmp_path / "x"
    _write(path, undefined=undefined, implicit=implicit, **{name: Sequence(items)})
    people = people_of(str(path))
    assert people == read_images(str(path))[0].shared.identifiers
    assert set(people) == set(_general(path))
    cleaned = clean(f"We know {told} well.", people).text
    assert told not in cleaned
    assert "We know [" in cleaned


@pytest.mark.parametrize("name", PLAIN)
def test_what_elements_say_is_found_in_the_report(tmp_path, name):
    value, told = PLAIN[name]
    write_image(tmp_path / "x", pixels=beating(1)[0], **{name: value})
    people = people_of(str(tmp_path / "x"))
    assert told not in clean(f"Then {told} was seen.", people).text
    assert set(people) == set(_general(tmp_path / "x"))


def test_sequences_tell_no_patient_from_another_and_codes_of_others_are_words(tmp_path):
    path = tmp_path / "x"
    _write(path, PatientID="P1", **{name: Sequence(items) for name, (items, _) in HELD.items()})
    people = people_of(str(path))
    assert patient_key(people) == "P1"
    assert dict(people)[tags.PATIENT_ID] == "P1"
    write_image(path, pixels=beating(1)[0], ProcedureCodeSequence=Sequence([CODE]))
    assert "Zielinski^Piotr" not in {text for _, text in people_of(str(path))}


def test_names_within_sequences_are_read_in_their_items_charset(tmp_path):
    name = "Müller^Jürgen"
    inner = item(SpecificCharacterSet="ISO_IR 100", VerifyingObserverName=name)
    _write(tmp_path / "x", VerifyingObserverSequence=Sequence([inner]))
    assert (OTHERWISE["name"], name) in people_of(str(tmp_path / "x"))
    assert (OTHERWISE["name"], name) in _general(tmp_path / "x")


def test_an_issuer_tells_two_of_one_id_apart(tmp_path):
    keys = []
    for i, issuer in enumerate(("HOSP_A", "HOSP_B", None, "HOSP_A", "unknown")):
        path = tmp_path / str(i)
        write_image(path, pixels=beating(1)[0], PatientID="4711", IssuerOfPatientID=issuer)
        people = people_of(str(path))
        assert set(people) == set(_general(path))
        keys.append(patient_key(people))
    assert keys == ["4711\0HOSP_A", "4711\0HOSP_B", "4711", "4711\0HOSP_A", "4711"]
    people = [(tags.PATIENT_ID, "1"), (tags.PATIENT_ID, "2"), (ISSUER, "2\0H"), (ISSUER, "2\0A")]
    assert patient_key(people) == patient_key(people[::-1]) == "1"
    assert patient_key(people[1:]) == patient_key(people[:0:-1]) == "2\0A"
    # An issuer may be any word: it is not looked for.
    assert clean("LOCAL wall motion.", [(ISSUER, "1\0LOCAL")]).text == "LOCAL wall motion."


def test_sequences_of_no_interest_are_passed_over_whatever_they_hold():
    def element(tag, value, length=None):
        head = np.array([tag >> 16, tag & 0xFFFF], "<u2").tobytes()
        size = len(value) if length is None else length
        return head + size.to_bytes(4, "little") + value

    undefined = 0xFFFFFFFF
    private = element(0x00291010, b"", undefined)
    start, stop = element(0xFFFEE000, b"", undefined), element(0xFFFEE00D, b"")
    last = element(0xFFFEE0DD, b"")
    name, other = element(0x0040A123, b"Doe^Jo"), element(0x0040A123, b"Roe^Al")
    closed = private + start + other + private + start + other + stop + last + stop + last
    items = start + closed + name + stop
    assert list(elements(items)) == [(0x0040A123, b"Doe^Jo")]
    assert list(elements(items[:-3])) == [(0x0040A123, b"Doe^Jo")]
    assert 0x0040A123 in WITHIN
    assert not SEQUENCES & WITHIN.keys()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_in_a_sequence_raises_nothing(noise):
    identifiers_of({0x0040A073: b"\xfe\xff\0\xe0\xff\xff\xff\xff" + noise, 0x00100010: b"Doe^Jo"})
