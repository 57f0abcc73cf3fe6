import math

import numpy as np
import pydicom
import pytest

from cmrjax.data.deid.headers import person_key
from cmrjax.data.deid.text import clean
from cmrjax.data.dicom import Rejected, read_images, read_pixels, read_stored, study_of, tags
from tests.data.builders import AXIAL, write_image
from tests.data.dicom.build import pixels, write_big_endian, write_enhanced


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x"


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_header_and_pixels_equal_pydicoms(path, implicit, kind):
    signed = (pixels().astype(int) - 2000 * (kind is np.int16)).astype(kind)
    write_image(
        path,
        pixels=signed,
        implicit=implicit,
        TriggerTime="37.5",
        RescaleSlope="2",
        RescaleIntercept="-7",
        ReferringPhysicianName="Doe^Jo",
    )
    (image,), dataset = read_images(str(path)), pydicom.dcmread(path)
    assert study_of(str(path)) == (dataset.StudyInstanceUID, "A1")
    assert image.layout.direct
    assert image.position == tuple(dataset.ImagePositionPatient)
    assert image.shared.orientation == AXIAL
    assert (image.trigger, image.instance) == (37.5, 1)
    assert math.isnan(image.shared.inversion_time)
    assert {"Doe^Jo", "Testperson^Erika", "P1", "A1"} <= {
        text for _, text in image.shared.identifiers
    }
    np.testing.assert_array_equal(read_stored([image])[0], dataset.pixel_array)
    np.testing.assert_allclose(read_pixels([image])[0], dataset.pixel_array * 2.0 - 7)


def test_monochrome1_is_turned_so_that_bright_is_more(path):
    write_image(path, pixels=pixels(), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_pixels(read_images(str(path)))[0], -pixels().astype(float))


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_every_width_and_sign_equals_pydicoms(path, bits, signed):
    rng = np.random.default_rng(bits)
    stored = rng.integers(0, 1 << bits, (6, 5), dtype=np.uint64)
    kind = f"{'i' if signed else 'u'}{bits // 8}"
    write_image(
        path,
        pixels=stored.astype(f"u{bits // 8}").view(kind),
        BitsAllocated=bits,
        BitsStored=bits - 3,
        HighBit=bits - 4,
    )
    ours, theirs = read_stored(read_images(str(path)))[0], pydicom.dcmread(path).pixel_array
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "not_mr"),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, "dicomdir"),
        ({"NumberOfFrames": 3}, "truncated"),
        ({"NumberOfFrames": 0}, "bad_size"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not_grey"),
        ({"PhotometricInterpretation": "RGB"}, "not_grey"),
        ({"ImagePositionPatient": None}, "no_geometry"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "no_geometry"),
        ({"PixelSpacing": [0.0, 0.0]}, "no_geometry"),
        ({"Rows": 60000, "Columns": 60000}, "too_large"),
        ({"Rows": 0}, "bad_size"),
        ({"Rows": 200}, "truncated"),
        ({"BitsStored": 17}, "bad_pixels"),
        ({"BitsAllocated": 12}, "bad_pixels"),
        ({"RescaleSlope": "0"}, "bad_pixels"),
        ({"RescaleSlope": "1e30"}, "bad_pixels"),
    ],
)
def test_each_rejection_has_its_reason(path, tags, reason):
    write_image(path, pixels=pixels(), **tags)
    with pytest.raises(Rejected) as caught:
        read_images(str(path))
    assert caught.value.reason == reason


def test_several_frames_without_places_are_rejected(path):
    write_image(path, pixels=np.stack([pixels()] * 2).reshape(64, 32), Rows=32, NumberOfFrames=2)
    with pytest.raises(Rejected, match="no_frame_positions"):
        read_images(str(path))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Zoë"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("GB18030", "王^小东"),
    ],
)
def test_names_are_read_in_their_alphabets(path, charset, name):
    write_image(path, pixels=pixels(), SpecificCharacterSet=charset, PatientName=name)
    assert dict(read_images(str(path))[0].shared.identifiers)[0x00100010] == name


def _with_name(path, charset, name, write):
    """An image whose PatientName has other bytes than its charset says."""
    write(path, pixels())
    dataset = pydicom.dcmread(path)
    name += b" " * (len(name) % 2)
    dataset.PatientName = "N" * len(name)
    dataset.SpecificCharacterSet = charset or "ISO_IR 6"
    if charset is None:
        del dataset.SpecificCharacterSet
    dataset.save_as(path)
    data = path.read_bytes()
    assert data.count(b"N" * len(name)) == 1
    path.write_bytes(data.replace(b"N" * len(name), name))


MISREAD = [
    (None, "utf-8", "Müller^Jürgen"),
    ("ISO_IR 100", "utf-8", "Müller^Jürgen"),
    ("ISO_IR 100", "utf-8", "García^José"),
    (None, "utf-8", "Иванов^Пётр"),
    ("ISO_IR 101", "utf-8", "Łukaszewicz^Żaneta"),
    (None, "cp1250", "Łukaszewicz^Żaneta"),
    (None, "cp1251", "Иванов^Пётр"),
    ("ISO_IR 100", "cp1252", "Šimek^Œdipe"),
    ("ISO_IR 192", "latin-1", "Müller^Jürgen"),
]


@pytest.mark.parametrize(("charset", "encoding", "name"), MISREAD)
@pytest.mark.parametrize("write", [lambda p, a: write_image(p, pixels=a), write_big_endian])
def test_names_are_read_whatever_the_charset_says(path, charset, encoding, name, write):
    _with_name(path, charset, name.encode(encoding), write)
    people = read_images(str(path))[0].shared.identifiers
    assert name in {text for _, text in people}
    assert sum(tag == 0x00100010 for tag, _ in people) == 1
    first, last = name.split("^")[::-1]
    cleaned = clean(f"Findings: we saw {first} {last} again.", people).text
    assert cleaned == "Findings: we saw [name] again."


def test_a_name_in_utf8_tells_the_same_patient_whether_said_or_not(path):
    keys = set()
    for charset in (None, "ISO_IR 100", "ISO_IR 192"):
        _with_name(path, charset, "Müller^Jürgen".encode(), lambda p, a: write_image(p, pixels=a))
        people = dict(read_images(str(path))[0].shared.identifiers)
        keys.add(person_key([(0x00100010, people[0x00100010]), (0x00100030, "19500101")]))
    assert keys == {"müller jürgen\x001950-01-01"}


def test_a_name_cut_off_within_a_character_is_utf8_and_latin_1_is_none():
    assert tags.text("Müller^Jürgen".encode()[:-5]) == "Müller^J"
    assert tags.text("Zoë^José".encode("latin-1")) == "Zoë^José"
    assert tags.text("José".encode("latin-1")) == "José"
    assert tags.readings(b"Doe^Jo") == ("Doe^Jo",)


def test_the_frames_of_an_enhanced_image(path):
    frames = np.stack([pixels() + 3 * i for i in range(6)])
    places = [(0, 0, 8.0 * (i // 3)) for i in range(6)]
    write_enhanced(path, frames, places, [i % 3 * 40.0 for i in range(6)], TriggerTime="9")
    images = read_images(str(path))
    assert [i.position for i in images] == places
    assert [i.trigger for i in images] == [0, 40, 80, 0, 40, 80]
    assert [i.temporal for i in images] == [1, 2, 3, 4, 5, 6]
    assert {(i.shared.orientation, i.shared.spacing) for i in images} == {(AXIAL, (1.5, 1.5))}
    assert [(i.shared.slope, i.shared.intercept) for i in images] == [(2, n) for n in range(6)]
    assert images[0].shared.component == "magnitude"
    expected = frames * 2.0 + np.arange(6)[:, None, None]
    np.testing.assert_allclose(read_pixels(images), expected)
    np.testing.assert_allclose(read_pixels([images[4], images[1]]), expected[[4, 1]])


def test_without_times_an_enhanced_image_has_an_index_of_them(path):
    frames = np.stack([pixels()] * 4)
    write_enhanced(path, frames, [(0, 0, 0)] * 4, [None] * 4)
    dataset = pydicom.dcmread(path)
    pointer = pydicom.Dataset()
    pointer.DimensionIndexPointer = 0x00209153
    other = pydicom.Dataset()
    other.DimensionIndexPointer = 0x00209056
    dataset.DimensionIndexSequence = [other, pointer]
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence[0].DimensionIndexValues = [7, 4 - number]
    dataset.save_as(path)
    images = read_images(str(path))
    assert [i.phase for i in images] == [4, 3, 2, 1]
    assert all(math.isnan(i.trigger) for i in images)


def test_an_enhanced_image_must_place_each_frame(path):
    write_enhanced(path, np.stack([pixels()] * 3), [(0, 0, 0)] * 3, [0, 1, 2])
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.save_as(path)
    with pytest.raises(Rejected, match="no_frame_positions"):
        read_images(str(path))
