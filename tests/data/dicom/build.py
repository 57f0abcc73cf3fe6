"""Small DICOM files of every kind that is read, with known pixels."""

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image as Picture
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.data.builders import AXIAL, beating, write_image

HAS_CODECS = all(map(importlib.util.find_spec, ("imagecodecs", "jpeg_ls", "openjpeg", "rle")))


def pixels() -> np.ndarray:
    """A small image with twelve bits, uint16 `[h, w]`."""
    return (beating(1)[0] * 4 + np.arange(32, dtype=np.uint16)).astype(np.uint16)


def write_big_endian(path: Path, image: np.ndarray) -> None:
    """Explicit big-endian, which is retired, and met."""
    dataset = _decoded(path, image)
    dataset.file_meta = pydicom.dcmread(path).file_meta
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset["PixelData"].value = image.astype(">u2").tobytes()
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _decoded(path: Path, image: np.ndarray) -> Dataset:
    """An image's elements, free of how they were written."""
    write_image(path, pixels=image)
    out = Dataset()
    for element in pydicom.dcmread(path):
        out.add(element)
    return out


def write_deflated(path: Path, image: np.ndarray) -> None:
    """Deflated explicit little-endian."""
    write_image(path, pixels=image)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)


def write_bare(path: Path, image: np.ndarray) -> None:
    """Without preamble and file meta, as old archives keep them."""
    dataset = _decoded(path, image)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.save_as(path, implicit_vr=True, little_endian=True)


def write_encapsulated(path: Path, frame: bytes, syntax: str, image: np.ndarray, **tags) -> None:
    """One compressed frame as pydicom puts it into fragments."""
    write_image(path, pixels=image, **tags)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)


def picture(image: np.ndarray, kind: str, **options) -> bytes:
    """An image in a picture format, by Pillow."""
    out = io.BytesIO()
    Picture.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def write_rle(path: Path, image: np.ndarray) -> None:
    """Run lengths."""
    write_image(path, pixels=image)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    dataset.save_as(path)


def write_enhanced(path: Path, frames: np.ndarray, positions, triggers, **tags) -> None:
    """An enhanced image: geometry shared, places and times frame by frame.

    Args:
        path: where it goes.
        frames: uint16 `[n, h, w]`.
        positions: ImagePositionPatient of each frame.
        triggers: ms of each frame after the R wave, or None where nothing is said.
        tags: further elements of the file.
    """
    write_image(
        path,
        pixels=frames[0],
        **{
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1",
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
            "NumberOfFrames": len(frames),
            "BitsStored": 12,
            "HighBit": 11,
            **tags,
        },
    )
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence = [
        _group(
            PlaneOrientationSequence={"ImageOrientationPatient": list(AXIAL)},
            PixelMeasuresSequence={"PixelSpacing": [1.5, 1.5], "SliceThickness": 8},
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _group(
            PlanePositionSequence={"ImagePositionPatient": list(position)},
            FrameContentSequence={"TemporalPositionIndex": i + 1, "InStackPositionNumber": 1},
            **(
                {}
                if trigger is None
                else {"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": trigger}}
            ),
            MRImageFrameTypeSequence={
                "FrameType": ["ORIGINAL", "PRIMARY", "M", "NONE"],
                "ComplexImageComponent": "MAGNITUDE",
            },
            PixelValueTransformationSequence={
                "RescaleIntercept": i,
                "RescaleSlope": 2,
                "RescaleType": "US",
            },
        )
        for i, (position, trigger) in enumerate(zip(positions, triggers, strict=True))
    ]
    dataset.PixelData = np.ascontiguousarray(frames, "<u2").tobytes()
    dataset.save_as(path)


def _group(**sequences: Mapping[str, object]) -> Dataset:
    out = Dataset()
    for name, values in sequences.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(out, name, Sequence([item]))
    return out


def write_every_kind(folder: Path) -> dict[str, np.ndarray]:
    """One small file of each kind.

    Returns:
        File name -> its pixels; those of 'baseline' are lossy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = pixels()
    small = (image >> 4).astype(np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    out = dict.fromkeys(("explicit", "implicit", "big", "deflated", "bare", "rle"), image)
    write_image(folder / "explicit", pixels=image)
    write_image(folder / "implicit", pixels=image, implicit=True)
    write_big_endian(folder / "big", image)
    write_deflated(folder / "deflated", image)
    write_bare(folder / "bare", image)
    write_rle(folder / "rle", image)
    frames = np.stack([image + i for i in range(6)])
    write_enhanced(
        folder / "enhanced", frames, [(0, 0, 8 * (i % 2)) for i in range(6)], np.arange(6) * 40.0
    )
    out |= {"enhanced": frames, "baseline": small, "j2k": small}
    write_encapsulated(
        folder / "baseline", picture(small, "JPEG", quality=95), JPEGBaseline8Bit, small, **eight
    )
    j2k = picture(small, "JPEG2000", irreversible=False, no_jp2=True)
    write_encapsulated(folder / "j2k", j2k, JPEG2000Lossless, small, **eight)
    if HAS_CODECS:
        import imagecodecs  # type: ignore[import-not-found]

        lossless = imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=16)
        write_encapsulated(folder / "lossless", lossless, JPEGLosslessSV1, image)
        write_encapsulated(
            folder / "jpegls", imagecodecs.jpegls_encode(image), JPEGLSLossless, image
        )
        htj2k = imagecodecs.htj2k_encode(image, reversible=True)
        write_encapsulated(folder / "htj2k", htj2k, HTJ2KLossless, image)
        out |= {"lossless": image, "jpegls": image, "htj2k": image}
    return out
