"""What a model was trained on is known through everything that it starts from, if at hand."""

import json
import shutil

import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import splits_fingerprint
from cmrjax.evals.embeddings import dataset_fingerprint
from cmrjax.evals.model_folder import write_model_folder
from cmrjax.evals.origin import FolderOrigin, WorkdirOrigin, load_trained_model
from tests.tiny import tiny_config, write_tiny_dataset
from tests.workdirs import SMALL, write_workdir


@pytest.fixture(scope="module")
def root(tiny_dataset, tmp_path_factory):
    """A run on the pinned split, its model folder, and runs on a fold that start from each."""
    root = tmp_path_factory.mktemp("origins")
    write_workdir(tiny_dataset, root / "first", steps=(2,), **SMALL)
    write_model_folder(root / "model", load_trained_model(root / "first"), card="")
    folds = tiny_config(tiny_dataset)["data"] | {"fold": (1, 5)}
    sources = {
        "after_run": {"workdir": str(root / "first")},
        "after_model": {"video": {"path": str(root / "model")}},
        "after_file": {"video": {"path": str(root / "model" / "model.safetensors")}},
    }
    for name, pretrained in sources.items():
        changes = SMALL | {"data": folds, "pretrained": pretrained}
        write_workdir(tiny_dataset, root / name, steps=(2,), **changes)
    return root


@pytest.fixture(scope="module")
def source(tiny_dataset):
    return RecordSource(tiny_dataset)


def test_a_run_has_seen_the_patients_of_its_split(root, source):
    origin = WorkdirOrigin(root / "first")
    assert origin.seen(source) == source.splits.patients("train")
    assert origin.data == (str(source.directory), None)
    assert origin.steps() == [2]


@pytest.mark.parametrize("name", ["after_run", "after_model", "after_file"])
def test_a_run_has_also_seen_those_of_what_it_starts_from(root, source, name):
    both = source.splits.patients("train") | source.splits.patients("train", (1, 5))
    assert WorkdirOrigin(root / name).seen(source) == both > source.splits.patients("train")


def test_an_export_says_so_too(root, source, tmp_path):
    for name in ("after_run", "after_model"):
        model = load_trained_model(root / name)
        assert [part.fold for part in model.training.data] == [(1, 5), None]
        write_model_folder(tmp_path / name, model, card="")
        expected = WorkdirOrigin(root / name).seen(source)
        assert FolderOrigin(tmp_path / name).seen(source) == expected


def test_a_folder_holds_fingerprints_by_which_the_dataset_is_known(root, source, tmp_path):
    (part,) = load_trained_model(root / "first").training.data
    assert part.dataset == dataset_fingerprint(source)
    assert part.splits == splits_fingerprint(source.splits)
    origin = FolderOrigin(root / "model")
    assert origin.seen(source) == source.splits.patients("train")
    assert (origin.steps(), origin.data) == ([2], ("", None))
    # Prepared again, the patients are in the same splits; of other patients nothing is known.
    again = RecordSource(write_tiny_dataset(tmp_path / "again", seed=5))
    assert origin.seen(again) == source.splits.patients("train")
    others = RecordSource(write_tiny_dataset(tmp_path / "others", patients=30))
    assert origin.seen(others) == frozenset()


def test_a_dataset_that_is_gone_is_not_known(root, source, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(root / "after_run", moved)
    config = json.loads((moved / "config.json").read_text())
    config["data"]["dataset"] = str(tmp_path / "gone")
    (moved / "config.json").write_text(json.dumps(config))
    assert WorkdirOrigin(moved).seen(source) == source.splits.patients("train")
    first, before = load_trained_model(moved).training.data
    assert (first.dataset, first.splits, first.fold) == ("", "", (1, 5))
    assert before.splits == splits_fingerprint(source.splits)


def test_weights_and_untrained_network_are_told_apart_by_hashes(root):
    run, model = WorkdirOrigin(root / "first"), FolderOrigin(root / "model")
    origins = (run, model)
    hashes = {*(o.identity(2) for o in origins), *(o.untrained_identity() for o in origins)}
    assert len(hashes) == 4
    with pytest.raises(UserError, match="is not a model folder"):
        FolderOrigin(root / "first")
    with pytest.raises(UserError, match="is a model folder, not a workdir"):
        WorkdirOrigin(root / "model")
