import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.data.dicom import read_images
from cmrjax.data.phases import covered_ms, cycle_of, in_order
from tests.data.builders import write_cine
from tests.data.dicom.build import pixels, write_enhanced


def images(folder, **tags):
    write_cine(folder, **tags)
    return [i for path in sorted(folder.rglob("*.dcm")) for i in read_images(str(path))]


def numbers(phases):
    return [int(image.instance) for image in phases]


def test_trigger_times_come_first(tmp_path):
    write_cine(tmp_path / "a", phases=8)
    found = images(tmp_path / "b", phases=1, first_instance=9, TriggerTime=-1.0)
    found += [i for p in (tmp_path / "a").rglob("*") for i in read_images(str(p))]
    assert numbers(in_order(found)[0]) == [9, 1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "tags",
    [
        {"TemporalPositionIdentifier": lambda n: 9 - n},
        {"TemporalPositionIndex": lambda n: 9 - n},
        {"NominalCardiacTriggerDelayTime": lambda n: 800.0 - 40 * n},
    ],
)
def test_without_them_other_times_do(tmp_path, tags):
    found = []
    for n in range(1, 9):
        values = {name: value(n) for name, value in tags.items()}
        found += images(tmp_path / str(n), phases=1, first_instance=n, TriggerTime=None, **values)
    phases, left_out = in_order(found)
    assert numbers(phases) == list(range(8, 0, -1))
    assert not left_out


def test_times_that_are_all_the_same_say_nothing(tmp_path):
    phases, left_out = in_order(images(tmp_path, TriggerTime=0.0))
    assert (numbers(phases), left_out) == (list(range(1, 9)), False)


def test_times_that_some_lack_are_no_order(tmp_path):
    found = images(tmp_path / "a", phases=7)
    found += images(tmp_path / "b", phases=1, first_instance=8, TriggerTime=None)
    assert len(in_order(found)[0]) == 8


def test_of_phases_scanned_twice_the_later_stay(tmp_path):
    found = images(tmp_path / "a", phases=8)
    found += images(tmp_path / "b", phases=8, first_instance=21)
    rejected = Counter()
    phases = cycle_of(found, rejected)
    assert numbers(phases) == list(range(21, 29))
    assert rejected == {"repeated_phases": 1}
    one_more = images(tmp_path / "c", phases=8) + images(
        tmp_path / "d", phases=1, first_instance=30
    )
    assert numbers(cycle_of(one_more, Counter())) == [30, 2, 3, 4, 5, 6, 7, 8]


def test_of_rounds_with_times_of_their_own_the_last_stays(tmp_path):
    found = images(tmp_path / "a", phases=8, AcquisitionNumber=1)
    for image in found:
        assert image.shared.acquisition == 1
    for n in range(8):
        found += images(
            tmp_path / f"b{n}", phases=1, first_instance=11 + n, AcquisitionNumber=2,
            TriggerTime=100.0 * n + 1.5,
        )  # fmt: skip
    phases = cycle_of(found, rejected := Counter())
    assert numbers(phases) == list(range(11, 19))
    assert rejected == {"repeated_phases": 1}


@pytest.mark.parametrize(
    "round_of", [lambda n: 1 + (n >= 12), lambda n: 1 + n % 2, lambda n: n // 8]
)
@pytest.mark.parametrize("time", ["TriggerTime", "TemporalPositionIdentifier"])
def test_parts_of_one_cycle_are_no_rounds(tmp_path, round_of, time):
    found = []
    for n in range(24):
        tags = {"TriggerTime": None, "AcquisitionNumber": round_of(n)}
        tags |= {time: 37.5 * n if time == "TriggerTime" else 1 + n}
        found += images(tmp_path / str(n), phases=1, first_instance=1 + n, **tags)
    assert numbers(cycle_of(found, rejected := Counter())) == list(range(1, 25))
    assert not +rejected


def test_rounds_without_times_are_alike_in_number(tmp_path):
    found = images(tmp_path / "a", TriggerTime=None, AcquisitionNumber=1)
    found += images(tmp_path / "b", TriggerTime=None, AcquisitionNumber=2, first_instance=9)
    assert numbers(cycle_of(found, rejected := Counter())) == list(range(9, 17))
    assert rejected == {"repeated_phases": 1}


def running_on(folder, **tags):
    """Three beats of 900 ms, 18 images each, in real time."""
    found = []
    for n in range(54):
        values = {name: value(n) if callable(value) else value for name, value in tags.items()}
        found += images(
            folder / str(n), phases=1, first_instance=1 + n, TriggerTime=50.0 * n, **values
        )
    return found


@pytest.mark.parametrize(
    "tags",
    [
        {"NominalInterval": "900", "HeartRate": "67"},
        {"NominalInterval": "900", "HeartRate": "0"},
        {"NominalInterval": "0", "HeartRate": "66"},
        {"HeartRate": lambda n: str(64 + n % 6)},
        {"NominalInterval": "900", "AcquisitionNumber": lambda n: 1 + (n >= 27)},
    ],
)
def test_of_several_beats_one_stays(tmp_path, tags):
    found = running_on(tmp_path, **tags)
    phases = cycle_of(found, rejected := Counter())
    assert numbers(phases) in (list(range(1, 18 + 1)), list(range(28, 28 + 18)))
    assert rejected["several_beats"] == 1


@pytest.mark.parametrize(
    "tags", [{"HeartRate": "0"}, {"NominalInterval": "9999", "HeartRate": "4"}, {}]
)
def test_a_beat_that_nobody_knows_cuts_nothing(tmp_path, tags):
    assert len(cycle_of(running_on(tmp_path, **tags), rejected := Counter())) == 54
    assert not +rejected


def test_a_beat_that_contradicts_itself_cuts_nothing(tmp_path):
    found = images(tmp_path, phases=12, NominalInterval="500", HeartRate="50")
    assert len(cycle_of(found, Counter())) == 12


def test_beats_with_too_few_phases_are_no_cine(tmp_path):
    found = images(tmp_path, phases=12, NominalInterval="500", HeartRate="120")
    assert cycle_of(found, rejected := Counter()) == ()
    assert rejected == {"several_beats": 1}


def test_rounds_of_a_beat_each_are_one_beat(tmp_path):
    found = []
    for n in range(16):
        tags = {"TriggerTime": 100.0 * n, "AcquisitionNumber": 1 + n // 8, "HeartRate": "75"}
        found += images(tmp_path / str(n), phases=1, first_instance=1 + n, **tags)
    assert numbers(cycle_of(found, rejected := Counter())) == list(range(9, 17))
    assert rejected == {"repeated_phases": 1}


def test_a_hole_in_the_cycle_is_no_cine_but_one_missing_phase_is_no_hole(tmp_path):
    found = images(tmp_path, phases=12)
    by_number = {int(i.instance): i for i in found}
    without = [by_number[n] for n in by_number if n != 5]
    assert len(cycle_of(without, Counter())) == 11
    without = [by_number[n] for n in by_number if n not in (5, 6, 7, 8)]
    assert cycle_of(without, rejected := Counter()) == ()
    assert rejected == {"missing_phases": 1}


def test_phases_of_an_enhanced_image_are_sorted(tmp_path):
    times = [120.0, 0.0, 200.0, 40.0, 160.0, 80.0]
    write_enhanced(tmp_path / "x", np.stack([pixels()] * 6), [(0, 0, 0)] * 6, times)
    found = read_images(str(tmp_path / "x"))
    assert [i.frame for i in cycle_of(found, Counter())] == [1, 3, 5, 0, 4, 2]
    assert covered_ms(found) == 240


def test_cover_is_unknown_without_times(tmp_path):
    assert math.isnan(covered_ms(images(tmp_path, TriggerTime=None)))


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    return images(tmp_path_factory.mktemp("ten"), phases=10)


@given(st.data())
def test_the_order_of_files_is_no_matter(ten, data):
    found = data.draw(st.permutations(ten))
    assert numbers(in_order(found)[0]) == list(range(1, 11))
