"""Writing a dataset: the record's schema, the shards, and the metadata that tfds opens."""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from cmrjax.core.manifest import write_manifest
from cmrjax.data import tfrecord
from cmrjax.data.contract import DatasetContract, save_contract
from cmrjax.data.records import (
    INFO_FILE,
    TFDS_INFO_FILE,
    TFDS_SPLIT,
    make_index,
    save_index,
    shard_name,
)
from cmrjax.data.splits import Splits, save_splits

SERIES_FILE = "series.jsonl"
SHARD_BYTES = 128 << 20


@dataclass(frozen=True)
class PackedRecord:
    """One serialized record and what the index says of it.

    Args:
        payload: its bytes.
        study_id: hashed id of its study.
        patient_id: hashed id of its patient.
        view: its view.
        slice_index: its number in the stack of its view.
        look: its perceptual hash, see `duplicates`; of no use once a study is complete.
    """

    payload: bytes
    study_id: str
    patient_id: str
    view: str
    slice_index: int
    look: str = ""


def record_features(contract: DatasetContract, tasks: Sequence[str]) -> tfds.features.FeaturesDict:
    """The schema of a record: shapes are fixed by the contract, label names by the tasks."""
    clip = (contract.frames, contract.size, contract.size)
    tensor = tfds.features.Tensor
    pair = tensor(shape=(2,), dtype=np.float32)
    features: dict[str, Any] = {
        "cine": tensor(shape=clip, dtype=np.dtype(contract.dtype), encoding="bytes"),
        "view": tfds.features.Text(),
        "slice_index": np.int32,
        "slice_position_mm": np.float32,
        "gap_mm": np.float32,
        "trigger_times_ms": tensor(shape=(contract.frames,), dtype=np.float32),
        "spacing_mm": pair,
        "original_spacing_mm": pair,
        "original_size": tensor(shape=(2,), dtype=np.int32),
        "original_frames": np.int32,
        "origin_mm": tensor(shape=(3,), dtype=np.float32),
        "orientation": tensor(shape=(6,), dtype=np.float32),
        "crop_centre": pair,
        "crop_confidence": np.float32,
        "intensity_window": pair,
        "patient_id": tfds.features.Text(),
        "study_id": tfds.features.Text(),
        "series_id": tfds.features.Text(),
        "report": tfds.features.Text(),
        "labels": dict.fromkeys(tasks, np.float32),
    }
    if contract.masks:
        features["mask"] = tensor(shape=clip, dtype=np.uint8, encoding="bytes")
        features["mask_frames"] = tensor(shape=(contract.frames,), dtype=np.uint8)
        features["mask_classes"] = tensor(shape=(contract.frames,), dtype=np.uint8)
    return tfds.features.FeaturesDict(features)


def serialize(features: tfds.features.FeaturesDict, record: Mapping[str, Any]) -> bytes:
    """A record's bytes, the same in every process.

    A protobuf map is written in an order that changes from process to process unless it is asked
    for a fixed one, which tfds does not do.
    """
    parse = tf_example_pb2.Example.FromString  # type: ignore[attr-defined]
    example = parse(features.serialize_example(record))
    return example.SerializeToString(deterministic=True)


def shard_of(study_id: str, shards: int) -> int:
    """The shard a study lands in: a function of its id alone."""
    return int(study_id[:8], 16) % shards


def shard_count(total_bytes: int) -> int:
    """Enough shards that one holds about 128 MiB."""
    return max(1, -(-total_bytes // SHARD_BYTES))


def _write_shards(
    directory: Path, name: str, studies: Iterable[tuple[str, Iterable[PackedRecord]]], shards: int
) -> list[tuple[int, int, int, str, str, str, int]]:
    paths = [directory / shard_name(name, i, shards) for i in range(shards)]
    rows = []
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths]
        for study_id, records in studies:
            shard = shard_of(study_id, shards)
            for r in records:
                at, size = files[shard].tell(), len(r.payload)
                files[shard].write(tfrecord.frame(r.payload))
                rows.append((shard, at, size, r.study_id, r.patient_id, r.view, r.slice_index))
    return sorted(rows)


def write_dataset(
    directory: Path,
    *,
    info: Mapping[str, Any],
    series: Sequence[Mapping[str, Any]] = (),
    contract: DatasetContract,
    splits: Splits,
    studies: Iterable[tuple[str, Iterable[PackedRecord]]],
    shards: int,
) -> None:
    """Writes a whole dataset.

    Args:
        directory: an existing, empty folder.
        info: what `dataset.json` holds, with 'name' and 'label_tasks'.
        series: rows for the data card: study, view, slices, phases, spacing, gap.
        contract: the dataset's contract.
        splits: the pinned splits.
        studies: study ids in rising order, each with its records in order.
        shards: number of shard files.
    """
    rows = _write_shards(directory, info["name"], studies, shards)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    save_index(directory, make_index(*columns))
    lengths = [0] * shards
    for row in rows:
        lengths[row[0]] += 1
    tfds_info = {
        "name": info["name"],
        "version": "1.0.0",
        "description": "Cardiac MRI cines, one record each, written by cmrjax prepare.",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": TFDS_SPLIT,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "shardLengths": [str(n) for n in lengths],
                "numBytes": str(sum(row[2] for row in rows)),
            }
        ],
    }
    record_features(contract, sorted(info["label_tasks"])).save_config(str(directory))
    (directory / TFDS_INFO_FILE).write_text(json.dumps(tfds_info, indent=2) + "\n")
    (directory / INFO_FILE).write_text(json.dumps(info, indent=2, sort_keys=True) + "\n")
    (directory / SERIES_FILE).write_text("\n".join(map(json.dumps, series)) + "\n")
    save_splits(directory, splits)
    save_contract(directory, contract)
    # Records carry their own checksums, and the index is rebuilt from them.
    described = (path.name for path in directory.iterdir() if path.suffix in (".json", ".jsonl"))
    write_manifest(directory, described)
