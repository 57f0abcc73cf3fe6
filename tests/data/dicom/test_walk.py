import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from cmrjax.data.dicom.alike import Reader
from cmrjax.data.dicom.walk import END, Short, Unusual, Walk

NAME, DESCRIPTION, TIME, POSITION = 0x00100010, 0x0008103E, 0x00181060, 0x00200032
STEPS, NESTED, ITEMS = 0x00400555, 0x0040A730, 0x00081140
WANTED = (NAME, DESCRIPTION, TIME, POSITION)
TEXT = st.text("abcXYZ019 .-", max_size=40)


def encode(dataset: Dataset, *, explicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, not explicit
    write_dataset(out, dataset)
    return out.getvalue()


def header(name="", description="", time="", items=(), *, undefined=False) -> Dataset:
    out = Dataset()
    out.SeriesDescription, out.PatientName, out.TriggerTime = description, name, time
    out.ImagePositionPatient = [1.5, -2, 3]
    inner = []
    for text in items:
        item = Dataset()
        item.ReferencedSOPInstanceUID = "1.2.3"
        item.PatientName = text  # the same tag inside a sequence is another thing
        item.add_new(NESTED, "SQ", Sequence([Dataset()]))
        inner.append(item)
        item.is_undefined_length_sequence_item = undefined
    out.ReferencedImageSequence = Sequence(inner)
    out["ReferencedImageSequence"].is_undefined_length = undefined
    out.add_new(0x00091001, "UN", b"\x01\x02\x03")
    out.add_new(0x00291010, "OB", bytes(300))
    return out


def found(data: bytes, *, explicit: bool, entered=()) -> dict:
    values, at = Walk(WANTED, entered)(data, 0, explicit=explicit, stop=END)
    assert at == len(data)
    return values


@pytest.mark.parametrize("explicit", [True, False])
@given(TEXT, TEXT, st.lists(TEXT, max_size=3), st.booleans())
def test_wanted_values_are_those_that_were_written(explicit, name, description, items, undefined):
    dataset = header(name, description, "12.5", items, undefined=undefined)
    values = found(encode(dataset, explicit=explicit), explicit=explicit)
    assert values[NAME].rstrip() == name.rstrip().encode()
    assert values[DESCRIPTION].rstrip() == description.rstrip().encode()
    assert values[TIME] == b"12.5"
    assert values[POSITION] == b"1.5\\-2.0\\3.0"
    assert set(values) == set(WANTED)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_items_are_read_where_they_are_asked_for(explicit, undefined):
    dataset = header("outer", items=["first", "second"], undefined=undefined)
    data = encode(dataset, explicit=explicit)
    values = found(data, explicit=explicit, entered=(ITEMS,))
    assert [item[NAME] for item in values[ITEMS]] == [b"first ", b"second"]
    assert values[NAME] == b"outer "


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_a_sequence_is_kept_as_its_bytes(explicit, undefined):
    data = encode(header(items=["first", "second"], undefined=undefined), explicit=explicit)
    values, _ = Walk((ITEMS,))(data, 0, explicit=explicit, stop=END)
    begin = data.index(b"\x08\0\x40\x11") + (12 if explicit else 8)
    end = data.index(b"\x10\0\x10\0", data.rindex(b"\x40\0\x30\xa7"))
    assert values[ITEMS].startswith(b"\xfe\xff\0\xe0")
    assert values[ITEMS] == data[begin : begin + len(values[ITEMS])]
    assert begin + len(values[ITEMS]) <= end


@pytest.mark.parametrize("explicit", [True, False])
def test_the_walk_stops_before_a_tag(explicit):
    data = encode(header("name"), explicit=explicit)
    values, at = Walk(WANTED)(data, 0, explicit=explicit, stop=NAME)
    assert set(values) == {DESCRIPTION}
    assert data[at : at + 4] == b"\x10\0\x10\0"


@pytest.mark.parametrize("explicit", [True, False])
def test_bytes_that_end_inside_an_element_are_told(explicit):
    data = encode(header("name", items=["x"], undefined=True), explicit=explicit)
    whole = found(data, explicit=explicit)
    for end in range(1, len(data)):
        try:
            values, _ = Walk(WANTED)(data[:end], 0, explicit=explicit, stop=END)
        except Short:
            continue
        assert values.items() <= whole.items()  # it ended between two elements


def test_what_is_out_of_the_ordinary_goes_to_the_general_parser():
    good = encode(header("name"), explicit=True)
    at = good.index(b"\x10\0\x10\0PN")
    for bad in (
        good[:at] + b"\x10\0\x10\0??" + good[at + 6 :],  # no such representation
        good[:at] + b"\x08\0\x05\0" + good[at + 4 :],  # tags go backwards
        good[: good.index(b"\x08\0\x40\x11SQ")] + b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\x08\0",
    ):
        with pytest.raises((Unusual, Short)):
            Walk(WANTED)(bad, 0, explicit=True, stop=END)
    deep = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(Unusual):
        Walk(WANTED)(deep, 0, explicit=True, stop=END)


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_noise_never_raises_anything_else(noise, explicit):
    with contextlib.suppress(Unusual, Short):
        Walk(WANTED, (ITEMS,))(noise, 0, explicit=explicit, stop=END)


def file_of(dataset: Dataset, *, explicit: bool) -> bytes:
    syntax = b"1.2.840.10008.1.2.1\0" if explicit else b"1.2.840.10008.1.2\0"
    meta = b"\x02\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax
    pixels = b"\xe0\x7f\x10\0OW\0\0\x04\0\0\0abcd"
    return bytes(128) + b"DICM" + meta + encode(dataset, explicit=explicit) + pixels


PIXELS = 0x7FE00010
FILES = st.lists(
    st.tuples(TEXT, st.sampled_from(["cine SAX", "cine 4ch", "scout"]), st.integers(0, 2000)),
    min_size=3,
    max_size=12,
)


@pytest.mark.parametrize(("kept", "entered"), [((), (ITEMS,)), ((ITEMS,), ())])
@settings(max_examples=100, deadline=None)
@given(FILES, st.booleans(), st.data())
def test_a_file_like_others_gives_what_walking_it_gives(kept, entered, files, explicit, data):
    # Whatever was learned, and however the file is damaged: if it is taken for one of a kind,
    # then a walk finds the very same.
    reader = Reader(Walk((*WANTED, *kept), entered), PIXELS)
    for name, description, time in files:
        content = bytearray(
            file_of(header(name, description, f"{time / 8}", ["x"]), explicit=explicit)
        )
        for _ in range(data.draw(st.sampled_from([0, 0, 1, 3]))):
            content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
        content, start = bytes(content), 132 + 8 + (20 if explicit else 18)
        known = reader.match(content)
        try:
            values, at = reader.walk(content, start, explicit=explicit, stop=PIXELS)
        except (Short, Unusual):
            assert known is None
            continue
        assert known is None or (known[0], known[3]) == (values, at)
        reader.learn(content, start, values, syntax="x", explicit=explicit)


def test_files_of_a_scanner_are_known_after_a_few(tmp_path):
    reader, known = Reader(Walk(WANTED), PIXELS), 0
    rng = np.random.default_rng(0)
    for i in range(100):
        time, number = f"{rng.integers(0, 9999) / 16}", str(rng.integers(1, 400))
        dataset = header(f"name {i // 20}", f"cine b{number}", time)
        dataset.InstanceNumber = number
        data = file_of(dataset, explicit=True)
        known += reader.match(data) is not None
        values, _ = reader.walk(data, 160, explicit=True, stop=PIXELS)
        reader.learn(data, 160, values, syntax="x", explicit=True)
    assert known >= 90
