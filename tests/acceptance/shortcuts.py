"""Can a finding be read from anything but the heart? A classifier on what should tell nothing.

Features of a study: every number in its headers, the number and size of its files and series, its
place in the order of files, the noise in the corners of its frames and the scale of its
intensities. If the phantom leaks nothing, its cross-validated AUROC is .5 for every finding.
"""

import csv
from pathlib import Path

import numpy as np
import pydicom

from cmrjax.evals import closed_forms, stats
from cmrjax.evals.linear_probe import ProbeData, probe_binary

FOLDS = 5


def _numbers(dataset: pydicom.Dataset) -> dict[str, float]:
    """Every header element that reads as numbers, and a few texts as a hash of their wording."""
    out = {}
    for element in dataset:
        if element.keyword in ("PixelData", "") or element.VR in ("UI", "SQ", "PN", "LO", "SH"):
            continue
        value = element.value
        values = value if isinstance(value, pydicom.multival.MultiValue) else [value]
        for i, item in enumerate(values):
            try:
                out[f"{element.keyword}{i}"] = float(item)
            except (TypeError, ValueError):
                continue
    for word in ("GE", "PHILIPS", "SIEMENS"):
        out[f"vendor {word}"] = float(word in str(dataset.get("Manufacturer", "")).upper())
    return out


def _corner_noise(pixels: np.ndarray) -> float:
    """Robust spread of the differences between neighbouring pixels in the four corners."""
    s = max(4, min(pixels.shape) // 8)
    corners = [pixels[:s, :s], pixels[:s, -s:], pixels[-s:, :s], pixels[-s:, -s:]]
    steps = [np.diff(corner.astype(float), axis=1).ravel() for corner in corners]
    return float(min(np.median(np.abs(step)) for step in steps))


def study_features(folder: Path, order: int) -> tuple[str, dict[str, float]]:
    """The study's UID and its features."""
    paths = sorted(folder.rglob("*.dcm"))
    datasets = [pydicom.dcmread(path) for path in paths]
    rows = [_numbers(d) for d in datasets]
    names = sorted({name for row in rows for name in row})
    features: dict[str, float] = {"order": float(order), "files": float(len(paths))}
    features["series"] = float(len({d.SeriesInstanceUID for d in datasets}))
    sizes = [path.stat().st_size for path in paths]
    features |= {"bytes": float(sum(sizes)), "largest": float(max(sizes))}
    for name in names:
        values = np.array([row[name] for row in rows if name in row])
        features |= {f"{name} mean": values.mean(), f"{name} std": values.std()}
        features[f"{name} count"] = float(len(values))
    frames = [d.pixel_array for d in datasets]
    features["noise"] = float(np.median([_corner_noise(f) for f in frames]))
    features["brightest"] = float(np.median([f.max() for f in frames]))
    return str(datasets[0].StudyInstanceUID), features


def shortcut_rows(export: Path, *, seed: int = 0) -> list[dict]:
    """Cross-validated AUROC of every finding from these features.

    Args:
        export: holds `dicom/` and `labels.csv`.
        seed: deals the folds and resamples.

    Returns:
        Rows with `task, auroc, ci_low, ci_high, family_low, family_high, n, n_positive`. The
        family interval covers all findings at once with 95 % (Bonferroni).
    """
    found = dict(
        study_features(folder, i)
        for i, folder in enumerate(sorted(p for p in (export / "dicom").iterdir() if p.is_dir()))
    )
    with (export / "labels.csv").open() as file:
        table = {row["study_instance_uid"]: row for row in csv.DictReader(file)}
    uids = sorted(found)
    names = sorted({name for features in found.values() for name in features})
    x = np.array([[found[uid].get(name, 0.0) for name in names] for uid in uids])
    tasks = [t for t in table[uids[0]] if {r[t] for r in table.values()} <= {"0", "1"}]
    labels = {t: np.array([float(table[uid][t]) for uid in uids]) for t in tasks}
    fold = np.random.default_rng(seed).permutation(len(uids)) % FOLDS
    scores = {task: np.zeros(len(uids)) for task in tasks}
    for i in range(FOLDS):
        split = np.where(fold == i, "test", np.where(fold == (i + 1) % FOLDS, "val", "train"))
        data = ProbeData(x, split, labels, np.array(uids), np.array(uids))
        for task, probability in probe_binary(data, tasks).items():
            # Ranked within its fold: folds differ in calibration, which is not what is asked.
            ranks = probability[fold == i].argsort().argsort()
            scores[task][fold == i] = ranks / max(len(ranks) - 1, 1)
    return [_row(task, labels[task], scores[task], len(tasks)) for task in tasks]


def _row(task: str, target: np.ndarray, score: np.ndarray, family: int) -> dict:
    value = stats.estimate(stats.auroc_statistic(target, score), len(target))
    spread = np.sqrt(closed_forms.auroc_variance(target, score, np.arange(len(target))))
    wide = _normal_quantile(1 - 0.025 / family)
    return {
        "task": task,
        "auroc": value,
        "ci_low": value - 1.96 * spread,
        "ci_high": value + 1.96 * spread,
        "family_low": value - wide * spread,
        "family_high": value + wide * spread,
        "n": len(target),
        "n_positive": int(target.sum()),
    }


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
