"""Records by random access: one cine each, every checksum looked at, studies grouped by id."""

import contextlib
import json
import os
import threading
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.data import tfrecord
from cmrjax.data.contract import VIEWS, DatasetContract, load_contract
from cmrjax.data.splits import Splits, load_splits

INDEX_FILE = "index.npz"
INFO_FILE = "dataset.json"
TFDS_INFO_FILE = "dataset_info.json"
FEATURES_FILE = "features.json"
# Not 'all': that is tfds's own word for every split, and reading a split of that name never ends.
TFDS_SPLIT = "cines"
_opening = threading.Lock()


@dataclass(frozen=True)
class Index:
    """Where each record of a dataset is and whose it is; all arrays are `[n]`, in shard order.

    Args:
        shard: number of the shard file.
        offset: where the record's framing begins in it.
        length: bytes of its payload.
        study_id: hashed id of its study.
        patient_id: hashed id of its patient.
        view: its view.
        slice_index: its number in the stack of its view.
    """

    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    study_id: np.ndarray
    patient_id: np.ndarray
    view: np.ndarray
    slice_index: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def number_in_shard(self, row: int) -> int:
        """A record's number in its own shard, counted from 0."""
        return row - int(np.searchsorted(self.shard, self.shard[row]))


@dataclass(frozen=True)
class Study:
    """One study's records.

    Args:
        study_id: hashed id.
        patient_id: hashed id of its patient.
        rows: rows of the index, sorted by view and slice.
        views: the view of each row.
    """

    study_id: str
    patient_id: str
    rows: tuple[int, ...]
    views: tuple[str, ...]


def studies(index: Index, patients: Collection[str] | None = None) -> list[Study]:
    """Groups records by study.

    Args:
        index: the dataset's index.
        patients: keep these patients' studies alone; without it, all.

    Returns:
        Studies sorted by id; the rows of each sorted by view and slice.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, (study, patient) in enumerate(zip(index.study_id, index.patient_id, strict=True)):
        if patients is None or str(patient) in patients:
            rows_of[str(study)].append(row)
    out = []
    for study, rows in sorted(rows_of.items()):
        rows.sort(key=lambda r: (VIEWS.index(str(index.view[r])), int(index.slice_index[r]), r))
        views = tuple(str(index.view[r]) for r in rows)
        out.append(Study(study, str(index.patient_id[rows[0]]), tuple(rows), views))
    return out


def load_info(directory: Path) -> dict[str, Any]:
    """Reads `dataset.json`.

    Raises:
        UserError: the directory is no dataset.
    """
    path = Path(directory) / INFO_FILE
    try:
        info = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            "is not a dataset (no dataset.json)",
            where=str(directory),
            fix="make one with `cmrjax prepare`",
        ) from None
    except (OSError, ValueError):
        raise UserError("is not readable JSON", where=str(path)) from None
    tasks = info.get("label_tasks", {}) if isinstance(info, dict) else {}
    names = [name for task, spec in tasks.items() for name in (task, *spec.get("classes", ()))]
    if any(unicodedata.category(c) == "Cc" for name in names for c in str(name)):
        raise UserError("a task or class has a control character in its name", where=str(path))
    return info


def load_features(directory: Path) -> tfds.features.FeaturesDict:
    """The schema that `features.json` describes."""
    try:
        features = tfds.features.FeaturesDict.from_config(str(directory))
    except Exception:  # tfds raises whatever its parser meets
        raise CorruptDataError("cannot be read", where=f"{directory}/{FEATURES_FILE}") from None
    assert isinstance(features, tfds.features.FeaturesDict)
    return features


def _tfds_info(directory: Path) -> tuple[str, list[int]]:
    """The data set's name and the number of records of each shard."""
    try:
        info = json.loads((Path(directory) / TFDS_INFO_FILE).read_text())
        return str(info["name"]), [int(n) for n in info["splits"][0]["shardLengths"]]
    except (OSError, ValueError, LookupError, TypeError):
        raise CorruptDataError("cannot be read", where=f"{directory}/{TFDS_INFO_FILE}") from None


def shard_name(name: str, shard: int, shards: int) -> str:
    """A shard's file name, as tfds builds it."""
    return f"{name}-{TFDS_SPLIT}.tfrecord-{shard:05d}-of-{shards:05d}"


def shard_lengths(directory: Path) -> list[int]:
    """How many records each shard should hold."""
    return _tfds_info(directory)[1]


def shard_paths(directory: Path) -> list[Path]:
    """The shard files that the metadata names, in order, whether or not they are there."""
    name, lengths = _tfds_info(directory)
    count = len(lengths)
    return [Path(directory) / shard_name(name, i, count) for i in range(count)]


def build_index(directory: Path) -> Index:
    """Reads every shard to find where each record is.

    Raises:
        CorruptDataError: a shard is missing or damaged.
    """
    features, rows = load_features(directory), []
    for shard, path in enumerate(shard_paths(directory)):
        if not path.is_file():
            raise CorruptDataError("the shard is missing", where=path.name)
        for offset, payload in tfrecord.scan(path):
            record: Any = features.deserialize_example_np(payload)
            text = [record[key].decode() for key in ("study_id", "patient_id", "view")]
            rows.append((shard, offset, len(payload), *text, int(record["slice_index"])))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    return make_index(*columns)


def make_index(*columns: Any) -> Index:
    """An index from its seven columns, in the order of its fields."""
    kinds = (np.int32, np.int64, np.int64, np.str_, np.str_, np.str_, np.int32)
    return Index(*(np.asarray(c, k) for c, k in zip(columns, kinds, strict=True)))


def save_index(directory: Path, index: Index) -> None:
    """Writes `index.npz`, whole or not at all."""
    part = Path(directory) / f".{os.getpid()}.{INDEX_FILE}"
    np.savez(part, **vars(index))
    os.replace(part, Path(directory) / INDEX_FILE)


def load_index(directory: Path) -> Index:
    """Reads `index.npz`, or rebuilds it from the shards when it is missing or unreadable."""
    try:
        with np.load(Path(directory) / INDEX_FILE) as stored:
            return Index(**{key: stored[key] for key in stored.files})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        index = build_index(directory)
    with contextlib.suppress(OSError):  # a read-only dataset is fine, it only opens more slowly
        save_index(directory, index)
    return index


class RecordSource:
    """A dataset's records by number; safe to fork and to pickle.

    Args:
        directory: a dataset that `prepare` wrote.
        rows: rows of the index that this source shows; all of them without it.

    Raises:
        UserError: the directory is no dataset.
        CorruptDataError: from `source[i]`, when a record's checksum is wrong.
    """

    def __init__(self, directory: Path, *, rows: np.ndarray | None = None):
        self.directory = Path(directory)
        self.contract: DatasetContract = load_contract(self.directory)
        self.info = load_info(self.directory)
        self.index = load_index(self.directory)
        self.rows = np.arange(len(self.index)) if rows is None else np.asarray(rows, np.int64)
        self._paths = shard_paths(self.directory)
        self._handles: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.decode(self.payload(int(self.rows[i])))

    @cached_property
    def splits(self) -> Splits:
        """The pinned splits."""
        return load_splits(self.directory)

    @cached_property
    def features(self) -> tfds.features.FeaturesDict:
        """The schema of a record."""
        return load_features(self.directory)

    def check_shards(self, *, process: int = 0, processes: int = 1) -> None:
        """Reads every record of every shard, or of one process's part, and checks its sums.

        Raises:
            CorruptDataError: names the shard and the record.
        """
        for path in self._paths[process::processes]:
            if not path.is_file():
                raise CorruptDataError("the shard is missing", where=path.name)
            for _ in tfrecord.scan(path):
                pass

    def payload(self, row: int) -> bytes:
        """The checked bytes of the record at a row of the index."""
        shard = int(self.index.shard[row])
        return tfrecord.read_at(
            self._handle(shard),
            offset=int(self.index.offset[row]),
            length=int(self.index.length[row]),
            name=self._paths[shard].name,
            number=self.index.number_in_shard(row),
        )

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Arrays stay arrays, texts become `str`, scalars `int` or `float`, labels a dict."""
        record: Any = self.features.deserialize_example_np(payload)
        return {k: v.decode() if isinstance(v, bytes) else v for k, v in record.items()}

    def _handle(self, shard: int) -> int:
        if shard not in self._handles:
            with _opening:
                if shard not in self._handles:
                    try:
                        self._handles[shard] = os.open(self._paths[shard], os.O_RDONLY)
                    except (OSError, IndexError):
                        name = self._paths[shard].name if shard < len(self._paths) else str(shard)
                        raise CorruptDataError("the shard is missing", where=name) from None
        return self._handles[shard]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handles": {}}

    def __del__(self) -> None:
        for handle in self.__dict__.get("_handles", {}).values():
            os.close(handle)
