import csv
import dataclasses
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.phantom import dicom_writer
from cmrjax.data.phantom.dicom_writer import write_study
from cmrjax.data.phantom.findings import FINDINGS, truth
from cmrjax.data.phantom.generate import DEMO, FULL, write_phantom
from cmrjax.data.phantom.render import render_study
from cmrjax.data.phantom.scanner import CENTRE, sample_protocol


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(folder, patients=6, seed=4, profile=DEMO, workers=1)
    return folder


def test_same_bytes_for_any_number_of_workers(written, tmp_path):
    calls = []
    write_phantom(
        tmp_path / "two",
        patients=6,
        seed=4,
        profile=DEMO,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert contents(tmp_path / "two") == contents(written)
    assert calls[-1] == (6, 6)


def test_a_patient_is_the_same_in_a_smaller_population(written, tmp_path):
    write_phantom(tmp_path, patients=2, seed=4, profile=DEMO, workers=1)
    small, large = contents(tmp_path / "dicom"), contents(written / "dicom")
    assert small.items() <= large.items()
    assert len(list((tmp_path / "dicom").iterdir())) == 2


def test_tables_name_every_study(written):
    reports = list(csv.DictReader((written / "reports.csv").open()))
    labels = list(csv.DictReader((written / "labels.csv").open()))
    assert list(labels[0]) == ["study_instance_uid", *FINDINGS, "lvef", "lvedv_ml"]
    studies = {
        str(pydicom.dcmread(next(folder.iterdir())).StudyInstanceUID)
        for folder in (written / "dicom").iterdir()
    }
    assert {row["study_instance_uid"] for row in reports} == studies
    assert {row["study_instance_uid"] for row in labels} == studies


def test_bad_arguments_are_the_users(tmp_path, written):
    with pytest.raises(UserError, match="at least one"):
        write_phantom(tmp_path, patients=0, seed=0, profile=DEMO)
    with pytest.raises(UserError, match="already holds"):
        write_phantom(written, patients=1, seed=0, profile=DEMO)


def test_nothing_but_the_pixels_depends_on_the_heart(tmp_path):
    """Another heart on the same table: every name, header and file size stays."""
    healthy, ill = truth(4, 0), truth(4, 1)
    swapped = dataclasses.replace(healthy, patient=ill.patient)
    write_study(render_study(healthy, DEMO), tmp_path / "a", seed=4, index=0)
    write_study(render_study(swapped, DEMO), tmp_path / "b", seed=4, index=0)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.keys() == second.keys()
    changed = 0
    for name, data in first.items():
        header = data.index(b"\xe0\x7f\x10\x00OW")
        assert data[: header + 12] == second[name][: header + 12]
        assert len(data) == len(second[name])
        changed += data != second[name]
    assert changed > 40


def test_protocols_do_not_tell_findings_apart():
    patients = [truth(8, index) for index in range(300)]
    labels = np.array([list(t.labels.values()) for t in patients])
    features = []
    for t in patients:
        p = sample_protocol(np.random.default_rng([t.seed, t.index, 1]), DEMO)
        first = p.planes[0]
        timing = (p.heart_rate, p.phases, p.phase_offset, p.field_strength)
        geometry = (len(p.planes), first.size, first.spacing, p.gap_mm, p.thickness_mm)
        features.append((*timing, *geometry, p.contrast.scale, p.contrast.noise, *p.origin))
    ranks = np.argsort(np.argsort(np.array(features), axis=0), axis=0)
    for label in labels.T:
        positives = int(label.sum())
        sums = (ranks + 1)[label == 1].sum(axis=0) - positives * (positives + 1) / 2
        auroc = sums / (positives * (len(label) - positives))
        # Over a hundred comparisons with a standard error of .045 each.
        assert np.abs(auroc - 0.5).max() < 0.17


def series_of(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    groups: dict[str, list[pydicom.Dataset]] = {}
    for path in sorted(folder.iterdir()):
        data = pydicom.dcmread(path)
        groups.setdefault(str(data.SeriesInstanceUID), []).append(data)
    return groups


@pytest.mark.parametrize("index", range(4))
def test_dicom_round_trip(tmp_path, index):
    patient = truth(4, index)
    study = render_study(patient, DEMO)
    count = write_study(study, tmp_path, seed=4, index=index)
    groups = series_of(tmp_path)
    assert sum(map(len, groups.values())) == count
    found = 0
    for images in groups.values():
        numbers = sorted(int(d.InstanceNumber) for d in images)
        assert numbers == list(range(1, len(images) + 1))
        for data in images:
            if "TriggerTime" not in data:
                continue
            cine, frame = match(study, data)
            np.testing.assert_array_equal(data.pixel_array, cine.pixels[frame])
            found += 1
    assert found == sum(len(c.phase) for c in study.cines)


def match(study, data):
    """The rendered image at the position, orientation and time of a file's header."""
    origin, axes = study.protocol.origin, study.protocol.axes
    cosines = np.array(data.ImageOrientationPatient, float)
    row, column = axes.T @ cosines[:3], axes.T @ cosines[3:]
    half = 0.5 * (data.Rows - 1) * np.array(data.PixelSpacing, float)
    corner = axes.T @ (np.array(data.ImagePositionPatient, float) - origin)
    centre = corner + half[1] * row + half[0] * column
    near = [c for c in study.cines if np.abs(c.plane.centre - centre).max() < 2e-3]
    (cine,) = [c for c in near if np.abs(c.plane.row - row).max() < 1e-6]
    time = float(data.TriggerTime) * study.protocol.heart_rate / 60000.0
    return cine, int(np.argmin(np.abs(cine.phase - time)))


def test_short_axis_geometry(tmp_path):
    for index in range(3):
        study = render_study(truth(4, index), DEMO)
        write_study(study, tmp_path / str(index), seed=4, index=index)
        stack = {}
        for images in series_of(tmp_path / str(index)).values():
            for data in images:
                if "SpacingBetweenSlices" in data:
                    cosines = np.array(data.ImageOrientationPatient, float)
                    normal = np.cross(cosines[:3], cosines[3:])
                    position = np.array(data.ImagePositionPatient, float) @ normal
                    stack[round(float(position), 2)] = data
        positions = np.array(sorted(stack))
        data = stack[positions[0]]
        assert len(positions) >= 2
        np.testing.assert_allclose(np.diff(positions), float(data.SpacingBetweenSlices), atol=0.02)
        cosines = np.array(data.ImageOrientationPatient, float)
        assert np.abs(cosines[:3] @ cosines[3:]) < 1e-6
        assert cosines[0] > 0.3  # columns rise to the patient's left: the RV is on the image's left
        assert cosines[5] < -0.5  # rows rise to the feet: the inferior wall is below


def test_the_rv_lies_left_of_the_lv_and_planes_share_the_lv_axis():
    study = render_study(truth(4, 2), DEMO, masks=True)
    for cine in study.cines:
        assert cine.mask is not None
        assert cine.mask.shape == cine.pixels.shape
        lv = np.argwhere(cine.mask[0] == 3).mean(axis=0)
        if cine.plane.view in ("sax", "4ch"):
            rv = np.argwhere(cine.mask[0] == 1).mean(axis=0)
            assert rv[1] < lv[1]
        blood = cine.pixels[0][cine.mask[0] == 3].mean()
        wall = cine.pixels[0][cine.mask[0] == 2].mean()
        assert blood > 1.5 * wall


def test_the_full_profile_is_a_whole_examination():
    protocol = sample_protocol(np.random.default_rng(0), FULL)
    views = [plane.view for plane in protocol.planes]
    assert 8 <= views.count("sax") <= 12
    assert {"2ch", "3ch", "4ch"} <= set(views)
    assert 20 <= protocol.phases <= 30
    assert protocol.late
    assert np.isfinite(CENTRE).all()


def test_no_uid_holds_the_mark_that_a_file_s_number_replaces(monkeypatch):
    plain = dicom_writer.uid(0, 1, "study")
    monkeypatch.setattr(dicom_writer, "NUMBER_MARK", plain[10:14])
    other = dicom_writer.uid(0, 1, "study")
    assert other != plain
    assert plain[10:14] not in other
    assert len(other) == len(plain)
