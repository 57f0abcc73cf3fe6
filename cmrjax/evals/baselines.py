"""What stands beside a model's number: constants, and principal components of the pixels."""

from collections.abc import Mapping, Sequence

import numpy as np

from cmrjax.data.contract import VIEWS, InputContract
from cmrjax.data.records import RecordSource, Study
from cmrjax.data.transforms import prepare_clip

PIXEL_FRAMES, PIXEL_SIDE = 4, 16
COMPONENTS = 128


def trivial_prediction(y_train: np.ndarray, spec: Mapping, *, n: int) -> np.ndarray:
    """A constant learnt from the training labels: prevalence, class shares or mean.

    Args:
        y_train: labels of the training studies, NaN unknown.
        spec: `{"kind", "classes"}` of the task.
        n: how many to predict.

    Returns:
        `[n]`, or `[n, k]` class shares for a multiclass task.
    """
    known = y_train[np.isfinite(y_train)]
    if spec["kind"] == "multiclass":
        counts = np.bincount(known.astype(int), minlength=len(spec["classes"]))
        return np.tile(counts / max(counts.sum(), 1), (n, 1))
    return np.full(n, known.mean() if len(known) else 0.0)


def _averaging(size: int, bins: int) -> np.ndarray:
    """`[bins, size]`, each row the mean over its share of the axis."""
    matrix = np.zeros((min(bins, size), size), np.float32)
    for row, members in zip(matrix, np.array_split(np.arange(size), len(matrix)), strict=True):
        row[members] = 1 / len(members)
    return matrix


def downsample(clip: np.ndarray) -> np.ndarray:
    """Block means of a clip `[t, h, w]`, flattened."""
    small = np.einsum(
        "at,bh,cw,thw->abc",
        _averaging(clip.shape[0], PIXEL_FRAMES),
        _averaging(clip.shape[1], PIXEL_SIDE),
        _averaging(clip.shape[2], PIXEL_SIDE),
        clip,
        optimize=True,
    )
    return small.ravel()


def pixel_features(
    source: RecordSource, members: Sequence[Study], contract: InputContract
) -> np.ndarray:
    """Downsampled pixels, averaged over the cines of a view, the views side by side.

    Args:
        source: the dataset.
        members: the studies.
        contract: the clip that the network sees.

    Returns:
        float32 `[n, views * pixels]`; NaN where a study lacks a view.
    """
    rows = []
    for study in members:
        seen: dict[str, list[np.ndarray]] = {}
        for row, view in zip(study.rows, study.views, strict=True):
            clip = prepare_clip(source[row]["cine"], contract)
            seen.setdefault(view, []).append(downsample(clip))
        size = len(next(iter(seen.values()))[0])
        missing = np.full(size, np.nan, np.float32)
        means = [np.mean(seen[v], axis=0) if v in seen else missing for v in VIEWS]
        rows.append(np.concatenate(means))
    return np.stack(rows).astype(np.float32)


def principal_components(pixels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Scores on the components of the training studies.

    Args:
        pixels: `[n, d]`; NaN (a missing view) becomes the training mean.
        train: bool `[n]`.

    Returns:
        float32 `[n, components]`.
    """
    seen = np.isfinite(pixels[train]).any(axis=0)
    x = pixels[:, seen].astype(np.float64)
    x -= np.nanmean(x[train], axis=0)
    x = np.nan_to_num(x)
    # The smaller of the two Gram matrices has the same components.
    reference = x[train]
    if len(reference) <= x.shape[1]:
        _, vectors = np.linalg.eigh(reference @ reference.T)
        basis = reference.T @ vectors[:, ::-1]
    else:
        _, vectors = np.linalg.eigh(reference.T @ reference)
        basis = vectors[:, ::-1]
    basis = basis[:, : min(COMPONENTS, len(reference) - 1)]
    norm = np.linalg.norm(basis, axis=0)
    return (x @ (basis / np.maximum(norm, 1e-12))).astype(np.float32)
