"""Where the model of an evaluator job comes from: a run's workdir, or a model folder."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.core.manifest import MANIFEST, sha256
from cmrjax.data.contract import DatasetContract, InputContract, load_checkpoint_contract
from cmrjax.data.pipeline import DataConfig
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import SPLITS_FILE, load_splits, splits_fingerprint
from cmrjax.evals.embeddings import dataset_fingerprint
from cmrjax.evals.encoder import Encoder, make_encoder
from cmrjax.evals.model import Model, TrainedOn, Training
from cmrjax.evals.model_folder import (
    WEIGHTS_FILE,
    is_model_folder,
    read_model_folder,
    read_training,
)
from cmrjax.evals.workdir_encoder import load_encoder, load_workdir_model, random_encoder
from cmrjax.experiment import load_run_config

Fold = tuple[int, int] | None


class Origin(Protocol):
    """What an evaluator job needs to know of a model besides its vectors."""

    @property
    def directory(self) -> Path:
        """Where `evals/` and `results.json` go."""
        ...

    @property
    def contract(self) -> DatasetContract | None:
        """Of the data that it was trained on; None where there is none to compare."""
        ...

    @property
    def input(self) -> InputContract:
        """What it adds between a record and its input."""
        ...

    @property
    def data(self) -> tuple[str, Fold]:
        """The dataset and fold of its training; an empty name where it is not known."""
        ...

    @property
    def remarks(self) -> Mapping[str, str]:
        """What `settings.json` has to say of the model."""
        ...

    def steps(self) -> list[int]:
        """The steps that there are, ascending."""
        ...

    def encoder(self, step: int, *, name: str = "checkpoint") -> Encoder:
        """The model at a step."""
        ...

    def untrained(self) -> Encoder:
        """The same network before its first step, named 'random'."""
        ...

    def identity(self, step: int) -> str:
        """A hash of the weights of a step."""
        ...

    def untrained_identity(self) -> str:
        """A hash of what the untrained network depends on."""
        ...

    def seen(self, source: RecordSource) -> frozenset[str]:
        """Patients that are known to have been trained on, whether of this dataset or not."""
        ...


class WorkdirOrigin:
    """The checkpoints of a run.

    Args:
        directory: of a train job.

    Raises:
        UserError: the folder is no workdir.
    """

    remarks: Mapping[str, str] = {}

    def __init__(self, directory: Path):
        self.directory = directory
        self.contract, self.input = load_checkpoint_contract(directory)
        trained = load_run_config(directory).data_config()
        self.data: tuple[str, Fold] = trained.dataset, _fold(trained.fold)

    def steps(self) -> list[int]:
        """The complete checkpoints."""
        return checkpoint.steps(self.directory)

    def encoder(self, step: int, *, name: str = "checkpoint") -> Encoder:
        """The checkpoint of a step."""
        return load_encoder(self.directory, step=step, name=name)

    def untrained(self) -> Encoder:
        """The run's network before its first step."""
        return random_encoder(self.directory)

    def identity(self, step: int) -> str:
        """Of the checkpoint's manifest."""
        return sha256(checkpoint.folder(self.directory, step) / MANIFEST)

    def untrained_identity(self) -> str:
        """Of the run's config."""
        return sha256(self.directory / "config.json")

    def seen(self, source: RecordSource) -> frozenset[str]:
        """Patients of every training dataset that is at hand, also of what the run starts from."""
        found: frozenset[str] = frozenset()
        for part in _history(self.directory):
            if isinstance(part, TrainedOn):
                found |= _patients(part, source)
            elif _at_hand(part):
                splits = load_splits(Path(part.dataset))
                found |= splits.patients(part.split, _fold(part.fold))
        return found


class FolderOrigin:
    """A model folder, exported or imported.

    Args:
        directory: the folder.

    Raises:
        UserError: it is none.
        CorruptDataError: a file is damaged.
    """

    data: tuple[str, Fold] = ("", None)

    def __init__(self, directory: Path):
        self.directory = directory
        model = read_model_folder(directory)
        self.contract, self.input, self._model = model.dataset_contract, model.input, model

    @property
    def remarks(self) -> Mapping[str, str]:
        """That nothing could be compared, where nothing could."""
        if self.contract is not None:
            return {}
        return {"contract": "the model has none: any dataset was accepted"}

    def steps(self) -> list[int]:
        """Its one step."""
        return [self._model.step]

    def encoder(self, step: int, *, name: str = "checkpoint") -> Encoder:
        """The model; it has one step."""
        assert step == self._model.step
        return make_encoder(self._model, name=name)

    def untrained(self) -> Encoder:
        """Its network before the first step, drawn as its own run did where that is known."""
        training = self._model.training
        return make_encoder(self._model.untrained(training.seed if training else 0), name="random")

    def identity(self, step: int) -> str:
        """Of the weights' file."""
        del step
        return sha256(self.directory / WEIGHTS_FILE)

    def untrained_identity(self) -> str:
        """Of the folder's config."""
        return sha256(self.directory / "config.json")

    def seen(self, source: RecordSource) -> frozenset[str]:
        """Patients of this dataset, where its splits are those that were trained on.

        The folder holds no ids, so patients whom two datasets share are not found.
        """
        found: frozenset[str] = frozenset()
        for part in self._model.training.data if self._model.training else ():
            found |= _patients(part, source)
        return found


def open_origin(workdir: Path | None, model: Path | None) -> Origin:
    """The origin that two flags name, of which one is given.

    Raises:
        UserError: nothing is there.
    """
    if model is not None:
        return FolderOrigin(existing(model, "model folder"))
    assert workdir is not None, "argparse asks for one of the two"
    return WorkdirOrigin(existing(workdir, "workdir"))


def steps_of(origin: Origin, step: int | None = None) -> list[int]:
    """The steps that there are, ascending.

    Raises:
        UserError: there is none, or not the one that is asked for.
    """
    available = origin.steps()
    if not available or (step is not None and step not in available):
        raise UserError(
            "no complete checkpoint" if step is None else f"no checkpoint of step {step}",
            where=str(origin.directory),
            fix=f"available steps: {available or 'none; run cmrjax train first'}",
        )
    return available


def existing(directory: Path, what: str) -> Path:
    """The directory, if it is one.

    Raises:
        UserError: nothing is there.
    """
    if not directory.is_dir():
        writer = "train" if what == "workdir" else "export or import"
        raise UserError(
            f"no such {what}", where=str(directory), fix=f"give that of cmrjax {writer}"
        )
    return directory


def load_trained_model(workdir: Path, *, step: int | None = None) -> Model:
    """A checkpoint's model that says whose data trained it, as far as the data is at hand.

    Raises:
        UserError: the workdir has no such checkpoint.
        CorruptDataError: the checkpoint is damaged.
    """
    model = load_workdir_model(workdir, step=step)
    run = load_run_config(workdir)
    data = tuple(
        part if isinstance(part, TrainedOn) else _trained_on(part) for part in _history(workdir)
    )
    training = Training(objective=run.objective_name, seed=run.seed, data=data)
    return dataclasses.replace(model, training=training)


def _history(workdir: Path) -> Iterator[DataConfig | TrainedOn]:
    """Whose data made a run's weights: its own, then those of what it starts from, if at hand."""
    run = load_run_config(workdir)
    yield run.data_config()
    for name in run.pretrained_config().paths():
        before = Path(name) if Path(name).is_dir() else Path(name).parent
        if is_model_folder(before):
            training = read_training(before)
            yield from training.data if training else ()
        elif (before / "checkpoints").is_dir() and (before / "config.json").is_file():
            yield from _history(before)


def _at_hand(config: DataConfig) -> bool:
    return (Path(config.dataset) / SPLITS_FILE).is_file()


def _trained_on(config: DataConfig) -> TrainedOn:
    dataset = splits = ""
    if _at_hand(config):
        source = RecordSource(Path(config.dataset))
        dataset, splits = dataset_fingerprint(source), splits_fingerprint(source.splits)
    return TrainedOn(dataset=dataset, splits=splits, split=config.split, fold=_fold(config.fold))


def _patients(part: TrainedOn, source: RecordSource) -> frozenset[str]:
    """Patients of a dataset that a model was trained on, told by equal splits: it holds no ids."""
    if part.splits != splits_fingerprint(source.splits):
        return frozenset()
    return source.splits.patients(part.split, part.fold)


def _fold(fold: tuple[int, ...]) -> Fold:
    return (fold[0], fold[1]) if fold else None
