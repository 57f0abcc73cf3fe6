"""The benchmark of ingestion: its studies are what it says, and each row is measured."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cmrjax.benchmarks import ingest, plain_ingest, studies
from cmrjax.cli import run
from cmrjax.data.sources import dicom_export
from tests.data.builders import write_cine


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ingest") / "one"
    for i in range(3):
        write_cine(folder, first_instance=1 + 8 * i, position=8.0 * i)
    return sorted(folder.rglob("*.dcm"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ingest, "SECONDS", 0.0)


def test_copies_are_studies_of_their_own(tmp_path):
    one = studies.write_one(tmp_path / "one", matrix=32)
    assert len(one) > 200
    studies.write_many(tmp_path / "many", one, 3)
    found, rejected = dicom_export.find_studies(
        tmp_path / "many", None, scratch=tmp_path / "scratch", workers=1
    )
    assert [len(paths) for _, paths in found.values()] == [len(one)] * 3
    assert not rejected


def test_a_long_study_has_its_images_at_places_of_their_own(files, tmp_path):
    long = studies.write_long(tmp_path / "long", files, 48)
    assert len(plain_ingest.read_cines(long)) == 6
    result = dicom_export.process(
        ingest.StudyTask("1", tuple(map(str, long)), "", {}), ingest._settings()
    )
    assert len(result.records) == 6


def test_rows_are_measured(files, tmp_path):
    rows = [
        ingest.reading_row([files]),
        ingest.prepare_row(files[0].parent, tmp_path / "made"),
    ]
    for row in rows:
        assert row.speedup
        assert row.extra["cpu_speedup"] > 0
    assert f"{len(files)} files, 3 cines" in rows[0].note
    assert "3 cines" in rows[1].note


def test_readers_that_disagree_are_an_error(files, monkeypatch):
    monkeypatch.setattr(plain_ingest, "read_cines", lambda paths: [])
    with pytest.raises(RuntimeError, match="disagree"):
        ingest.reading_row([files])


def test_data_is_for_this_suite(tmp_path, capsys):
    assert run("bench", ["models", "--data", str(tmp_path)]) == 2
    assert run("bench", ["ingest", "--data", str(tmp_path / "none")]) == 2
    assert "--data is a folder" in capsys.readouterr().err


def test_the_command_prints_its_rows(files, monkeypatch, capsys):
    data = files[0].parent
    row = ingest.Row(name="x", reference="y", ours_s=1.0, reference_s=2.0)
    monkeypatch.setattr(ingest, "reading_row", lambda studies: row)
    assert run("bench", ["ingest", "--json", "--only", "reading", "--data", str(data)]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], second["name"]) == ("reading, phantom", "reading, Sunnybrook")
    assert first["speedup"] == 2.0
    assert "load" in first["note"]


def test_one_worker_is_the_reference_of_two(files, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def pool(workers):
        with ThreadPoolExecutor(workers) as threads:  # what a process costs to start is not tested
            yield threads

    monkeypatch.setattr(ingest.engine, "pool", pool)
    monkeypatch.setattr(studies, "study_uid", lambda seed, i: f"1.2.826.{i + 1}")
    row = ingest.workers_row(files, tmp_path / "many", count=3)
    assert row.reference == "1 worker"
    assert row.speedup
    assert "3 studies of 24 files" in row.note
