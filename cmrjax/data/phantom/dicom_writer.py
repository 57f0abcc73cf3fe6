"""Real DICOM files from rendered studies, in the habits of three vendors.

The header of a series is encoded once; what differs between its files (UIDs, numbers, times,
positions) is patched in the bytes, which is some thirty times cheaper than encoding every header.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from cmrjax.data.phantom.render import Cine, Study
from cmrjax.data.phantom.scanner import Plane
from cmrjax.data.phantom.vendors import HABITS, Habit, Series, arrange

# Stand-ins of the same length as what replaces them; none occurs elsewhere in a header.
UID_MARK = "2.25." + "9" * 38
NUMBER_MARK, TIME_MARK, LOCATION_MARK = "98765432", "98765.4321", "-98765.432"
POSITION_MARKS = ("-91919.191", "-92929.292", "-93939.393")

FAMILY_NAMES = ("Quill", "Marrow", "Tansy", "Fennick", "Orrel", "Brask", "Lumley", "Vesper")
GIVEN_NAMES = ("Alva", "Bram", "Cleo", "Dorian", "Edda", "Felix", "Greta", "Hollis")
INSTITUTIONS = ("Phantom General Hospital", "Northgate Imaging Centre")


@dataclass(frozen=True)
class Identity:
    """Who the phantom pretends to be, for de-identification to remove: all of it is made up."""

    name: str
    patient_id: str
    birth_date: str
    sex: str
    study_date: str
    study_time: str
    accession: str
    institution: str
    physician: str


def uid(*parts: object) -> str:
    """A valid UID of 43 characters that depends on ``parts`` alone.

    One whose digits happen to hold `NUMBER_MARK` is passed over: a file's instance number would be
    written into it.
    """
    text = "/".join(map(str, parts)).encode()
    while True:
        digest = hashlib.blake2b(text, digest_size=16).digest()
        number = str(10**37 + int.from_bytes(digest, "big") % (9 * 10**37))
        if NUMBER_MARK not in number:
            return f"2.25.{number}"
        text = digest


def sample_identity(seed: int, index: int) -> Identity:
    """Draws a made-up identity, independent of the patient's heart."""
    rng = np.random.default_rng([seed, index, 3])
    return Identity(
        name=f"{rng.choice(FAMILY_NAMES)}^{rng.choice(GIVEN_NAMES)}",
        patient_id=f"PH{rng.integers(10**7, 10**8)}",
        birth_date=_date(rng, 1935, 2004),
        sex=str(rng.choice(("M", "F"))),
        study_date=_date(rng, 2012, 2024),
        study_time=f"{rng.integers(8, 18):02d}{rng.integers(60):02d}00",
        accession=f"A{rng.integers(10**8, 10**9)}",
        institution=str(rng.choice(INSTITUTIONS)),
        physician=f"{rng.choice(FAMILY_NAMES)}^{rng.choice(GIVEN_NAMES)}",
    )


def _date(rng: np.random.Generator, first_year: int, end_year: int) -> str:
    year, month, day = rng.integers(first_year, end_year), rng.integers(1, 13), rng.integers(1, 29)
    return f"{year}{month:02d}{day:02d}"


def study_uid(seed: int, index: int) -> str:
    """StudyInstanceUID of a patient's study."""
    return uid(seed, index, "study")


def write_study(study: Study, folder: Path, *, seed: int, index: int) -> int:
    """Writes every image of a study as a DICOM file of its own.

    Args:
        study: from `render.render_study`.
        folder: made if missing; the files' names say nothing.
        seed: with ``index``, fixes UIDs, identity and file names.
        index: the patient's number.

    Returns:
        The number of files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = sample_identity(seed, index)
    habit = HABITS[study.protocol.vendor]
    rng = np.random.default_rng([seed, index, 4])
    count = 0
    for series in arrange(study, habit, rng):
        series_uid = uid(seed, index, "series", series.number)
        header = _template(study, series, habit, identity, seed, index, series_uid)
        for instance, (image, frame) in enumerate(series.images, start=1):
            sop = uid(seed, index, series.number, instance)
            data = _patched(header, study, habit, image, frame, instance, sop)
            name = hashlib.blake2b(sop.encode(), digest_size=8).hexdigest()
            pixels = np.ascontiguousarray(image.pixels[frame], "<u2").tobytes()
            length = len(pixels).to_bytes(4, "little")
            element = b"\xe0\x7f\x10\x00OW\x00\x00" + length + pixels
            (folder / f"{name}.dcm").write_bytes(data + element)
            count += 1
    return count


def _template(study, series: Series, habit: Habit, identity, seed, index, series_uid) -> bytes:
    """The series' encoded header with stand-ins, up to the pixel data."""
    data = FileDataset("", {}, file_meta=_meta(), preamble=b"\0" * 128)
    _describe_patient(data, identity)
    _describe_equipment(data, study, habit, identity)
    _describe_series(data, study, series, habit)
    data.StudyInstanceUID, data.SeriesInstanceUID = study_uid(seed, index), series_uid
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, UID_MARK
    data.FrameOfReferenceUID = uid(seed, index, "frame of reference")
    data.StudyID = identity.accession[-4:]
    _describe_image(data, study, series.images[0][0])
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(UID_MARK)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("cmrjax", "phantom"))
    return meta


def _describe_patient(data: Dataset, identity: Identity) -> None:
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientName, data.PatientID = identity.name, identity.patient_id
    data.PatientBirthDate, data.PatientSex = identity.birth_date, identity.sex
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = identity.study_date
    data.ContentDate = identity.study_date
    data.StudyTime = data.SeriesTime = data.ContentTime = identity.study_time
    data.AccessionNumber = identity.accession
    data.ReferringPhysicianName = identity.physician
    data.PatientPosition = "HFS"


def _describe_equipment(data: Dataset, study: Study, habit: Habit, identity: Identity) -> None:
    data.Modality, data.BodyPartExamined = "MR", "HEART"
    data.Manufacturer, data.ManufacturerModelName = habit.manufacturer, habit.model
    data.InstitutionName = identity.institution
    data.SoftwareVersions = habit.software
    data.MagneticFieldStrength = f"{study.protocol.field_strength:g}"
    data.StudyDescription = habit.study_description


def _describe_series(data: Dataset, study: Study, series: Series, habit: Habit) -> None:
    protocol = study.protocol
    data.SeriesDescription, data.ProtocolName = series.description, series.protocol
    data.SeriesNumber = str(series.number)
    data.ScanningSequence = ["GR", "IR"] if series.kind == "late" else habit.scanning_sequence
    data.SequenceVariant = habit.sequence_variant
    data.ScanOptions = habit.scan_options
    data.MRAcquisitionType = "2D"
    data.ImageType = list(habit.image_type)
    data.RepetitionTime, data.EchoTime = habit.repetition_time, habit.echo_time
    data.FlipAngle, data.EchoTrainLength = habit.flip_angle, "1"
    if series.kind == "cine":
        data.NominalInterval = str(round(60000.0 / protocol.heart_rate))
        data.HeartRate = str(round(protocol.heart_rate))
        data.CardiacNumberOfImages = str(protocol.phases)
        data.TriggerTime = TIME_MARK
    data.SliceThickness = f"{protocol.thickness_mm:g}"
    if series.kind != "scout" and series.images[0][0].plane.view == "sax":
        data.SpacingBetweenSlices = f"{protocol.gap_mm:g}"


def _describe_image(data: Dataset, study: Study, image: Cine) -> None:
    plane, axes = image.plane, study.protocol.axes
    cosines = np.concatenate([axes @ plane.row, axes @ plane.column])
    data.InstanceNumber, data.AcquisitionNumber = NUMBER_MARK, "1"
    data.ImagePositionPatient = list(POSITION_MARKS)
    data.ImageOrientationPatient = [f"{value:.9f}" for value in cosines]
    data.SliceLocation = LOCATION_MARK
    data.Rows = data.Columns = plane.size
    data.PixelSpacing = [f"{plane.spacing:.4f}"] * 2
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    # The display window follows the scanner's scale, which says nothing about the patient.
    data.WindowCenter = str(round(0.6 * study.protocol.contrast.scale))
    data.WindowWidth = str(round(1.2 * study.protocol.contrast.scale))


def image_position(study: Study, plane: Plane) -> np.ndarray:
    """Where the centre of the first pixel lies in the patient, [3] mm (LPS)."""
    half = 0.5 * (plane.size - 1) * plane.spacing
    corner = plane.centre - half * plane.row - half * plane.column
    return study.protocol.origin + study.protocol.axes @ corner


def _patched(header, study: Study, habit: Habit, image: Cine, frame, instance, sop) -> bytes:
    position = image_position(study, image.plane)
    axes = study.protocol.axes
    normal = axes @ np.cross(image.plane.row, image.plane.column)
    time = habit.trigger_delay + image.phase[frame] * 60000.0 / study.protocol.heart_rate
    changes = [
        (UID_MARK, sop),
        (NUMBER_MARK, f"{instance:8d}"),
        (TIME_MARK, f"{time:10.4f}"),
        (LOCATION_MARK, f"{float(position @ normal):10.3f}"),
        *((mark, f"{x:10.3f}") for mark, x in zip(POSITION_MARKS, position, strict=True)),
    ]
    for mark, value in changes:
        header = header.replace(mark.encode(), value.encode())
    return header
