"""A stopped run: the same command ends with the same bytes, another is refused."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from cmrjax import prepare
from cmrjax.cli import run
from cmrjax.core.errors import UserError
from cmrjax.core.lock import sole_user
from cmrjax.data import engine
from cmrjax.data.reasons import Reason, Rejected
from cmrjax.data.records import load_info
from cmrjax.data.sources import dicom_export
from cmrjax.preparing import resume
from cmrjax.preparing.flags import build_parser
from tests.data.builders import contract, write_cine

SMALL = ("--size", "16", "--frames", "8", "--public", "--workers", "1")


def words(source: Path, output: Path, *flags: str) -> list[str]:
    return ["--source", "dicom", "--input", str(source), "--output", str(output), *SMALL, *flags]


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume") / "scans"
    for study in (1, 2, 3):
        write_cine(folder / f"d{study}", study=study)
    write_cine(folder / "d4", study=4, phases=1)  # gives no cine
    return folder


@pytest.fixture(scope="module")
def dataset(scans, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "dataset"
    assert prepare.main(words(scans, output)) == 0
    return content(output)


def stop_at(monkeypatch, number: int, when: str):
    """Ctrl-C before or after the `number`-th file gets its name."""
    real, calls = os.replace, []

    def replace(source, target, **keywords):
        calls.append(target)
        if len(calls) == number and when == "before":
            raise KeyboardInterrupt
        real(source, target, **keywords)
        if len(calls) == number:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_anywhere_the_same_command_gives_the_same_bytes(
    scans, dataset, tmp_path, monkeypatch, when
):
    stops = 0
    for number in range(1, 20):
        output = tmp_path / str(number)
        with monkeypatch.context() as patch:
            stop_at(patch, number, when)
            try:
                prepare.main(words(scans, output))
            except KeyboardInterrupt:
                stops += 1
        if stops == number:
            assert prepare.main(words(scans, output)) == 0
        assert content(output) == dataset
        assert not output.with_name(f"{number}.partial").exists()
        if stops < number:
            break
    assert stops >= 6  # the mark, four studies, the dataset's own name


def test_stopped_while_it_tidies_up_it_is_done(scans, dataset, tmp_path, monkeypatch):
    """At every file that the partial folder loses, but for the mark, which goes last."""
    real, stops = os.unlink, 0
    for number in range(1, 30):
        output, calls = tmp_path / str(number), []

        def unlink(path, *args, output=output, calls=calls, number=number, **keywords):
            if output.exists():
                calls.append(path)
                if len(calls) == number:
                    raise KeyboardInterrupt
            real(path, *args, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", unlink)
            try:
                prepare.main(words(scans, output))
            except KeyboardInterrupt:
                stops += 1
        if stops < number:
            break
        assert prepare.main(words(scans, output)) == 0
        assert content(output) == dataset
        assert not output.with_name(f"{number}.partial").exists()
    assert stops >= 8  # two files of each study, and the mark


def test_killed_with_an_archive_half_read(scans, dataset, tmp_path):
    packed, output = tmp_path / "scans.tar.gz", tmp_path / "dataset"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(scans, "scans")
    command = [sys.executable, "-m", "cmrjax.cli", "prepare", *words(packed, output)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    unpacked = tmp_path / "dataset.partial" / "unpacked"
    while process.poll() is None and not (unpacked.is_dir() and any(unpacked.iterdir())):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert prepare.main(words(packed, output)) == 0
    assert content(output) == dataset


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_unpacked(scans, dataset, tmp_path, number, code):
    packed, output = tmp_path / "scans.tar.gz", tmp_path / "dataset"
    with tarfile.open(packed, "w:gz") as archive:
        for copy in range(40):
            archive.add(scans, f"{copy}")
    command = [sys.executable, "-m", "cmrjax.cli", "prepare", *words(packed, output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    unpacked = tmp_path / "dataset.partial" / "unpacked"
    while process.poll() is None and not (unpacked.is_dir() and any(unpacked.iterdir())):
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code
    assert "the same command goes on" in err
    assert not unpacked.exists()
    assert prepare.main(words(packed, output)) == 0
    assert content(output).keys() == dataset.keys()


@pytest.fixture
def stopped(scans, tmp_path, monkeypatch):
    """A run that was stopped after a study, on scans of its own."""
    own = tmp_path / "scans"
    for path in sorted(scans.rglob("*.dcm")):
        copy = own / path.relative_to(scans)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        stop_at(patch, 2, "after")
        with pytest.raises(KeyboardInterrupt):
            prepare.main(words(own, tmp_path / "out"))
    return own, tmp_path / "out"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--split-seed", "7"), "differs: --split-seed)"),
        (("--fractions", "0.5", "0.2", "0.3"), "differs: --fractions)"),
        (("--size", "20", "--spacing", "1.5"), "differs: --size, --spacing)"),
        (("--deid-key-file", "{key}"), "differs: --deid-key-file)"),
        (("--labels", "{labels}"), "differs: --labels)"),
    ],
)
def test_other_flags_are_named(stopped, tmp_path, flags, named):
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "labels.csv").write_text("study_instance_uid,x\n1.2.826.1,1\n")
    given = [f.format(key=tmp_path / "key", labels=tmp_path / "labels.csv") for f in flags]
    with pytest.raises(UserError, match=re.escape(named)):
        prepare.main(words(*stopped, *given))


def test_public_or_not_is_noticed(stopped, tmp_path):
    (tmp_path / "key").write_text("k" * 32)
    line = words(*stopped, "--deid-key-file", str(tmp_path / "key"))
    line.remove("--public")
    with pytest.raises(UserError, match=r"differs: --deid-key-file, --public\)"):
        prepare.main(line)


@pytest.mark.parametrize("change", ["touched", "longer", "gone", "new"])
def test_changed_scans_are_noticed_and_nothing_is_told_of_them(stopped, change):
    scans, output = stopped
    path = sorted(scans.rglob("*.dcm"))[-1]
    if change == "touched":
        os.utime(path, (1, 1))
    elif change == "longer":
        path.write_bytes(path.read_bytes() + b"\0\0")
    elif change == "gone":
        path.unlink()
    else:
        (scans / "more.dcm").write_bytes(b"")
    with pytest.raises(UserError, match=r"differs: files in --input\)") as caught:
        prepare.main(words(scans, output))
    assert path.name not in str(caught.value)
    mark = (output.with_name("out.partial") / "job.json").read_text()
    assert not any(word in mark for word in (str(scans), path.name))


def test_a_folder_without_a_readable_mark_is_not_gone_on_from(stopped):
    scans, output = stopped
    (output.with_name("out.partial") / "job.json").write_text("[1")
    with pytest.raises(UserError, match="beginning, which cannot be read"):
        prepare.main(words(scans, output))


def test_output_inside_the_scans_is_refused(scans):
    with pytest.raises(UserError, match="inside --input"):
        prepare.main(words(scans, scans / "dataset"))


def test_a_budget_of_rejected_studies_stops_only_a_run_that_exceeds_it(scans, dataset, tmp_path):
    output = tmp_path / "dataset"
    with pytest.raises(engine.TooManyRejectedError) as caught:
        prepare.main(words(scans, output, "--max-rejected", "0.2"))
    line = str(caught.value)
    assert "1 of 4 studies gave no cine, more than --max-rejected 0.2 allows" in line
    assert "cine.one_phase 1" in line
    assert "\n" not in line
    # What is done is kept, and counts when the command goes on.
    assert output.with_name("dataset.partial").exists()
    with pytest.raises(UserError, match="1 of 4"):
        prepare.main(words(scans, output, "--max-rejected", "0"))
    assert prepare.main(words(scans, output, "--max-rejected", "0.25")) == 0
    assert content(output) == dataset
    with pytest.raises(UserError, match="not a share"):
        prepare.main(words(scans, tmp_path / "x", "--max-rejected", "3"))


def test_a_changed_table_beside_a_public_dataset_is_noticed(tmp_path):
    """M&Ms' own table may lie in the parent of --input, where its files are not listed."""
    root, table = tmp_path / "set" / "OpenDataset", tmp_path / "set" / "facts.csv"
    root.mkdir(parents=True)
    table.write_text("External code,Pathology\nA0S9V9,HCM\n")
    args = build_parser().parse_args(
        ["--source", "mnms", "--input", str(root), "--output", str(tmp_path / "out")]
    )
    before = resume.asked(args, contract())
    (table.parent / "notes.csv").write_text("another's\n")
    (table.parent / "a_folder.csv").mkdir()
    assert resume.asked(args, contract()) == before
    table.write_text("External code,Pathology\nA0S9V9,DCM\n")
    after = resume.asked(args, contract())
    assert {name for name in after if after[name] != before[name]} == {"table of the dataset"}
    resume.claim(tmp_path / "out.partial", before)
    with pytest.raises(UserError, match="differs: table of the dataset"):
        resume.claim(tmp_path / "out.partial", after)


def test_an_output_that_cannot_be_written_is_named(scans, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written") as caught:
        prepare.main(words(scans, tmp_path / "file" / "dataset"))
    assert "--output elsewhere" in str(caught.value)


def test_a_folder_of_reports_is_refused_without_a_name_in_it(scans, tmp_path, monkeypatch, capsys):
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "erika.txt").write_text("Normal.")
    (reports / "gone.txt").symlink_to(tmp_path / "nowhere")  # as editors leave them: no report

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", closed)
    assert run("prepare", words(scans, tmp_path / "out", "--reports", str(reports))) == 2
    line = capsys.readouterr().err
    assert line == f"cmrjax prepare: error: {reports}: cannot be read: Permission denied\n"


def test_a_study_that_is_not_found_again_is_left_out(scans, tmp_path, monkeypatch):
    output, real = tmp_path / "out", dicom_export.study_of
    with monkeypatch.context() as patch:
        stop_at(patch, 9, "after")  # the mark, and all studies
        with pytest.raises(KeyboardInterrupt):
            prepare.main(words(scans, output))
    assert len(list((tmp_path / "out.partial" / "studies").glob("*.json"))) == 4

    def slow(path):
        if "/d2/" in path:
            raise Rejected(Reason.TOO_SLOW)
        return real(path)

    monkeypatch.setattr(dicom_export, "study_of", slow)
    assert prepare.main(words(scans, output)) == 0
    info = load_info(output)
    assert info["counts"]["studies"] == 2
    assert info["rejected"]["file.too_slow"] == len(list((scans / "d2").iterdir()))


def test_two_runs_on_one_output_are_one_too_many(scans, dataset, tmp_path, capsys):
    output = tmp_path / "out"
    with sole_user(tmp_path / "out.partial"):
        assert run("prepare", words(scans, output)) == 2
        assert "another process is at work" in capsys.readouterr().err
    assert run("prepare", words(scans, output)) == 0
    assert content(output) == dataset


def test_wrong_input_stopped_while_it_is_removed_can_be_repeated(tmp_path, monkeypatch):
    scans = tmp_path / "scans"
    write_cine(scans, phases=1)  # no cine at all
    real, stops = os.unlink, 0
    for number in range(1, 20):
        output, calls = tmp_path / str(number), []

        def unlink(path, *args, calls=calls, number=number, **keywords):
            calls.append(path)
            if len(calls) == number:
                raise KeyboardInterrupt
            real(path, *args, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", unlink)
            with pytest.raises((KeyboardInterrupt, UserError)) as end:
                prepare.main(words(scans, output))
        stops += end.type is KeyboardInterrupt
        with pytest.raises(UserError, match="no cine found"):
            prepare.main(words(scans, output))
        if stops < number:
            break
    assert stops >= 3
