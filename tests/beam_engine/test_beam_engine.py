"""`prepare --runner beam` with Apache Beam itself, run by `make test-beam` in its environment."""

import os
import pickle
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

pytest.importorskip("apache_beam", reason="Apache Beam is not installed; `make test-beam` has it")

from cmrjax import prepare
from cmrjax.core.errors import CmrjaxError, PreemptedError, UserError
from cmrjax.data import beam_engine, engine
from cmrjax.data.deid.ids import keyed_hasher
from cmrjax.data.sources import dicom_export
from cmrjax.data.study import Settings, StudyTask
from tests.data.builders import contract, write_cine
from tests.data.sources import test_mnms2, test_ukb
from tests.data.sources.layouts import write_table
from tests.test_prepare import content, write_export, write_tables

KEY = "a secret of thirty-two characters"
# Jobs are handed to a server and waited for, as with Flink, Spark and Dataflow; it runs here.
SERVED = "--runner=PortableRunner --job_endpoint=embed --environment_type=LOOPBACK"
PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> list[str]:
    """An export with an archive in it and a study that gives nothing, its tables and its key."""
    folder = tmp_path_factory.mktemp("given")
    write_export(folder / "scans")
    write_cine(folder / "scans" / "d7", study=7, phases=1)
    write_cine(folder / "d8", study=8)
    with tarfile.open(folder / "scans" / "d8.tar.gz", "w:gz") as archive:
        archive.add(folder / "d8", "d8")
    (folder / "key").write_text(KEY)
    words = ["--source", "dicom", "--input", str(folder / "scans"), "--size", "16"]
    words += ["--frames", "8", "--deid-key-file", str(folder / "key"), *write_tables(folder)]
    return words


def run(given: list[str], output: Path, *flags: str) -> dict[str, bytes]:
    assert prepare.main([*given, "--output", str(output), *flags]) == 0
    assert not output.with_name(f"{output.name}.partial").exists()
    return content(output)


@pytest.fixture(scope="module")
def dataset(given, tmp_path_factory) -> dict[str, bytes]:
    """What this machine's processes make of it, one or two of them."""
    folder = tmp_path_factory.mktemp("local")
    one = run(given, folder / "one", "--workers", "1")
    assert run(given, folder / "two", "--workers", "2") == one
    return one


@pytest.mark.parametrize("options", ["", SERVED, PROCESSES], ids=["here", "served", "processes"])
def test_beam_gives_the_same_bytes(given, dataset, tmp_path, options):
    made = run(given, tmp_path / "dataset", "--runner", "beam", "--beam-options", options)
    assert sorted(made) == sorted(dataset)
    assert [name for name in made if made[name] != dataset[name]] == []
    assert b'"cine.one_phase": 1' in made["dataset.json"]


def write_mnms2(folder: Path) -> None:
    test_mnms2.write_subject(folder / "scans" / "dataset" / "071")
    row = {"SUBJECT_CODE": 71, "DISEASE": "HCM", "VENDOR": "Philips Medical Systems"}
    row |= {"SCANNER": "Achieva", "FIELD": 1.5}
    write_table(folder / "scans" / "dataset_information.csv", [row])


def write_ukb(folder: Path) -> None:
    for field in ("20208", "20209"):
        name = f"1234567_{field}_2_0.zip"
        test_ukb.write_zip(folder / "scans" / field / name, folder / "scratch")


@pytest.mark.parametrize(("source", "write"), [("mnms2", write_mnms2), ("ukb", write_ukb)])
def test_what_a_public_dataset_says_of_its_cases_reaches_the_workers(tmp_path, source, write):
    write(tmp_path)
    words = [
        "--source",
        source,
        "--input",
        str(tmp_path / "scans"),
        "--size",
        "32",
        "--frames",
        "8",
    ]
    here = run(words, tmp_path / "here", "--workers", "1")
    assert run(words, tmp_path / "beam", "--runner", "beam") == here


@pytest.mark.parametrize("engines", [("beam", "local"), ("local", "beam"), ("beam", "beam")])
def test_what_one_engine_began_another_ends(given, dataset, tmp_path, monkeypatch, engines):
    kept, real = [], engine._store

    def store(folder, result):
        real(folder, result)
        kept.append(result.study_id)

    def stop_early(*args):
        if kept:
            raise KeyboardInterrupt

    monkeypatch.setattr(engine, "_store", store)
    first, second = engines
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_check_rejected", stop_early)
        with pytest.raises(KeyboardInterrupt):
            run(given, tmp_path / "dataset", "--runner", first, "--workers", "1")
    left = tmp_path / "dataset.partial"
    assert not (left / "beam").exists()
    done = list(kept)
    # Studies go to workers one by one: here the first ends the run, under Beam more may be done.
    assert len(done) == 1 if first == "local" else 1 <= len(done) <= 8
    assert len(list((left / "studies").glob("*.json"))) == len(done)
    made = run(given, tmp_path / "dataset", "--runner", second, "--workers", "1")
    assert made == dataset
    assert sorted(kept) == sorted(set(kept)), "a study was prepared twice"


def test_killed_the_same_command_gives_the_same_bytes(given, dataset, tmp_path):
    flags = [*given, "--output", str(tmp_path / "dataset"), "--runner", "beam"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cmrjax.cli", "prepare", *flags], stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(tmp_path.glob("*.partial/beam/*/batches")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(given, tmp_path / "dataset", "--runner", "beam") == dataset


def test_the_budget_of_rejected_studies_is_the_same(given, dataset, tmp_path):
    lines = []
    for runner in ("local", "beam"):
        flags = ("--runner", runner, "--workers", "1", "--max-rejected", "0.1")
        with pytest.raises(engine.TooManyRejectedError) as caught:
            run(given, tmp_path / runner, *flags)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert "1 of 8 studies gave no cine" in lines[0]
    again = run(given, tmp_path / "beam", "--runner", "beam", "--max-rejected", "0.2")
    assert again == dataset


def test_a_job_and_its_log_say_nothing_of_patients_or_the_key(given, tmp_path, monkeypatch, capfd):
    real, seen = beam_engine._Job.__init__, []

    def note(self, options, work, places):
        folder = work.folder
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert folder.parent == tmp_path / "dataset.partial" / "beam"
        assert b"Testperson" in (folder / "batches").read_bytes() or not seen
        seen.append(pickle.dumps(work) + repr(options.get_all_options()).encode())
        assert all(isinstance(n, int) for place in places for n in place)
        real(self, options, work, places)

    monkeypatch.setattr(beam_engine._Job, "__init__", note)
    run(given, tmp_path / "dataset", "--runner", "beam", "--beam-options", SERVED)
    assert len(seen) == 2, "a job that looks at the files, and one that prepares the studies"
    printed = "".join(capfd.readouterr()).encode()
    for secret in (KEY.encode(), b"Testperson", b"1.2.826.", b"d8.tar", b"IM000"):
        assert secret not in printed + b"".join(seen)


@pytest.mark.parametrize(
    ("raised", "kind", "line"),
    [
        (ValueError("Erika Testperson"), CmrjaxError, "ValueError at "),
        (UserError("no room", where="--output"), UserError, "--output: no room"),
        (OSError(28, "Testperson"), UserError, "No space left on device"),
    ],
)
def test_what_stops_the_work_arrives_as_it_was_raised(
    given, tmp_path, monkeypatch, capfd, raised, kind, line
):
    def fail(path):
        raise raised

    monkeypatch.setattr(dicom_export, "study_of", fail)
    with pytest.raises(CmrjaxError, match=line) as caught:
        run(given, tmp_path / "dataset", "--runner", "beam")
    assert type(caught.value) is kind
    assert "Testperson" not in str(caught.value) + "".join(capfd.readouterr())


def count(tasks: list[StudyTask]) -> int:
    """A function that workers find by its name."""
    return len(tasks)


def batch_of(folder: Path, key_file: Path) -> engine.StudyBatch:
    settings = Settings(contract(), (), keyed_hasher(key_file))
    return engine.StudyBatch(dicom_export.process, settings, folder)


def test_another_key_on_a_worker_is_refused(tmp_path):
    (tmp_path / "key").write_text(KEY)
    whole = batch_of(tmp_path, tmp_path / "key")
    batch = beam_engine._KeylessBatch(whole, tmp_path / "key")
    assert KEY.encode() in pickle.dumps(whole)
    assert KEY.encode() not in pickle.dumps(batch)
    (tmp_path / "key").write_text(KEY[::-1])
    with pytest.raises(UserError, match="another key"):
        pickle.loads(pickle.dumps(batch))([])


def test_a_batch_that_is_given_twice_counts_once(tmp_path):
    tasks = [StudyTask(str(i), ("a", "b"), "", {"x": float("nan")}) for i in range(5)]
    places = beam_engine._write_batches(tmp_path / "batches", tasks, 4)
    work = beam_engine._Work(count, tmp_path)
    work.process(places[0])
    got = beam_engine._results(tmp_path, 2, work)  # never asked whether it ended
    for place in (places[0], places[1]):
        work.process(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam_engine._Work, "ended", False, raising=False)
        assert sorted(got) == [1, 4]
    (tmp_path / "stop").touch()
    work.process(places[0])
    assert not (tmp_path / "0.json").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--runner=Nope", "Unexpected pipeline runner: Nope"),
        ("--direct_num_workers=x", "invalid int value: 'x'"),
        ("--y='", "No closing quotation"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(given, tmp_path, options, line):
    with pytest.raises(UserError, match=line) as caught:
        run(given, tmp_path / "out", "--runner", "beam", "--beam-options", options)
    assert str(caught.value).startswith("--beam-options: ")
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_no_file_is_refused(given, tmp_path):
    os.mkfifo(tmp_path / "key")
    at = given.index("--deid-key-file") + 1
    writer = subprocess.Popen(["sh", "-c", f"echo '{KEY}' > '{tmp_path / 'key'}'"])
    with pytest.raises(UserError, match="no file that workers can read"):
        run([*given[:at], str(tmp_path / "key"), *given[at + 1 :]], tmp_path / "o", "--runner=beam")
    writer.wait()


def test_a_job_that_fails_is_named_and_goes_on(given, dataset, tmp_path):
    nowhere = "--runner=PortableRunner --job_endpoint=localhost:1 --job_server_timeout=1"
    with pytest.raises(PreemptedError, match="the Beam job failed") as caught:
        run(given, tmp_path / "dataset", "--runner", "beam", "--beam-options", nowhere)
    assert "\n" not in str(caught.value)
    assert run(given, tmp_path / "dataset", "--runner", "local", "--workers", "1") == dataset


def test_a_job_without_all_results_is_noticed(given, tmp_path, monkeypatch):
    monkeypatch.setattr(beam_engine, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(beam_engine._Work, "process", lambda self, place: None)
    with pytest.raises(PreemptedError, match="1 batches have no result"):
        run(given, tmp_path / "dataset", "--runner", "beam")
