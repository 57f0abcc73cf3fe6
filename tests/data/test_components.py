from collections import Counter

import numpy as np
import pydicom
import pytest

from cmrjax.data.dicom import read_images
from cmrjax.data.phases import cycle_of
from tests.data.builders import write_cine
from tests.data.dicom.build import pixels, write_enhanced


def images(folder, *kinds, **tags):
    """A cine of each kind at the same times; their numbers begin at 1, 21, 41."""
    for i, kind in enumerate(kinds):
        write_cine(folder / str(i), **({"first_instance": 1 + 20 * i} | tags | kind))
    return [i for path in sorted(folder.rglob("*.dcm")) for i in read_images(str(path))]


def first_kept(found):
    """The number of the first image kept, and what is counted."""
    phases = cycle_of(found, rejected := Counter())
    assert len(phases) in (0, 8)
    return phases and phases[0].instance, dict(+rejected)


def kind(*words):
    return {"ImageType": ["ORIGINAL", "PRIMARY", *words]}


MAGNITUDE, PHASE = kind("M_FFE", "M", "FFE"), kind("PHASE MAP", "P", "FFE")
REAL, IMAGINARY = kind("R_FFE", "R", "FFE"), kind("I_FFE", "I", "FFE")


def test_of_a_complex_signal_the_magnitude_stays(tmp_path):
    assert first_kept(images(tmp_path, MAGNITUDE, REAL, IMAGINARY)) == (1, {"other_component": 2})


@pytest.mark.parametrize(
    ("others", "left_out"), [([PHASE], 1), ([PHASE, REAL], 2), ([IMAGINARY], 1)]
)
def test_wherever_it_stands_in_the_series(tmp_path, others, left_out):
    number = 1 + 20 * len(others)
    kept = first_kept(images(tmp_path, *others, MAGNITUDE))
    assert kept == (number, {"other_component": left_out})


@pytest.mark.parametrize(
    ("alone", "reason"),
    [(PHASE, "flow"), (REAL, "other_component"), (IMAGINARY, "other_component")],
)
def test_without_a_magnitude_there_is_no_cine(tmp_path, alone, reason):
    assert first_kept(images(tmp_path, alone)) == ((), {reason: 1})


@pytest.mark.parametrize(
    ("description", "magnitude", "phase"),
    [
        ("Ao flow", MAGNITUDE, PHASE),
        ("aorta", MAGNITUDE, PHASE),
        ("", MAGNITUDE, PHASE),
        ("SAX cine", kind("M_PCA", "M", "PCA"), kind("VELOCITY MAP", "P", "PCA")),
        ("SAX cine", kind("FLOW_ENCODED", "NONE", "M"), PHASE),
    ],
)
def test_the_magnitude_of_a_flow_scan_is_no_cine(tmp_path, description, magnitude, phase):
    found = images(tmp_path, magnitude, phase, SeriesDescription=description)
    kept, counted = first_kept(found)
    assert kept == ()
    assert set(counted) <= {"flow", "named_other_imaging"}


def test_water_and_fat(tmp_path):
    water, fat = kind("M", "DIXON", "WATER"), kind("M", "DIXON", "FAT")
    assert first_kept(images(tmp_path / "a", fat, water)) == (21, {"other_component": 1})
    assert first_kept(images(tmp_path / "b", fat)) == ((), {"other_component": 1})
    four = images(tmp_path / "c", kind("OP"), kind("W"), kind("F"), kind("IP"))
    assert first_kept(four) == (61, {"other_component": 3})


@pytest.mark.parametrize(
    "echoes",
    [
        [{"EchoTime": "2.4"}, {"EchoTime": "1.2"}],
        [{"EchoTime": "2.4", "EchoNumbers": 2}, {"EchoTime": "1.2", "EchoNumbers": 1}],
        [{"EchoNumbers": 2}, {"EchoNumbers": 1}],
    ],
)
def test_of_several_echoes_the_first_stays(tmp_path, echoes):
    assert first_kept(images(tmp_path, *echoes)) == (21, {"other_component": 1})


def test_echo_times_that_vary_within_a_cycle_are_no_echoes(tmp_path):
    found = []
    for n, echo in enumerate((1.21, 1.24, 1.2, 1.3, 1.22, 1.21, 1.25, 1.2)):
        tags = {"EchoTime": echo, "TriggerTime": 40.0 * n, "first_instance": 1 + n}
        found += images(tmp_path / str(n), {}, phases=1, **tags)
    assert first_kept(found) == (1, {})
    found = []
    for n in range(8):  # times of the echo without a cycle
        tags = {"EchoTime": 1.0 + n, "TriggerTime": 40.0 * n, "first_instance": 1 + n}
        found += images(tmp_path / f"b{n}", {}, phases=1, **tags)
    assert first_kept(found) == (1, {})


def test_the_frames_of_an_enhanced_image_say_their_component_and_echo(tmp_path):
    path = tmp_path / "x"
    times = [100.0 * t for _ in range(3) for t in range(8)]
    write_enhanced(path, np.stack([pixels()] * 24), [(0, 0, 0)] * 24, times)
    dataset = pydicom.dcmread(path)
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kind = group.MRImageFrameTypeSequence[0]
        kind.ComplexImageComponent = "PHASE" if n < 8 else "MAGNITUDE"
        echo = pydicom.Dataset()
        echo.EffectiveEchoTime = 2.5 if n < 16 else 1.25
        group.MREchoSequence = [echo]
        del group.FrameContentSequence[0].TemporalPositionIndex
    dataset.save_as(path)
    phases = cycle_of(read_images(str(path)), rejected := Counter())
    assert [i.frame for i in phases] == list(range(16, 24))
    assert {(i.shared.component, i.shared.echo_time) for i in phases} == {("magnitude", 1.25)}
    assert +rejected == {"other_component": 2}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["MPR"], "reformat"),
        (["M", "CSA MPR", "ND"], "reformat"),
        (["PROJECTION IMAGE", "MAX_IP"], "reformat"),
        (["M", "SUB", "NORM"], "reformat"),
        (["M", "ND", "MEAN"], "reformat"),
        (["MINIP"], "reformat"),
        (["M", "ND", "NORM", "DIS2D", "FIL"], None),
        (["M", "RETRO", "SHORT_AXIS", "IMPROVED"], None),
        ([], None),
    ],
)
def test_reformats_projections_and_combinations_are_no_cines(tmp_path, words, reason):
    found = images(tmp_path, {"ImageType": ["DERIVED", "PRIMARY", *words]})
    assert first_kept(found) == (((), {reason: 1}) if reason else (1, {}))
