"""Nothing that identifies anybody comes out of `prepare` and `inspect`, whatever goes in."""

import csv
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cmrjax import prepare
from cmrjax.cli import main
from cmrjax.data import engine
from cmrjax.data.records import RecordSource, studies
from tests.data.builders import beating
from tests.data.deid.canary import CAPTURE, PDF, SR, Plan, decoded, found, report, write_canary

pytestmark = pytest.mark.timeout(600)  # two commands start from nothing, with their workers
FLAGS = ["--size", "16", "--frames", "8"]
MARKED = (
    ({"BurnedInAnnotation": "YES"}, "file.burned_in_text"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "file.screenshot"),
    ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, "file.derived_secondary"),
    ({"SOPClassUID": CAPTURE}, "file.secondary_capture"),
    ({"ConversionType": "WSD"}, "file.secondary_capture"),
    ({"SeriesDescription": "Screen Save"}, "file.screenshot"),
)


def command(*words: object) -> tuple[int, bytes]:
    """Runs a real command; returns its exit code and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "cmrjax.cli", *map(str, words)], capture_output=True, timeout=270
    )
    return done.returncode, done.stdout + b"\n" + done.stderr


def damage(paths: list[Path], seed: int) -> None:
    """Cuts files short, flips bytes of their headers, forges lengths."""
    rng = np.random.default_rng(seed)
    for i, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        if i % 3 == 0:
            data = data[: int(rng.integers(200, len(data)))]
        else:
            for at in rng.integers(132, 3000, 40 if i % 3 == 1 else 4):
                data[at] = rng.integers(256)
        path.write_bytes(data)


def write_archive(folder: Path, plan: Plan) -> None:
    """Good studies in three encodings, marked images, broken files, studies without any cine."""
    write_canary(folder, plan, number=1)
    write_canary(folder, plan, number=2, implicit=True)
    write_canary(folder, plan, number=3, charset="ISO_IR 13")
    # An unknown character set, and a letter that needs one: decoders warn, quoting both.
    odd = plan.word("SpecificCharacterSet").upper()
    for path in write_canary(folder, plan, number=6, charset=odd):
        path.write_bytes(path.read_bytes().replace(b"Ludovika", b"Ludov\xefka"))
    for series, (tags, _) in enumerate(MARKED, start=10):
        white = np.full((8, 32, 32), 4000, np.uint16)
        write_canary(folder, plan, number=1, series=series, slices=1, pixels=white, **tags)
    reader = f"{plan.word('who read a document')}^Ludovika"
    tags = {"SOPClassUID": PDF, "NameOfPhysiciansReadingStudy": reader}
    write_canary(folder, plan, number=1, series=20, slices=1, phases=1, **tags)
    write_canary(folder, plan, number=1, series=21, slices=1, phases=1, SOPClassUID=SR)
    damage(write_canary(folder, plan, number=4), seed=0)
    write_canary(folder, plan, number=5, slices=1, phases=1)
    (folder / f"{plan.word('a file that is no image')}.txt").write_text(plan.word("a text file"))


def write_packed(folder: Path, plan: Plan) -> None:
    """Studies in a zip and in a compressed tar, whose members' names name somebody; a cut zip."""
    loose = folder.parent / "loose"
    name, other = plan.word("archive name"), plan.word("cut archive name")
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = plan.word("archive comment").encode()
        for path in write_canary(loose, plan, number=7):
            archive.write(path, f"{plan.word('member name')}/{path.name}")
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as archive:
        for path in write_canary(loose, plan, number=8):
            archive.add(path, f"{plan.word('tar member name')}/{path.name}")
    whole = (folder / f"{name}.zip").read_bytes()
    (folder / f"{other}.zip").write_bytes(whole[: len(whole) // 2])
    shutil.rmtree(loose)


def write_tables(folder: Path, plan: Plan) -> list[object]:
    uid = "1.2.826.0.1.77665544"
    rows = [
        ["study_instance_uid", "report", "reader"],
        [f"{uid}.1", report(plan), plan.word("another column")],
        [f"{uid}.1", f"ADDENDUM: Shown to {plan.word('who read a document')}.", ""],
        [f"{uid}.2", f"FINDINGS: Seen with Anna {plan.word('report: unknown name')}.", ""],
        [f"{uid}.3", report(plan, study=3), ""],
        [f"{uid}.4", report(plan, study=4), ""],
        [f"{uid}.9", f"Of nobody: {plan.word('report without a study')}.", ""],
    ]
    with open(folder / "reports.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    lines = [f"{uid}.{i},{40 + i},{plan.word('a column that is no label')}" for i in range(1, 6)]
    (folder / "labels.csv").write_text("\n".join(["study_instance_uid,lvef,who", *lines]))
    (folder / "tasks.csv").write_text("column,kind\nlvef,regression\n")
    (folder / "key").write_text("0123456789abcdef" * 2)
    names = {"reports": "reports.csv", "labels": "labels.csv", "label-tasks": "tasks.csv"}
    flags = [w for name, file in names.items() for w in (f"--{name}", folder / file)]
    return [*flags, "--deid-key-file", folder / "key"]


def told(capfd, *words: object) -> tuple[int, bytes]:
    """The same in this process, which is faster."""
    code = main([str(word) for word in words])
    shown = capfd.readouterr()
    return code, (shown.out + shown.err).encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The archive's plan, everything that the commands wrote or printed, and the dataset."""
    folder, plan = tmp_path_factory.mktemp("canary"), Plan()
    scans = folder / f"{plan.word('input folder')}"
    scans.mkdir()
    write_archive(scans, plan)
    write_packed(scans, plan)
    flags = write_tables(folder, plan)
    dataset, card = folder / "dataset", folder / "card.html"
    words = ["prepare", "--source", "dicom", "--input", scans, "--output", dataset]
    code, printed = command(*words, "--workers", 2, *FLAGS, *flags)
    assert code == 0, printed
    code, shown = command("inspect", dataset, "--json", "--output", card)
    assert code == 0, shown
    outputs = {"prepare's output": printed, "the data card": shown, "card.html": card.read_bytes()}
    outputs |= {path.name: path.read_bytes() for path in dataset.iterdir()}
    outputs["every record"] = decoded(dataset)
    return plan, outputs, dataset


def test_the_card_as_text_and_picture(made, tmp_path, capfd):
    plan, _, dataset = made
    code, shown = told(capfd, "inspect", dataset, "--output", tmp_path / "card.png")
    assert code == 0
    assert found(plan, {"text": shown, "card.png": (tmp_path / "card.png").read_bytes()}) == []


def test_the_search_finds_what_is_there(made):
    plan, _, _ = made
    word = plan.word("PatientName")
    for data in (
        word.upper().encode(),
        word.encode("utf-16-le"),
        b"x20111123y",
        b"\xe9 " + b"14:27",
    ):
        assert found(plan, {"x": data})


def test_no_planted_identifier_comes_out(made):
    plan, outputs, _ = made
    assert len({where.split(":")[0] for where in plan.places.values()}) >= 60
    assert found(plan, outputs) == []


def test_what_may_stay_is_there(made):
    _, outputs, dataset = made
    source = RecordSource(dataset)
    grouped = studies(source.index)
    assert [s.views for s in grouped] == [("sax", "sax")] * 6
    texts = [source[s.rows[0]]["report"] for s in grouped]
    kept = [text for text in texts if text]
    assert len(kept) == 2  # the one with an unknown person's name is withheld
    for text in kept:
        for part in ("LVEF 45 %, EDV 120 ml.", "1.5 T", "Dilated LV.", "[name]", "[date]", "[age]"):
            assert part in text
    assert b"LVEF 45" in outputs["every record"]
    scanners = [json.loads(line) for line in outputs["series.jsonl"].splitlines()]
    assert {(row["vendor"], row["field_strength_t"]) for row in scanners} == {("other", 1.5)}
    info = source.info
    assert info["rejected"]["report.looks_identified"] == 1
    assert info["deidentified"]["residual.full_name"] == 1
    assert info["deidentified"]["header.name"] >= 4
    assert info["counts"]["studies_with_report"] == 2
    assert info["counts"]["reports_without_study"] == 1


def test_images_that_may_hold_text_are_absent_and_counted(made):
    _, outputs, dataset = made
    source = RecordSource(dataset)
    rejected = source.info["rejected"]
    for reason in {reason for _, reason in MARKED}:
        assert rejected[reason] == 8 * sum(r == reason for _, r in MARKED)
    assert rejected["file.not_an_mr_image"] == 2
    # The white images would have a histogram without any width.
    assert all(source[i]["intensity_window"][1] < 1000 for i in range(len(source)))
    # Overlays and curves of every image that was used, and the bit above its value.
    assert source.info["deidentified"]["dropped.overlay"] == 6 * 16
    assert source.info["deidentified"]["dropped.curve"] == 6 * 16
    assert len({source[i]["cine"].tobytes() for i in range(len(source))}) == 1
    card = json.loads(outputs["the data card"].split(b"\n")[0])
    assert card["rejected"] == rejected


def test_an_archive_of_which_nothing_is_used_says_so_and_no_more(tmp_path, capfd):
    plan = Plan()
    scans = tmp_path / plan.word("input folder")
    scans.mkdir()
    damage(write_canary(scans, plan, number=4), seed=1)
    write_canary(scans, plan, number=5, slices=1, phases=1)
    flags = write_tables(tmp_path, plan)
    words = ["prepare", "--source", "dicom", "--input", scans, "--output", tmp_path / "out"]
    code, printed = told(capfd, *words, "--workers", 1, *FLAGS, *flags)
    assert code == 2, printed
    assert b"no cine found" in printed
    assert found(plan, {"prepare's output": printed}) == []
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("wrong", ["labels", "reports", "json", "tasks"])
def test_wrong_tables_are_refused_without_a_word_of_theirs(tmp_path, wrong, capfd):
    plan = Plan()
    scans = tmp_path / plan.word("input folder")
    scans.mkdir()
    write_canary(scans, plan, slices=1)
    flags = write_tables(tmp_path, plan)
    word, uid = plan.word("a wrong cell"), "1.2.826.0.1.77665544.1"
    if wrong == "labels":
        (tmp_path / "labels.csv").write_text(f"study_instance_uid,lvef,who\n{uid},{word},x\n")
    elif wrong == "reports":
        (tmp_path / "reports.csv").write_text(f"{word},report\n{word},{word}\n")
    elif wrong == "json":
        (tmp_path / "reports.jsonl").write_text(f'{{"study_instance_uid": "{word}\n')
        flags[flags.index(tmp_path / "reports.csv")] = tmp_path / "reports.jsonl"
    else:
        (tmp_path / "tasks.csv").write_text(f"column,kind\nlvef,{word}\n")
    words = ["prepare", "--source", "dicom", "--input", scans, "--output", tmp_path / "out"]
    code, printed = told(capfd, *words, "--workers", 1, *FLAGS, *flags)
    assert code == 2
    assert found(plan, {"prepare's output": printed}) == []


def test_an_error_that_nobody_foresaw_is_told_without_its_text(tmp_path, monkeypatch, capfd):
    plan = Plan()
    write_canary(tmp_path / "scans", plan, slices=1)
    (tmp_path / "key").write_text("k" * 32)

    def break_down(paths, **_):
        raise ValueError(f"invalid literal: {plan.word('PatientName')} in {paths[0]}")

    monkeypatch.setattr("cmrjax.data.sources.dicom_export.scan_files", break_down)
    words = ["prepare", "--source", "dicom", "--input", tmp_path / "scans", *FLAGS]
    words += ["--output", tmp_path / "out", "--deid-key-file", tmp_path / "key", "--workers", 1]
    code, printed = told(capfd, *words)
    assert code == 1
    assert b"ValueError at " in printed
    assert b"test_canary.py" in printed
    assert found(plan, {"prepare's output": printed}) == []


def test_what_a_stopped_run_leaves_names_nobody(tmp_path, monkeypatch):
    plan, real = Plan(), engine._store
    write_canary(tmp_path / "scans", plan, number=1)
    write_canary(tmp_path / "scans", plan, number=3)
    flags = write_tables(tmp_path, plan)
    stored = []

    def stop_at_second(folder, result):
        if stored:
            raise KeyboardInterrupt
        stored.append(real(folder, result))

    monkeypatch.setattr(engine, "_store", stop_at_second)
    words = ["--source", "dicom", "--input", tmp_path / "scans", "--output", tmp_path / "out"]
    with pytest.raises(KeyboardInterrupt):
        prepare.main([str(w) for w in [*words, "--workers", 1, *FLAGS, *flags]])
    left = {str(p): p.read_bytes() for p in (tmp_path / "out.partial").rglob("*") if p.is_file()}
    assert any(name.endswith(".tfrecord") for name in left)
    assert found(plan, left) == []


def test_a_patient_keeps_an_id_under_one_key_and_the_days_between_visits(tmp_path):
    plan, seen = Plan(), []
    frames = beating(8)
    for number, (patient, day) in enumerate(
        (("Ann1", "20100228"), ("Ann1", "20110301"), ("Bob1", "20120000")), start=1
    ):
        write_canary(
            tmp_path / "scans", plan, number=number, slices=1, pixels=frames,
            PatientID=patient, StudyDate=day, AcquisitionDate=day,
        )  # fmt: skip
    for name, key in (("a", "k" * 32), ("b", "k" * 32), ("c", "x" * 32)):
        (tmp_path / f"{name}.key").write_text(key)
        words = ["--source", "dicom", "--input", tmp_path / "scans", "--workers", 1, *FLAGS]
        words += ["--output", tmp_path / name, "--deid-key-file", tmp_path / f"{name}.key"]
        assert prepare.main([str(w) for w in words]) == 0
        index = RecordSource(tmp_path / name).index
        lines = (tmp_path / name / "series.jsonl").read_text().splitlines()
        days = sorted(str(json.loads(line)["days_since_first"]) for line in lines)
        seen.append((sorted(set(index.patient_id)), sorted(set(index.study_id)), days))
    assert seen[0] == seen[1]
    assert [len(ids) for ids in seen[0][:2]] == [2, 3]
    assert seen[0][2] == ["0", "366", "None"]
    assert not set(seen[0][0]) & set(seen[2][0])
    assert not set(seen[0][1]) & set(seen[2][1])
    assert seen[0][2] == seen[2][2]
