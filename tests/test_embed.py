"""`cmrjax embed`: the vectors that the evaluators see, in a file that numpy opens."""

import dataclasses
import shutil

import numpy as np
import pytest

from cmrjax.cli import run
from cmrjax.data.contract import save_contract
from cmrjax.data.records import RecordSource
from cmrjax.evals.embeddings import embed, read_cohort
from cmrjax.evals.model_folder import write_model_folder
from cmrjax.evals.origin import WorkdirOrigin, load_trained_model
from tests.tiny import tiny_contract
from tests.workdirs import SMALL, write_workdir


@pytest.fixture(scope="module")
def workdir(tiny_dataset, tmp_path_factory):
    return write_workdir(
        tiny_dataset, tmp_path_factory.mktemp("embed") / "run", steps=(3, 8), **SMALL
    )


def embedded(output, *words):
    assert run("embed", [*map(str, words), "--output", str(output)]) == 0
    with np.load(output, allow_pickle=False) as stored:
        return dict(stored)


def test_every_study_once_with_the_vectors_of_the_evaluators(workdir, tiny_dataset, tmp_path):
    rows = embedded(tmp_path / "z.npz", "--workdir", workdir, "--data", tiny_dataset)
    source = RecordSource(tiny_dataset)
    assert rows["study_id"].tolist() == sorted({str(s) for s in source.index.study_id})
    encoder = WorkdirOrigin(workdir).encoder(8)
    for split in ("train", "test"):
        expected = embed(encoder, read_cohort(source, split=split))
        order = np.argsort(expected.study_id)
        ours = rows["split"] == split
        np.testing.assert_array_equal(rows["patient_id"][ours], expected.patient_id[order])
        np.testing.assert_allclose(rows["z"][ours], expected.z[order], atol=1e-6)
        np.testing.assert_allclose(rows["pooled"][ours], expected.pooled[order], atol=1e-5)
    assert int(rows["step"]) == 8
    first = embedded(tmp_path / "z3.npz", "--workdir", workdir, "--data", tiny_dataset, "--step", 3)
    assert first["weights"] != rows["weights"]
    assert np.abs(first["z"] - rows["z"]).max() > 1e-4


def test_cines_of_a_model_folder_add_up_to_its_studies(workdir, tiny_dataset, tmp_path):
    write_model_folder(tmp_path / "model", load_trained_model(workdir), card="")
    words = ("--model", tmp_path / "model", "--data", tiny_dataset)
    cines = embedded(tmp_path / "c.npz", *words, "--level", "cine", "--batch-size", 5)
    studies = embedded(tmp_path / "s.npz", *words)
    index = RecordSource(tiny_dataset).index
    for name in ("study_id", "view", "slice_index"):
        np.testing.assert_array_equal(cines[name], getattr(index, name))
    for i, study in enumerate(studies["study_id"]):
        mean = cines["z"][cines["study_id"] == study].mean(0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), studies["z"][i], atol=1e-6)


def test_what_cannot_be_is_one_line_and_leaves_no_file(workdir, tiny_dataset, tmp_path, capsys):
    other = shutil.copytree(tiny_dataset, tmp_path / "other")
    save_contract(other, dataclasses.replace(tiny_contract(), spacing_mm=1.25))
    output = tmp_path / "z.npz"
    for words, message in (
        (("--workdir", workdir, "--data", other), "spacing_mm: dataset 1.25, checkpoint 2.0"),
        (("--workdir", workdir, "--data", tmp_path / "no"), "not a dataset"),
        (("--workdir", tmp_path / "no", "--data", tiny_dataset), "no such workdir"),
        (("--workdir", workdir, "--data", tiny_dataset, "--step", 4), "available steps: [3, 8]"),
        (("--workdir", workdir, "--data", tiny_dataset, "--batch-size", 0), "less than 1"),
    ):
        assert run("embed", [*map(str, words), "--output", str(output)]) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()
    output.write_bytes(b"x")
    words = ["--workdir", str(workdir), "--data", str(tiny_dataset), "--output", str(output)]
    assert run("embed", words) == 2
    assert output.read_bytes() == b"x"
