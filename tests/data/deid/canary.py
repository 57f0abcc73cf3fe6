"""A study with an identifier in every place that a DICOM file has for one, and a search for them.

Every planted text holds the made-up word `zarvane` and two letters of its own, so that a find says
where it is from; dates, times, numbers and UIDs have values that occur nowhere else.
"""

import base64
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.data.builders import AXIAL, beating

STEM = "zarvane"
MR, CAPTURE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"
PDF, SR = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.11"
BIRTH, VISIT, CLOCK = "19230117", "20111123", "142733.123456"
UIDS = "1.2.826.0.1.77665544"

NAMES = """
    PatientName ReferringPhysicianName PerformingPhysicianName OperatorsName OtherPatientNames
    PatientBirthName PatientMotherBirthName NameOfPhysiciansReadingStudy RequestingPhysician
    PhysiciansOfRecord ConsultingPhysicianName ResponsiblePerson OrderEnteredBy
    ScheduledPerformingPhysicianName VerifyingObserverName PersonName
""".split()  # noqa: SIM905
SHORT_TEXTS = """
    PatientID OtherPatientIDs AccessionNumber StationName StudyID EthnicGroup Occupation
    PerformedProcedureStepID ReferringPhysicianTelephoneNumbers PatientTelephoneNumbers
    TimezoneOffsetFromUTC
""".split()  # noqa: SIM905
LONG_TEXTS = """
    InstitutionName InstitutionalDepartmentName StudyDescription SeriesDescription
    ProtocolName ManufacturerModelName Manufacturer DeviceSerialNumber SoftwareVersions
    MedicalAlerts Allergies PatientReligiousPreference AdmissionID
    AdmittingDiagnosesDescription PatientAddress InsurancePlanIdentification
    MedicalRecordLocator RegionOfResidence CountryOfResidence RequestedProcedureDescription
    IssuerOfPatientID CurrentPatientLocation PerformedProcedureStepDescription DetectorID
    GantryID ClinicalTrialSubjectID ClinicalTrialSiteName PatientInstitutionResidence
""".split()  # noqa: SIM905
FREE_TEXTS = """
    AdditionalPatientHistory PatientComments ImageComments InstitutionAddress
    ReferringPhysicianAddress DerivationDescription VisitComments
    CommentsOnThePerformedProcedureStep TextValue RequestedProcedureComments FrameComments
""".split()  # noqa: SIM905
DATES = (
    "StudyDate SeriesDate AcquisitionDate ContentDate AdmittingDate PerformedProcedureStepStartDate"
)
TIMES = "StudyTime SeriesTime AcquisitionTime ContentTime PatientBirthTime"


@dataclass
class Plan:
    """What is planted where.

    Args:
        places: word -> where it is.
        other: values that are no words, and where they are.
    """

    places: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)

    def word(self, where: str) -> str:
        """The word of a place."""
        for pair in product(ascii_lowercase, repeat=2):
            word = STEM.capitalize() + "".join(pair)
            if self.places.setdefault(word, where) == where:
                return word
        raise AssertionError("too many places")

    def value(self, value: str, where: str) -> str:
        """Notes a value that is no word."""
        self.other[value] = where
        return value

    def __len__(self) -> int:
        return len(self.places) + len(self.other)


def _describe(plan: Plan, data: Dataset) -> None:
    for name in NAMES:
        setattr(data, name, f"{plan.word(name)}^Ludovika")
    for name in SHORT_TEXTS:
        setattr(data, name, f"{plan.word(name)}7")
    for name in LONG_TEXTS:
        setattr(data, name, f"cine SAX {plan.word(name)}")
    for name in FREE_TEXTS:
        setattr(data, name, f"Known as {plan.word(name)} to us")
    for name in DATES.split():
        setattr(data, name, plan.value(VISIT, "dates"))
    for name in TIMES.split():
        setattr(data, name, plan.value(CLOCK, "times"))
    data.PatientBirthDate = plan.value(BIRTH, "PatientBirthDate")
    data.AcquisitionDateTime = plan.value(f"{VISIT}{CLOCK}", "AcquisitionDateTime")
    data.PatientAge = plan.value("097Y", "PatientAge")
    data.PatientWeight = plan.value("918.2737", "PatientWeight")
    data.PatientSize = plan.value("1.8273645", "PatientSize")
    data.PregnancyStatus = 4
    data.MagneticFieldStrength = "1.494"
    data.BodyPartExamined = plan.word("BodyPartExamined").upper()
    data.ScheduledStationAETitle = plan.word("ScheduledStationAETitle").upper()
    data.RetrieveURL = f"https://{plan.word('RetrieveURL')}.example/p?id=1"
    data.LongCodeValue = plan.word("LongCodeValue")
    data.FrameOfReferenceUID = plan.value(f"{UIDS}.9", "FrameOfReferenceUID")
    data.InstanceCreatorUID = plan.value(f"{UIDS}.8", "InstanceCreatorUID")


def _nest(plan: Plan, data: Dataset) -> None:
    """Sequences, one in another, as far down as sites go."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = plan.word("CodeValue")[:16], "99X"
    code.CodeMeaning = plan.word("CodeMeaning")
    person = Dataset()
    person.PersonName = plan.word("nested PersonName")
    person.InstitutionName = plan.word("nested InstitutionName")
    person.PersonIdentificationCodeSequence = Sequence([code])
    other = Dataset()
    other.PatientID = plan.word("OtherPatientIDsSequence")
    request = Dataset()
    request.ScheduledProcedureStepDescription = plan.word("RequestAttributesSequence")
    request.RequestedProcedureID = plan.word("nested RequestedProcedureID")[:16]
    before = Dataset()
    before.PatientName = plan.word("OriginalAttributesSequence")
    original = Dataset()
    original.ModifiedAttributesSequence = Sequence([before])
    original.ReasonForTheAttributeModification = "CORRECT"
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation = 7, 0
    icon.PixelData = plan.word("IconImageSequence").encode().ljust(64, b"\0")
    data.ReferringPhysicianIdentificationSequence = Sequence([person])
    data.OtherPatientIDsSequence = Sequence([other])
    data.RequestAttributesSequence = Sequence([request])
    data.OriginalAttributesSequence = Sequence([original])
    data.ProcedureCodeSequence = Sequence([code])
    data.IconImageSequence = Sequence([icon])


def _private(plan: Plan, data: Dataset) -> None:
    block = data.private_block(0x0029, plan.word("private creator"), create=True)
    inner = Dataset()
    inner.PatientName = plan.word("private sequence")
    block.add_new(0x10, "LO", plan.word("private LO"))
    block.add_new(0x11, "OB", b"\0\1" + plan.word("private OB").encode("utf-16-le"))
    block.add_new(0x12, "UN", plan.word("private UN").encode())
    block.add_new(0x13, "SQ", Sequence([inner]))
    block.add_new(0x14, "UT", plan.word("private UT"))
    block.add_new(0x15, "PN", plan.word("private PN"))


def _planes(plan: Plan, data: Dataset) -> None:
    def add(tag: int, vr: str, value: object) -> None:
        data.add(DataElement(Tag(tag), vr, value))

    word = plan.word("OverlayData").encode().ljust(128, b"\0")
    add(0x60000010, "US", 32)
    add(0x60000011, "US", 32)
    add(0x60000022, "LO", plan.word("OverlayDescription"))
    add(0x60001500, "LO", plan.word("OverlayLabel"))
    add(0x60003000, "OW", word)
    add(0x60004000, "LT", plan.word("OverlayComments"))
    add(0x50000005, "US", 2)
    add(0x50000022, "LO", plan.word("CurveDescription"))
    add(0x5000200C, "OW", plan.word("AudioSampleData").encode().ljust(16, b"\0"))
    add(0x50003000, "OW", plan.word("CurveData").encode().ljust(16, b"\0"))
    add(0xFFFCFFFC, "OB", plan.word("DataSetTrailingPadding").encode().ljust(16, b"\0"))


def _meta(plan: Plan, *, implicit: bool, sop_class: str, sop: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop
    meta.SourceApplicationEntityTitle = plan.word("SourceApplicationEntityTitle")[:16]
    meta.SendingApplicationEntityTitle = plan.word("SendingApplicationEntityTitle")[:16]
    meta.ReceivingApplicationEntityTitle = plan.word("ReceivingApplicationEntityTitle")[:16]
    meta.PrivateInformationCreatorUID = plan.value(f"{UIDS}.7", "PrivateInformationCreatorUID")
    meta.PrivateInformation = plan.word("PrivateInformation").encode()
    return meta


def write_canary(
    folder: Path,
    plan: Plan,
    *,
    number: int = 1,
    slices: int = 2,
    phases: int = 8,
    series: int = 1,
    implicit: bool = False,
    charset: str = "ISO_IR 100",
    pixels: np.ndarray | None = None,
    **tags: object,
) -> list[Path]:
    """Writes one series of a study with something planted in every place; returns its files."""
    folder = folder / f"{plan.word('folder name')}_Ludovika"
    folder.mkdir(parents=True, exist_ok=True)
    frames = beating(phases) if pixels is None else pixels
    sop_class = str(tags.get("SOPClassUID", MR))
    written = []
    for place in range(slices):
        for phase, frame in enumerate(frames):
            image = place * len(frames) + phase + 1
            sop = f"{UIDS}.{number}.{series}.{image}"
            meta = _meta(plan, implicit=implicit, sop_class=sop_class, sop=sop)
            preamble = plan.word("preamble").encode().ljust(128, b"\0")
            data = FileDataset("", {}, file_meta=meta, preamble=preamble)
            data.SpecificCharacterSet = charset
            _describe(plan, data)
            _nest(plan, data)
            _private(plan, data)
            _planes(plan, data)
            data.SOPClassUID, data.SOPInstanceUID = sop_class, sop
            data.StudyInstanceUID = plan.value(f"{UIDS}.{number}", "StudyInstanceUID")
            data.SeriesInstanceUID = plan.value(f"{UIDS}.{number}.{series}", "SeriesInstanceUID")
            data.Modality, data.InstanceNumber, data.TriggerTime = "MR", image, phase * 100.0
            data.ImagePositionPatient = [0.0, 0.0, 8.0 * place]
            data.ImageOrientationPatient, data.PixelSpacing = list(AXIAL), [2.0, 2.0]
            data.Rows, data.Columns = frame.shape[:2]
            data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
            data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
            data.PixelRepresentation = 0
            # An overlay of old: text in a bit above the value.
            data.PixelData = (frame | _burnt(frame.shape)).astype("<u2").tobytes()
            for name, value in tags.items():
                setattr(data, name, value)
            path = folder / f"{plan.word('file name')}_{number}_{series}_{image}.dcm"
            dcmwrite(path, data, enforce_file_format=True)
            with open(path, "ab") as file:
                file.write(plan.word("after the data set").encode())
            written.append(path)
    return written


def _burnt(shape: tuple[int, ...]) -> np.ndarray:
    mark = np.zeros(shape, np.uint16)
    mark[2:6, 2:-2:2] = 0x8000
    return mark


REPORT = """{institution}
Patient: {family}, Ludovika ({family}^Ludovika), born 17.01.1923 (17 January 1923, 1923-01-17)
MRN {mrn}; accession {accession}; visit of 23 Nov 2011 at 14:27, seen on 23/11/2011.
INDICATION: Mrs {family_upper} is a 97-year-old lady, referred by Dr. {title} (dr {lower}).
FINDINGS: LVEF 45 %, EDV 120 ml. L. {family} was scanned at 1.5 T. Compare 20111123.
IMPRESSION: Dilated LV. Discussed with Prof. {prof} at St. {hospital} Hospital.
Call 0113 243 2799 or +49 711 1234567, {mail}@clinic.example, https://{url}.example/x
{street} Street 12; 12 {street} Street, Leeds LS1 4AB; UID {uid}; NHS 943 476 5919.
Electronically signed by {signed} {signed}, MD on 2011-11-24T10:11:12
"""


def report(plan: Plan, *, study: int = 1) -> str:
    """A report that names everybody."""
    people = ("title", "prof", "hospital", "signed", "street")
    named = {name: plan.word(f"report: {name}") for name in people}
    for value, where in (
        ("17.01.1923", "birth"), ("17 January 1923", "birth"), ("1923-01-17", "birth"),
        ("23 Nov 2011", "date"), ("23/11/2011", "date"), ("14:27", "time"), ("97-year", "age"),
        ("2432799", "phone"), ("243 2799", "phone"), ("711 1234567", "phone"), ("LS1 4AB", "place"),
        ("476 5919", "number"), ("2011-11-24", "date"), ("10:11:12", "time"), ("Ludovika", "name"),
    ):  # fmt: skip
        plan.value(value, f"report: {where}")
    family = plan.word("PatientName")
    return REPORT.format(
        institution=f"cine SAX {plan.word('InstitutionName')}",
        family=family,
        family_upper=family.upper(),
        mrn=plan.word("PatientID") + "7",
        accession=plan.word("AccessionNumber") + "7",
        lower=plan.word("report: lower case").lower(),
        mail=plan.word("report: mail").lower(),
        url=plan.word("report: url").lower(),
        uid=f"{UIDS}.{study}",
        **named,
    )


def searched(data: bytes) -> list[bytes]:
    """A file's bytes and what is packed in them: members of a zip, streams of a PNG, base64."""
    out = [data]
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            out += [archive.read(name) for name in archive.namelist()]
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data):
        out += searched(base64.b64decode(packed))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        at, stream = 8, b""
        while at < len(data):
            size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            stream += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
            at += size + 12
        out.append(zlib.decompress(stream))
    return out


def found(plan: Plan, outputs: dict[str, bytes]) -> list[str]:
    """What of a plan is in some outputs, in any of the encodings that text is written in."""
    finds = []
    for name, whole in outputs.items():
        for data in searched(whole):
            low = data.lower()
            for value, where in {**plan.places, **plan.other, STEM: "anywhere"}.items():
                for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                    if value.lower().encode(encoding) in low:
                        finds.append(f"{where} in {name} as {encoding}")
    return finds


def decoded(dataset: Path) -> bytes:
    """Every value of every record, arrays as their bytes."""
    from cmrjax.data.records import RecordSource

    source = RecordSource(dataset)
    parts = []
    for i in range(len(source)):
        for name, value in source[i].items():
            array = isinstance(value, np.ndarray)
            body = value.tobytes() if array else json.dumps(value, default=str).encode()
            parts.append(name.encode() + body)
    return b"\n".join(parts)
