import csv
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cmrjax import inspect, prepare, verify
from cmrjax.core.errors import UserError
from cmrjax.data import engine
from cmrjax.data.contract import InputContract, differences, save_checkpoint_contract
from cmrjax.data.pipeline import DataConfig, StudyExamples
from cmrjax.data.records import RecordSource, studies
from cmrjax.data.splits import load_splits
from cmrjax.data.standardise import to_patient
from tests.data.builders import beating, contract, write_cine

SMALL = ["--size", "16", "--frames", "8"]


def write_export(folder: Path, patients: int = 6) -> None:
    for study in range(1, patients + 1):
        for i in range(2):
            write_cine(
                folder / f"d{study}", study=study, first_instance=1 + 8 * i, position=8.0 * i
            )
        write_cine(folder / f"d{study}", study=study, series=2, SeriesDescription="cine 4ch")
        write_cine(folder / f"d{study}", study=study, series=3, phases=1, SeriesDescription="LGE")
    (folder / "notes.txt").write_text("not an image")
    (folder / "d1" / "._x.dcm").write_bytes(b"\0\5\x16\7")


def write_tables(folder: Path, patients: int = 6) -> list[str]:
    reports = [["accession_number", "report"], ["A99", "Findings: of nobody."]]
    labels = [["study_instance_uid", "dilated", "lvef", "group"]]
    for study in range(1, patients + 1):
        if study != 2:
            text = f"Findings: Erika Testperson on 3/4/2019. LVEF {40 + study} %."
            reports.append([f"A{study}", text])
        labels.append([f"1.2.826.{study}", str(study % 2), f"{40 + study}", "AB"[study % 2]])
    labels[1][2] = ""
    for name, rows in (("reports", reports), ("labels", labels)):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
    (folder / "tasks.csv").write_text(
        "column,kind,classes\ndilated,binary,\nlvef,regression,\ngroup,multiclass,A;B\n"
    )
    names = ("reports", "labels", "label-tasks")
    files = ("reports.csv", "labels.csv", "tasks.csv")
    return [w for n, f in zip(names, files, strict=True) for w in (f"--{n}", str(folder / f))]


def run(source: Path, output: Path, *flags: str) -> Path:
    words = ["--source", "dicom", "--input", str(source), "--output", str(output), "--public"]
    small = () if "--contract" in flags else SMALL
    assert prepare.main([*words, "--workers", "1", *small, *flags]) == 0
    return output


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    write_export(folder / "scans")
    return folder / "scans", write_tables(folder)


@pytest.fixture(scope="module")
def dataset(export, tmp_path_factory):
    return run(export[0], tmp_path_factory.mktemp("made") / "dataset", *export[1])


def test_records_hold_cines_labels_and_clean_reports(dataset):
    source = RecordSource(dataset)
    grouped = studies(source.index)
    assert len(grouped) == 6
    assert {s.views for s in grouped} == {("sax", "sax", "4ch")}
    record = source[grouped[0].rows[1]]
    assert record["cine"].shape == (8, 16, 16)
    assert (record["gap_mm"], record["slice_index"]) == (8.0, 1)
    np.testing.assert_allclose(record["trigger_times_ms"], 100 * np.arange(8))
    np.testing.assert_allclose(record["crop_centre"], [15.5, 15.5], atol=0.5)
    assert record["crop_confidence"] == 1
    # What undoes it: the middle of the stored frame is the heart, in the patient's own mm.
    np.testing.assert_array_equal(record["origin_mm"], [0, 0, 8])
    np.testing.assert_array_equal(record["orientation"], [1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(to_patient(record, np.array([7.5, 7.5])), [31, 31, 8], atol=1)
    known = [source[s.rows[0]] for s in grouped]
    texts = sorted(r["report"] for r in known)
    assert texts[0] == ""
    assert texts[1] == "Findings: [name] on [date]. LVEF 41 %."
    assert sorted(r["labels"]["dilated"] for r in known) == [0, 0, 0, 1, 1, 1]
    assert sum(np.isnan(r["labels"]["lvef"]) for r in known) == 1


def test_dataset_info_counts_what_was_joined_and_left_out(dataset):
    info = RecordSource(dataset).info
    assert info["label_tasks"] == {
        "dilated": {"kind": "binary"},
        "group": {"kind": "multiclass", "classes": ["A", "B"]},
        "lvef": {"kind": "regression"},
    }
    assert info["rejected"] == {
        "cine.named_other_imaging": 6,
        "file.appledouble": 1,
        "file.not_dicom": 1,
    }
    counts = info["counts"]
    assert (counts["patients"], counts["studies"], counts["cines"]) == (6, 6, 18)
    assert counts["studies_with_report"] == 5
    assert counts["studies_without_report"] == 1
    assert counts["reports_without_study"] == 1
    assert info["deidentified"] == {"header.name": 5, "date": 5}


def test_no_identifier_is_in_any_file(dataset):
    everything = b"".join(content(dataset).values())
    for secret in (b"Testperson", b"Erika", b"1.2.826", b"3/4/2019", b"notes.txt", b"d1/"):
        assert secret not in everything


def test_two_workers_give_the_same_bytes(export, dataset, tmp_path):
    again = run(export[0], tmp_path / "again", *export[1], "--workers", "2")
    assert content(again) == content(dataset)


def test_a_stopped_run_goes_on_where_it_was(export, dataset, tmp_path, monkeypatch):
    output, stored, real = tmp_path / "dataset", [], engine._store

    def stop_at_fourth(folder, result):
        if len(stored) == 3:
            raise KeyboardInterrupt
        stored.append(result.study_id)
        real(folder, result)

    monkeypatch.setattr(engine, "_store", stop_at_fourth)
    with pytest.raises(KeyboardInterrupt):
        run(export[0], output, *export[1])
    assert not output.exists()
    # The pixels of finished studies are not read again.
    fresh = []
    monkeypatch.setattr(engine, "_store", lambda f, r: (fresh.append(r.study_id), real(f, r)))
    with pytest.raises(UserError, match="other settings"):
        run(export[0], output, *export[1], "--size", "20")
    run(export[0], output, *export[1])
    assert len(fresh) == 3
    assert not set(fresh) & set(stored)
    assert content(output) == content(dataset)
    assert not output.with_name("dataset.partial").exists()


def test_one_broken_study_does_not_stop_the_run(tmp_path, monkeypatch):
    write_export(tmp_path / "scans", 2)
    for path in (tmp_path / "scans" / "d2").glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-100])
    info = RecordSource(run(tmp_path / "scans", tmp_path / "out")).info
    assert info["counts"]["studies"] == 1
    assert info["rejected"]["file.truncated"] == 25
    assert info["rejected"]["study.no_cine"] == 1


def test_key_file_hides_ids_and_keeps_them_stable(tmp_path):
    write_export(tmp_path / "scans", 2)
    seen = []
    for name, key in (("a", "k" * 32), ("b", "k" * 32), ("c", "x" * 32)):
        (tmp_path / f"{name}.key").write_text(key)
        words = ["--source", "dicom", "--input", str(tmp_path / "scans"), "--workers", "1", *SMALL]
        output = tmp_path / name
        key_flag = ["--deid-key-file", str(tmp_path / f"{name}.key")]
        prepare.main([*words, "--output", str(output), *key_flag])
        seen.append(content(output))
    assert seen[0] == seen[1]
    assert seen[0]["splits.json"] != seen[2]["splits.json"]


def test_a_later_export_keeps_the_splits_of_the_first(tmp_path):
    write_export(tmp_path / "scans", 8)
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "other").write_text("x" * 32)
    key = ("--deid-key-file", str(tmp_path / "key"))
    first = run(tmp_path / "scans", tmp_path / "first", *key, "--split-seed", "3")
    write_export(tmp_path / "scans", 12)
    later = run(tmp_path / "scans", tmp_path / "later", *key, "--splits", str(first))
    before, after = (load_splits(folder).assignment for folder in (first, later))
    assert len(after) == 12
    assert {patient: after[patient] for patient in before} == before
    alone = run(tmp_path / "scans", tmp_path / "alone", *key)
    assert load_splits(alone).assignment.items() & before.items() != before.items()
    with pytest.raises(UserError, match="its ids are of another key"):
        run(
            tmp_path / "scans",
            tmp_path / "wrong",
            *("--deid-key-file", str(tmp_path / "other"), "--splits", str(first)),
        )


def test_contract_of_a_model_is_taken_over(tmp_path):
    write_export(tmp_path / "scans", 1)
    model = InputContract(4, "uniform", 12, "unit", ("findings",), "wordpiece", 32)
    wanted = contract(spacing_mm=3.0, size=12, frames=5)
    (tmp_path / "model").mkdir()
    save_checkpoint_contract(tmp_path / "model", wanted, model)
    output = run(tmp_path / "scans", tmp_path / "out", "--contract", str(tmp_path / "model"))
    assert RecordSource(output)[0]["cine"].shape == (5, 12, 12)
    save_checkpoint_contract(tmp_path / "model", contract(orientation="LPS"), model)
    with pytest.raises(UserError, match="orientation"):
        run(tmp_path / "scans", tmp_path / "b", "--contract", str(tmp_path / "model"))
    # A dataset serves as a pattern, too.
    like = run(tmp_path / "scans", tmp_path / "like", "--contract", str(output))
    assert content(like) == content(output)


def test_pixels_of_16_bits_from_the_scan_to_the_batch(tmp_path):
    write_export(tmp_path / "scans", 1)
    fine = RecordSource(run(tmp_path / "scans", tmp_path / "fine", "--dtype", "uint16"))
    coarse = RecordSource(run(tmp_path / "scans", tmp_path / "coarse"))
    cine, other = fine[0]["cine"], coarse[0]["cine"]
    assert (cine.dtype, cine.max(), other.dtype) == (np.uint16, 65535, np.uint8)
    np.testing.assert_allclose(cine / 257, other, atol=0.5 + 1 / 257)
    assert differences(fine.contract, coarse.contract) == [
        "dtype: dataset uint16, checkpoint uint8"
    ]
    model = InputContract(4, "uniform", 16, "unit", (), "none", 0)
    (study,) = studies(fine.index)
    config = DataConfig(dataset=str(tmp_path / "fine"), split="", cines=2)
    examples = StudyExamples(fine, config, model, tokenizer=None)
    clips = examples.random_map(study, np.random.default_rng(0))["clips"]
    assert (clips.dtype, clips.max()) == (np.uint16, 65535)
    assert verify.main([str(tmp_path / "fine")]) == 0
    assert inspect.main([str(tmp_path / "fine")]) == 0


def test_a_model_of_fewer_views_gets_its_own_vocabulary(tmp_path):
    write_cine(tmp_path / "scans", SeriesDescription="cine LVOT")
    model = InputContract(4, "uniform", 16, "unit", ("findings",), "wordpiece", 32)
    (tmp_path / "model").mkdir()
    older = contract(frames=8, views=("sax", "2ch", "3ch", "4ch", "unknown"))
    save_checkpoint_contract(tmp_path / "model", older, model)
    assert RecordSource(run(tmp_path / "scans", tmp_path / "new"))[0]["view"] == "lvot"
    output = run(tmp_path / "scans", tmp_path / "old", "--contract", str(tmp_path / "model"))
    source = RecordSource(output)
    assert (source[0]["view"], source.index.view.tolist()) == ("unknown", ["unknown"])
    assert source.contract.views == older.views


def test_wrong_input_is_one_line_and_leaves_nothing(tmp_path):
    scans = tmp_path / "scans"
    write_export(scans, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "x").write_text("hello")
    write_cine(tmp_path / "still", phases=1)
    (tmp_path / "r.csv").write_text("study_instance_uid,report\n9.9,Normal.\n")
    (tmp_path / "l.csv").write_text("study_instance_uid,who\n" + "".join(
        f"{i},person {i}\n" for i in range(9)
    ))  # fmt: skip
    (tmp_path / "bad.csv").write_text("uid,report\n1,x\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    public = ["--source", "dicom", "--public", "--workers", "1", *SMALL]
    cases = [
        ([*public, "--input", str(tmp_path / "none")], "no such folder"),
        ([*public, "--input", str(tmp_path / "empty")], "folder is empty"),
        ([*public, "--input", str(tmp_path / "text")], "file.not_dicom 1"),
        ([*public, "--input", str(tmp_path / "still")], "no cine found .cine.one_phase 1"),
        ([*public, "--input", str(scans), "--reports", str(tmp_path / "r.csv")], "no report match"),
        ([*public, "--input", str(scans), "--reports", str(tmp_path / "bad.csv")], "no column"),
        ([*public, "--input", str(scans), "--labels", str(tmp_path / "l.csv")], "holds texts"),
        ([*public, "--input", str(scans), "--reports", str(tmp_path / "no.csv")], "no such file"),
        ([*public], "--input is missing"),
        (["--source", "dicom", "--input", str(scans)], "needs --deid-key-file"),
        (["--source", "acdc", "--input", str(scans)], "Info.cfg"),
        ([*public, "--input", str(scans), "--spacing", "0"], "spacing"),
        ([*public, "--input", str(scans), "--size", "100000"], "is not from 8 to 2048"),
        ([*public, "--input", str(scans), "--patients", "3"], "--patients is of --source phantom"),
        ([*public, "--input", str(scans), "--splits", str(scans)], "is not a dataset"),
    ]
    for words, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            prepare.main([*words, "--output", str(tmp_path / "out")])
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "out.partial").exists()
    with pytest.raises(UserError, match="not empty"):
        prepare.main([*public, "--input", str(scans), "--output", str(tmp_path / "full")])
    assert os.listdir(tmp_path / "full") == ["x"]


def test_phantom_source_reads_its_own_tables(tmp_path, capsys):
    words = ["--source", "phantom", "--patients", "3", "--seed", "5", "--workers", "1"]
    prepare.main([*words, "--output", str(tmp_path / "p")])
    printed = json.loads(capsys.readouterr().out)
    assert printed["studies_with_report"] == printed["patients"] == 3
    source = RecordSource(tmp_path / "p")
    assert source.info["public"]
    assert {"lvef", "normal"} <= source[0]["labels"].keys()
    assert len(source[0]["report"]) > 20


@pytest.mark.parametrize(("name", "slices", "gap"), [("SCD0000101", 12, 10), ("SCD0000301", 10, 8)])
def test_sunnybrook_stacks(shared_data, tmp_path, name, slices, gap):
    with tarfile.open(shared_data / "scd" / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = RecordSource(run(tmp_path / name, tmp_path / "out"))
    records = [source[i] for i in range(len(source))]
    assert [r["slice_index"] for r in records] == list(range(slices))
    assert {r["view"] for r in records} == {"sax"}
    assert {r["original_frames"] for r in records} == {20}
    np.testing.assert_allclose([r["gap_mm"] for r in records], gap, atol=0.01)
    assert source.info["rejected"] == {}


def test_the_disc_stays_centred_when_frames_are_resampled(tmp_path):
    off = beating(12, 40, centre=(14.0, 24.0))
    write_cine(tmp_path / "scans", frames=off, phases=12)
    record = RecordSource(run(tmp_path / "scans", tmp_path / "out"))[0]
    rows, columns = np.nonzero(record["cine"][0] > 128)
    assert abs(rows.mean() - 7.5) < 0.6
    assert abs(columns.mean() - 7.5) < 0.6


def test_people_under_several_ids_are_warned_of(tmp_path, capsys):
    people = [("DOE^JO", "19500101"), ("Doe^Jo", "19500101"), ("DOE^JO", "19600101")]
    people += [("ANON^X", "19000101")] * 6  # what a site writes for everybody
    for study, (name, born) in enumerate(people, 1):
        who = {"PatientName": name, "PatientBirthDate": born, "PatientID": f"P{study}"}
        write_cine(tmp_path / "scans" / str(study), study=study, **who)
    words = ["--source", "dicom", "--public", "--input", str(tmp_path / "scans"), "--workers", "1"]
    assert prepare.main([*words, *SMALL, "--output", str(tmp_path / "out")]) == 0
    err = capsys.readouterr().err
    assert "who count as several patients, perhaps in different splits: 1\n" in err
    assert "doe" not in err.lower()
    info = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert info["counts"]["people_with_several_ids"] == 1
    assert info["counts"]["patients"] == 9
    stored = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"person" not in stored.replace(b"Testperson", b"")


def test_an_id_of_several_people_is_warned_of(tmp_path, capsys):
    for study, name in enumerate(("Doe^Jo", "Roe^Al", "Doe^Jo"), 1):
        who = {"PatientName": name, "PatientBirthDate": "19500101", "PatientID": "PATIENT"}
        write_cine(tmp_path / "scans" / str(study), study=study, **who)
    output = run(tmp_path / "scans", tmp_path / "out")
    assert "who count as one patient: a placeholder, or another site" in capsys.readouterr().err
    counts = RecordSource(output).info["counts"]
    assert (counts["patients"], counts["ids_of_several_people"]) == (1, 1)


def test_the_report_of_a_study_without_cines_is_counted(export, tmp_path):
    scans, tables = export
    shutil.copytree(scans, tmp_path / "scans")
    for path in (tmp_path / "scans" / "d3").glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-100])
    counts = RecordSource(run(tmp_path / "scans", tmp_path / "out", *tables)).info["counts"]
    assert (counts["studies"], counts["studies_with_report"]) == (5, 4)
    assert counts["reports_of_studies_left_out"] == 1
