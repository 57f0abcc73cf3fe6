"""Which header elements say who somebody is: read to find the same in the report, never stored."""

from collections.abc import Iterable, Mapping
from datetime import date

# (group, element) -> what it holds. Kinds: a person's name, a number or code, a date, a place, an
# age.
IDENTIFYING: Mapping[int, str] = {
    0x00080012: "date",  # InstanceCreationDate
    0x00080020: "date",  # StudyDate
    0x00080021: "date",  # SeriesDate
    0x00080022: "date",  # AcquisitionDate
    0x00080023: "date",  # ContentDate
    0x0008002A: "date",  # AcquisitionDateTime
    0x00080050: "id",  # AccessionNumber
    0x00080080: "place",  # InstitutionName
    0x00080081: "place",  # InstitutionAddress
    0x00080090: "name",  # ReferringPhysicianName
    0x00080092: "place",  # ReferringPhysicianAddress
    0x00080094: "id",  # ReferringPhysicianTelephoneNumbers
    0x0008009C: "name",  # ConsultingPhysicianName
    0x00081010: "id",  # StationName
    0x00081040: "place",  # InstitutionalDepartmentName
    0x00081048: "name",  # PhysiciansOfRecord
    0x00081050: "name",  # PerformingPhysicianName
    0x00081060: "name",  # NameOfPhysiciansReadingStudy
    0x00081070: "name",  # OperatorsName
    0x00100010: "name",  # PatientName
    0x00100020: "id",  # PatientID
    0x00100030: "date",  # PatientBirthDate
    0x00101000: "id",  # OtherPatientIDs
    0x00101001: "name",  # OtherPatientNames
    0x00101005: "name",  # PatientBirthName
    0x00101010: "age",  # PatientAge
    0x00101040: "place",  # PatientAddress
    0x00101050: "id",  # InsurancePlanIdentification
    0x00101060: "name",  # PatientMotherBirthName
    0x00101090: "id",  # MedicalRecordLocator
    0x00102152: "place",  # RegionOfResidence
    0x00102154: "id",  # PatientTelephoneNumbers
    0x00102297: "name",  # ResponsiblePerson
    0x00102299: "place",  # ResponsibleOrganization
    0x00120040: "id",  # ClinicalTrialSubjectID
    0x00120042: "id",  # ClinicalTrialSubjectReadingID
    0x00181000: "id",  # DeviceSerialNumber
    0x00200010: "id",  # StudyID
    0x00321032: "name",  # RequestingPhysician
    0x00321033: "place",  # RequestingService
    0x00380010: "id",  # AdmissionID
    0x00380020: "date",  # AdmittingDate
    0x00380030: "date",  # DischargeDate
    0x00380060: "id",  # ServiceEpisodeID
    0x00380300: "place",  # CurrentPatientLocation
    0x00380400: "place",  # PatientInstitutionResidence
    0x00400002: "date",  # ScheduledProcedureStepStartDate
    0x00400006: "name",  # ScheduledPerformingPhysicianName
    0x00400009: "id",  # ScheduledProcedureStepID
    0x00400010: "id",  # ScheduledStationName
    0x00400242: "id",  # PerformedStationName
    0x00400244: "date",  # PerformedProcedureStepStartDate
    0x00400250: "date",  # PerformedProcedureStepEndDate
    0x00400253: "id",  # PerformedProcedureStepID
    0x00401001: "id",  # RequestedProcedureID
    0x00401006: "id",  # PlacerOrderNumberProcedure
    0x00401007: "id",  # FillerOrderNumberProcedure
    0x00401010: "name",  # NamesOfIntendedRecipientsOfResults
    0x00402004: "date",  # IssueDateOfImagingServiceRequest
    0x00402008: "name",  # OrderEnteredBy
    0x00402016: "id",  # PlacerOrderNumberImagingServiceRequest
    0x00402017: "id",  # FillerOrderNumberImagingServiceRequest
    0x00404037: "name",  # HumanPerformerName
    0x0040A075: "name",  # VerifyingObserverName
    0x00700084: "name",  # ContentCreatorName
}
# Looked for beside these: they differ from file to file, and are read for other ends.
UIDS: Mapping[int, str] = {
    0x00080018: "uid",  # SOPInstanceUID
    0x0020000D: "uid",  # StudyInstanceUID
    0x0020000E: "uid",  # SeriesInstanceUID
}
LOOKED_FOR: Mapping[int, str] = {**IDENTIFYING, **UIDS}
# Sequences with such elements in their items, or in sequences of these that stand here, too.
SEQUENCES = frozenset(
    (
        0x0008009D,  # ConsultingPhysicianIdentificationSequence
        0x00080096,  # ReferringPhysicianIdentificationSequence
        0x00081049,  # PhysiciansOfRecordIdentificationSequence
        0x00081052,  # PerformingPhysicianIdentificationSequence
        0x00081062,  # PhysiciansReadingStudyIdentificationSequence
        0x00081072,  # OperatorIdentificationSequence
        0x00101002,  # OtherPatientIDsSequence
        0x00321031,  # RequestingPhysicianIdentificationSequence
        0x0040000B,  # ScheduledPerformingPhysicianIdentificationSequence
        0x00400275,  # RequestAttributesSequence
        0x00401101,  # PersonIdentificationCodeSequence
        0x00404009,  # HumanPerformerCodeSequence
        0x00404035,  # ActualHumanPerformersSequence
        0x0040A073,  # VerifyingObserverSequence
        0x0040A078,  # AuthorObserverSequence
        0x0040A07A,  # ParticipantSequence
        0x0040A088,  # VerifyingObserverIdentificationCodeSequence
        0x0040A370,  # ReferencedRequestSequence
        0x0040A730,  # ContentSequence
        0x00700086,  # ContentCreatorIdentificationCodeSequence
        0x04000550,  # ModifiedAttributesSequence
        0x04000561,  # OriginalAttributesSequence
    )
)
# What identifies within these, and elsewhere means something else or does not stand.
WITHIN: Mapping[int, str] = {
    **IDENTIFYING,
    0x00080100: "id",  # CodeValue, of a person
    0x00080104: "name",  # CodeMeaning, of a person: their name
    0x00401102: "place",  # PersonAddress
    0x00401103: "id",  # PersonTelephoneNumbers
    0x0040A027: "place",  # VerifyingOrganization
    0x0040A030: "date",  # VerificationDateTime
    0x0040A123: "name",  # PersonName
}
# Where a further reading of an element stands, and what a sequence says of anybody: they are looked
# for, and tell no patient from another.
OTHERWISE: Mapping[str, int] = {
    "name": 0x00101001,
    "id": 0x00101000,
    "date": 0x00080023,
    "place": 0x00080081,
    "age": 0x00101010,
}
_STUDY_DATE, _ACQUISITION_DATE = 0x00080020, 0x00080022
_NAME, _ID, BIRTH_DATE = 0x00100010, 0x00100020, 0x00100030
# Not looked for in a report, as it may be any word; see `issued`.
ISSUER = 0x00100021
# What sites write where an id was removed: one "patient" of all of them would be wrong.
_NO_ID = frozenset(
    """anon anonymous anonymized anonymised deidentified de-identified removed deleted withheld
    unknown unspecified none null nil na n/a""".split()  # noqa: SIM905
)
_FILLING = "0xX.-_*? "  # an id of these alone was overwritten

Identifier = tuple[int, str]


def day_of(text: str) -> date | None:
    """The day of a DICOM date or date-time; nothing for what is none (`20120000` is met).

    Example:
        >>> day_of('20190403'), day_of('2019.04.03'), day_of('20120000')
        (datetime.date(2019, 4, 3), datetime.date(2019, 4, 3), None)
    """
    digits = "".join(c for c in text[:10] if c in "0123456789")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def study_day(identifiers: Iterable[Identifier]) -> date | None:
    """The day of a study, the earliest where its images differ."""
    days: dict[int, list[date]] = {_STUDY_DATE: [], _ACQUISITION_DATE: []}
    for tag, text in identifiers:
        if tag in days and (day := day_of(text)):
            days[tag].append(day)
    return min(days[_STUDY_DATE] or days[_ACQUISITION_DATE], default=None)


def issued(patient_id: str, issuer: str) -> Identifier:
    """Who gave a patient an id, and which: two hospitals may give the same one to two people."""
    return ISSUER, f"{patient_id.strip()}\0{issuer.strip()}"


def patient_key(identifiers: Iterable[Identifier]) -> str | None:
    """What tells one patient from another, to be hashed and never stored.

    The PatientID, with who issued it where that is said; without one, name and birth date together
    (two patients may share a name alone).
    Of a study whose images differ, the same one in whatever order they come.

    Returns:
        Nothing when the headers do not say: the study then stands for its own patient.
    """
    pairs = list(identifiers)
    held = sorted(text.strip() for tag, text in pairs if tag == _ID)
    ids = [text for text in held if not _is_removed(text)]
    if not ids:
        return person_key(pairs)
    told = sorted(text.partition("\0") for tag, text in pairs if tag == ISSUER)
    issuers = [who for held, _, who in told if held == ids[0] and not _is_removed(who)]
    return f"{ids[0]}\0{issuers[0]}" if issuers else ids[0]


def person_key(identifiers: Iterable[Identifier]) -> str | None:
    """Name and birth date together, to be hashed and never stored in a dataset.

    Returns:
        Nothing when the headers do not give both.
    """
    held: dict[int, set[str]] = {_NAME: set(), BIRTH_DATE: set()}
    for tag, text in identifiers:
        if tag in held:
            held[tag].add(text.strip())
    names = sorted(" ".join(text.lower().replace("^", " ").split()) for text in held[_NAME])
    days = sorted(str(day) for text in held[BIRTH_DATE] if (day := day_of(text)))
    names = [name for name in names if not _is_removed(name)]
    return f"{names[0]}\0{days[0]}" if names and days else None


def _is_removed(text: str) -> bool:
    return text.lower() in _NO_ID or not text.strip(_FILLING)
