"""Study embeddings of a split: computed once for an encoder, cached, shared by the evaluators."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core.clock import progress
from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.contract import VIEWS, InputContract
from cmrjax.data.records import RecordSource, Study, shard_paths, studies
from cmrjax.data.transforms import prepare_clip
from cmrjax.evals.encoder import Encoder

_CRC_OFFSET = 12  # TFRecord framing: length (8 bytes), its CRC (4), payload, its CRC (4)


def split_label(split: str, fold: tuple[int, int] | None) -> str:
    """`test`, or `test_fold0of5`."""
    return split if fold is None else f"{split}_fold{fold[0]}of{fold[1]}"


@dataclass(frozen=True)
class Cohort:
    """The studies of one split.

    Args:
        source: the dataset.
        split: 'train', 'val' or 'test'.
        fold: `(i, k)`, or None for the pinned split.
        members: studies sorted by id.
        labels: task -> float `[n]`, NaN unknown.
        reports: one text a study, '' without.
        fingerprint: of the dataset.
    """

    source: RecordSource
    split: str
    fold: tuple[int, int] | None
    members: Sequence[Study]
    labels: dict[str, np.ndarray]
    reports: Sequence[str]
    fingerprint: str

    @cached_property
    def study_id(self) -> np.ndarray:
        """`[n]` keyed hashes."""
        return np.array([s.study_id for s in self.members], dtype=np.str_)

    @cached_property
    def patient_id(self) -> np.ndarray:
        """`[n]` keyed hashes."""
        return np.array([s.patient_id for s in self.members], dtype=np.str_)

    @property
    def label(self) -> str:
        """Name of the split in rows and file names."""
        return (
            self.split if self.fold is None else f"{self.split}_fold{self.fold[0]}of{self.fold[1]}"
        )


@dataclass(frozen=True)
class StudyEmbeddings:
    """What an encoder made of the studies of a split.

    Args:
        z: `[n, d]` unit vectors: mean over the cines' `z_video`, normalised again.
        pooled: `[n, views * w]` mean over the cines' pooled features, view by view (`probe_views`).
        study_id: `[n]`.
        patient_id: `[n]`.
        labels: task -> float `[n]`, NaN unknown.
        reports: one text a study, '' without.
    """

    z: np.ndarray
    pooled: np.ndarray
    study_id: np.ndarray
    patient_id: np.ndarray
    labels: dict[str, np.ndarray]
    reports: Sequence[str]


def read_cohort(source: RecordSource, *, split: str, fold: tuple[int, int] | None = None) -> Cohort:
    """Reads labels and reports of a split from one record a study."""
    members = studies(source.index, source.splits.patients(split, fold))
    tasks = list(source.info["label_tasks"])
    records = [source[s.rows[0]] for s in members]
    labels = {t: np.array([float(r["labels"][t]) for r in records]) for t in tasks}
    reports = [str(r["report"]) for r in records]
    fingerprint = dataset_fingerprint(source)
    return Cohort(source, split, fold, members, labels, reports, fingerprint)


def dataset_fingerprint(source: RecordSource) -> str:
    """A hash of what the records hold, from their stored checksums: equal for equal copies."""
    digest = hashlib.sha256(repr(source.contract).encode())
    index = source.index
    for shard, path in enumerate(shard_paths(source.directory)):
        rows = np.flatnonzero(index.shard == shard)
        if len(rows):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                for offset, length in zip(index.offset[rows], index.length[rows], strict=True):
                    digest.update(os.pread(descriptor, 4, int(offset + _CRC_OFFSET + length)))
            finally:
                os.close(descriptor)
    digest.update((source.directory / "splits.json").read_bytes())
    return digest.hexdigest()


def embed(
    encoder: Encoder,
    cohort: Cohort,
    *,
    batch_size: int = 32,
    identity: str = "",
    cache: Path | None = None,
) -> StudyEmbeddings:
    """Embeds every study of a cohort, or reads the cached vectors.

    Args:
        encoder: the model.
        cohort: the studies.
        batch_size: clips of a batch; the last one is padded, so that one program serves all.
        identity: what tells this encoder from another of the same name and step.
        cache: folder of the cache (`evals/_embeddings`); None does not cache. Cached vectors whose
            identity, dataset or shape does not fit are computed again.
    """
    key = f"{identity}:{encoder.input}:{encoder.dataset_contract}"
    z, pooled = cached(
        cache,
        f"{encoder.step}/{encoder.name}",
        cohort,
        key=key,
        compute=lambda: _compute(encoder, cohort, batch_size),
    )
    return StudyEmbeddings(
        z, pooled, cohort.study_id, cohort.patient_id, cohort.labels, cohort.reports
    )


def cached(
    cache: Path | None,
    name: str,
    cohort: Cohort,
    *,
    key: str,
    compute: Callable[[], Sequence[np.ndarray]],
) -> list[np.ndarray]:
    """Arrays `[n, ...]` of a cohort's studies, from the cache or computed and then kept there.

    Args:
        cache: folder of the cache; None computes.
        name: file name without the split.
        cohort: the studies.
        key: what the arrays depend on besides the dataset.
        compute: gives the arrays.
    """
    if cache is None:
        return list(compute())
    path = cache / f"{name}-{cohort.label}.npz"
    key = f"{key}:{cohort.fingerprint}"
    arrays = _read(path, key, cohort.study_id)
    if arrays is None:
        arrays = list(compute())
        content = io.BytesIO()
        named: dict[str, Any] = {f"array_{i}": a for i, a in enumerate(arrays)}
        np.savez(content, key=np.array(key), study_id=cohort.study_id, **named)
        write_bytes_atomic(path, content.getvalue())
    return arrays


def _read(path: Path, key: str, study_id: np.ndarray) -> list[np.ndarray] | None:
    """Cached arrays, or None when they are missing, damaged (the zip's CRCs) or of other input."""
    try:
        # numpy leaves a file that it cannot read open, so it is given an open one.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["key"]) != key or not np.array_equal(stored["study_id"], study_id):
                return None
            return [stored[f"array_{i}"] for i in range(len(stored.files) - 2)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _compute(encoder: Encoder, cohort: Cohort, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    if not cohort.members:
        raise UserError(f"no study in split {cohort.split!r}", where=str(cohort.source.directory))
    owners = np.repeat(np.arange(len(cohort.members)), [len(s.rows) for s in cohort.members])
    rows = [row for study in cohort.members for row in study.rows]
    views = probe_views(cohort.source)
    # A cine of another view counts towards no view, but towards z and the mean over all.
    listed = [view for study in cohort.members for view in study.views]
    slots = np.array([views.index(v) if v in views else len(views) for v in listed])
    n, z, by_view = len(cohort.members), np.zeros(0), np.zeros(0)
    bar = progress(
        total=len(rows), unit="cines", description=f"embed {encoder.name} {cohort.label}"
    )
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        owner = owners[start : start + batch_size]
        clips = clips_of(cohort.source, chosen, encoder.input, batch_size)
        vectors = [np.asarray(v, np.float64)[: len(chosen)] for v in encoder.encode(clips)]
        if not z.size:
            z = np.zeros((n, vectors[0].shape[1]))
            by_view = np.zeros((n, len(views) + 1, vectors[1].shape[1]))
        np.add.at(z, owner, vectors[0])
        np.add.at(by_view, (owner, slots[start : start + len(chosen)]), vectors[1])
        bar.update(len(chosen))
    bar.close()
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    pooled = _mean_by_view(by_view, owners, slots)
    return z.astype(np.float32), pooled.astype(np.float32)


def probe_views(source: RecordSource) -> tuple[str, ...]:
    """The views that at least half of a dataset's studies have.

    A probe sees these apart: the mean over all cines mixes a 4-chamber's atria with a short axis'
    ventricles (on the phantom it costs .03 of macro AUROC and a fifth of the LVEF error).
    """
    members = studies(source.index)
    counts = {view: sum(view in study.views for study in members) for view in VIEWS}
    common = tuple(view for view in VIEWS if 2 * counts[view] >= len(members) > 0)
    return common or VIEWS[-1:]


def _mean_by_view(sums: np.ndarray, owners: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Means `[n, views * w]` of sums `[n, views + 1, w]`; a missing view is the mean over all."""
    counts = np.zeros(sums.shape[:2])
    np.add.at(counts, (owners, slots), 1)
    whole = sums.sum(axis=1) / counts.sum(axis=1)[:, None]
    means = sums / np.maximum(counts, 1)[:, :, None]
    means = np.where(counts[:, :, None] > 0, means, whole[:, None])[:, :-1]
    return means.reshape(len(means), -1)


def clips_of(
    source: RecordSource, rows: Sequence[int], contract: InputContract, batch_size: int
) -> np.ndarray:
    """The clips of some records, float32 `[batch_size, t, h, w]`; blank ones fill the batch up."""
    clips = np.stack([prepare_clip(source[row]["cine"], contract) for row in rows])
    return np.pad(clips, ((0, batch_size - len(rows)), (0, 0), (0, 0), (0, 0)))
