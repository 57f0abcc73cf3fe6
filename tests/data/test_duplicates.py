import json
import shutil

import numpy as np
import pydicom
from scipy import ndimage

from cmrjax import inspect, prepare
from cmrjax.data import duplicates
from cmrjax.data.duplicates import Scan, look, looks, near_duplicates
from cmrjax.data.phantom.dicom_writer import write_study
from cmrjax.data.phantom.findings import truth
from cmrjax.data.phantom.render import render_study
from cmrjax.data.phantom.scanner import DEMO
from cmrjax.data.records import load_info

rng = np.random.default_rng(0)


def code(*bits: int) -> str:
    """A hash with some bits set."""
    packed = np.zeros(128, bool)
    packed[list(bits)] = True
    return np.packbits(packed).tobytes().hex()


def scan(number: int, views: dict[str, list[str]], patient: int | None = None) -> Scan:
    owner = number if patient is None else patient
    return Scan(f"{number:016x}", f"{owner:016x}", views)


def pairs(*scans: Scan) -> list[tuple[int, int, float]]:
    return [
        (int(p.a.study_id, 16), int(p.b.study_id, 16), p.distance) for p in near_duplicates(scans)
    ]


def apart(a: str, b: str) -> int:
    return bin(int(a, 16) ^ int(b, 16)).count("1")


def test_a_hash_outlives_noise_gain_and_pixel_size():
    cines = [render_study(truth(0, i), DEMO).cines[0].pixels for i in range(3)]
    hashes = [look(cine) for cine in cines]
    assert all(len(h) == 32 for h in hashes)
    for cine, hashed in zip(cines, hashes, strict=True):
        noisy = 2.5 * cine + rng.normal(0, 0.02 * cine.max(), cine.shape) + 40
        assert apart(look(noisy), hashed) <= 8
        shrunk = ndimage.zoom(cine, (1, 0.8, 0.8), order=1, grid_mode=True, mode="nearest")
        assert apart(look(np.asarray(shrunk)), hashed) <= 12
    assert min(apart(hashes[i], hashes[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 16


def test_blank_and_still_cines():
    assert look(np.zeros((8, 64, 64), np.uint8)) == ""
    still = np.indices((64, 64)).sum(0).astype(np.uint8)[None].repeat(4, 0)
    assert len(look(still)) == 32
    blank = scan(1, {"sax": [""]})
    assert pairs(blank, scan(2, {"sax": [""]})) == []


def test_of_a_stack_three_slices_are_kept():
    cines = [("sax", str(i)) for i in range(12)] + [("4ch", "a"), ("2ch", "b"), ("2ch", "c")]
    assert looks(cines) == {"sax": ["3", "6", "9"], "4ch": ["a"], "2ch": ["b", "c"]}
    assert looks([]) == {}


def test_scans_of_different_patients_that_look_alike_are_pairs():
    a, b = code(1, 2, 3), code(1, 2, 4)
    assert pairs(scan(1, {"sax": [a]}), scan(2, {"sax": [b]})) == [(1, 2, 2 / 128)]
    assert pairs(scan(1, {"sax": [a]}, patient=9), scan(2, {"sax": [b]}, patient=9)) == []
    assert pairs(scan(1, {"sax": [a]}), scan(2, {"sax": [code(*range(64))]})) == []
    assert pairs() == pairs(scan(1, {"sax": [a]})) == []


def test_every_view_that_both_have_counts():
    a, far = code(1), code(*range(40, 80))
    assert pairs(scan(1, {"sax": [a], "4ch": [a]}), scan(2, {"sax": [a], "4ch": [far]})) == []
    assert pairs(scan(1, {"sax": [a], "4ch": [a]}), scan(2, {"sax": [a], "2ch": [far]})) == [
        (1, 2, 0.0)
    ]
    # Stacks of which another number of slices is kept are not compared.
    assert pairs(scan(1, {"sax": [a, a]}), scan(2, {"sax": [a]})) == []


def test_the_most_alike_come_first_whatever_the_order():
    scans = [
        scan(3, {"sax": [code(1)]}),
        scan(1, {"sax": [code(1)]}),
        scan(2, {"sax": [code(1, 2)]}),
    ]
    expected = [(1, 3, 0.0), (1, 2, 1 / 128), (2, 3, 1 / 128)]
    assert pairs(*scans) == pairs(*scans[::-1]) == expected


def test_blocks_of_rows_give_all_pairs(monkeypatch):
    scans = [scan(i, {"sax": [code(i % 5 * 20, i % 5 * 20 + 1)]}) for i in range(17)]
    whole = pairs(*scans)
    monkeypatch.setattr(duplicates, "_ROWS", 3)
    monkeypatch.setattr(duplicates, "NEAR", 0.01)
    assert pairs(*scans) == [p for p in whole if p[2] <= 0.01]
    assert len(pairs(*scans)) == 2 * 6 + 3 * 3


def copied(source, target) -> None:
    """The same scan under another patient's name: noise, another scale, other UIDs."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        data = pydicom.dcmread(path)
        data.PatientID, data.PatientName = "ANON7", "Anon^7"
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(data, name, f"{getattr(data, name)}.7"[-64:].lstrip(".0"))
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        pixels = 0.6 * data.pixel_array + rng.normal(0, 4, data.pixel_array.shape) + 20
        data.PixelData = np.clip(pixels, 0, 4095).astype(np.uint16).tobytes()
        data.save_as(target / path.name)


def test_a_scan_exported_twice_is_found_and_others_are_not(tmp_path, capsys):
    for i in range(3):
        write_study(render_study(truth(0, i), DEMO), tmp_path / "scans" / f"{i}", seed=0, index=i)
    copied(tmp_path / "scans" / "2", tmp_path / "scans" / "again")
    words = ["--source", "dicom", "--public", "--input", str(tmp_path / "scans"), "--workers", "1"]
    assert prepare.main([*words, "--output", str(tmp_path / "out"), "--spacing", "2.5"]) == 0
    err = capsys.readouterr().err
    info = load_info(tmp_path / "out")
    assert info["counts"]["studies"] == 4
    (pair,) = info["near_duplicates"]
    assert pair["distance"] < 0.06
    assert pair["patient_a"] != pair["patient_b"]
    assert info["counts"]["near_duplicates"] == 1
    across = pair["split_a"] != pair["split_b"]
    assert info["counts"]["near_duplicates_across_splits"] == across
    assert f"look alike: 1 pairs, {int(across)} of them across splits" in err
    inspect.main([str(tmp_path / "out")])
    text = capsys.readouterr().out
    assert f"{pair['study_a']} ({pair['split_a']}) and {pair['study_b']}" in text
    inspect.main([str(tmp_path / "out"), "--json"])
    assert json.loads(capsys.readouterr().out)["near_duplicates"] == [pair]


def test_acdc_holds_one_scan_twice(shared_data, tmp_path):
    """Patients 74 and 76 are one scan, drawn on twice."""
    for number in (74, 75, 76, 77):
        name = f"patient{number:03d}"
        shutil.copytree(shared_data / "acdc" / name, tmp_path / "in" / name)
    words = ["--source", "acdc", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "d")]
    assert prepare.main([*words, "--workers", "1"]) == 0
    (pair,) = load_info(tmp_path / "d")["near_duplicates"]
    assert pair["distance"] == 0
