"""Which patient trains, which validates and which tests: pinned once, by patient, stratified.

Patients are dealt by iterative stratification, so that rare findings spread evenly over the parts.

Reference:
    Sechidis, Tsoumakas, Vlahavas. On the stratification of multi-label data. ECML PKDD 2011.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrjax.core.errors import UserError

SPLITS_FILE = "splits.json"
SPLIT_NAMES = ("train", "val", "test")
FRACTIONS = (0.64, 0.09, 0.27)
FOLDS = 5


@dataclass(frozen=True)
class Splits:
    """The pinned split and fold of every patient.

    Args:
        folds: number of folds.
        assignment: patient id -> (split, fold).
    """

    folds: int
    assignment: Mapping[str, tuple[str, int]]

    def patients(self, split: str, fold: tuple[int, int] | None = None) -> frozenset[str]:
        """The patients of a split.

        Args:
            split: 'train', 'val' or 'test'; 'all' for every patient, whatever the fold.
            fold: `(i, k)`: test on fold i of k, validate on the next, train on the rest; without
                it, the pinned split.

        Raises:
            UserError: no such split or fold.
        """
        if split == "all":
            return frozenset(self.assignment)
        if split not in SPLIT_NAMES:
            raise UserError(f"no split {split!r}", fix=f"use one of {', '.join(SPLIT_NAMES)}, all")
        if fold is None:
            return frozenset(p for p, (name, _) in self.assignment.items() if name == split)
        i, k = fold
        if k != self.folds or not 0 <= i < k:
            raise UserError(f"no fold {i} of {k}", fix=f"the dataset has {self.folds} folds")
        role = {i: "test", (i + 1) % k: "val"}
        return frozenset(
            p for p, (_, number) in self.assignment.items() if role.get(number, "train") == split
        )

    def patients_of(self, *, split: str, fold: tuple[int, int] | None = None) -> frozenset[str]:
        """The same as `patients`, with keywords alone."""
        return self.patients(split, fold)


def save_splits(directory: Path, splits: Splits) -> None:
    """Writes `splits.json`."""
    patients = {
        patient: {"split": split, "fold": fold}
        for patient, (split, fold) in sorted(splits.assignment.items())
    }
    text = json.dumps({"folds": splits.folds, "patients": patients}, indent=1) + "\n"
    (Path(directory) / SPLITS_FILE).write_text(text)


def load_splits(directory: Path) -> Splits:
    """Reads `splits.json` of a dataset.

    Raises:
        UserError: it is missing or unreadable.
    """
    path = Path(directory) / SPLITS_FILE
    try:
        data = json.loads(path.read_text())
        assignment = {p: (str(v["split"]), int(v["fold"])) for p, v in data["patients"].items()}
        return Splits(int(data["folds"]), assignment)
    except FileNotFoundError:
        raise UserError("is not a dataset (no splits.json)", where=str(directory)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError("is not a splits file", where=str(path)) from None


def splits_fingerprint(splits: Splits) -> str:
    """A hash of who is in which split and fold: equal for equal splits, and says no id."""
    listed = [[p, *splits.assignment[p]] for p in sorted(splits.assignment)]
    return hashlib.sha256(json.dumps([splits.folds, listed]).encode()).hexdigest()


def _shuffle_key(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{patient}".encode()).digest()


def stratify(indicators: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Deals rows to parts so that every column's ones spread as the fractions ask.

    Args:
        indicators: bool `[n, k]`, the labels that each row holds.
        fractions: the share of each part; they sum to 1.

    Returns:
        int `[n]`, the part of each row. Ties go to the part that is furthest behind in all, then
        to the first, so that the result is a function of the rows' order alone.
    """
    shares = np.asarray(fractions, float)
    wanted_rows = shares * len(indicators)
    wanted = shares[:, None] * indicators.sum(0)[None, :]
    part = np.full(len(indicators), -1)

    def deal(row: int, column: int | None) -> None:
        want = wanted_rows if column is None else wanted[:, column]
        # Rounding keeps float noise from deciding a tie.
        j = max(range(len(shares)), key=lambda p: (round(want[p], 9), round(wanted_rows[p], 9)))
        part[row] = j
        wanted_rows[j] -= 1
        wanted[j] -= indicators[row]

    while True:
        left = part < 0
        counts = indicators[left].sum(0)
        if not counts.any():
            break
        column = int(np.argmin(np.where(counts > 0, counts, len(part) + 1)))
        for row in np.flatnonzero(left & indicators[:, column]):
            deal(int(row), column)
    for row in np.flatnonzero(part < 0):
        deal(int(row), None)
    return part


def make_splits(
    labels: Mapping[str, np.ndarray],
    *,
    fractions: Sequence[float] = FRACTIONS,
    folds: int = FOLDS,
    seed: int = 0,
    official: Mapping[str, str] | None = None,
    kept: Mapping[str, tuple[str, int]] | None = None,
) -> Splits:
    """Assigns every patient a split and a fold.

    Official splits are kept. A part that nobody is in officially is dealt out of the training part,
    as everybody is who has no official part; so a download without its test part is dealt as a
    dataset of its own, and one without a validation part keeps its test part.

    Args:
        labels: patient id -> bool `[k]`, the strata that the patient belongs to.
        fractions: shares of train, val and test.
        folds: number of folds.
        seed: another one deals other patients.
        official: patient id -> 'train', 'val', 'test' or nothing.
        kept: patient id -> split and fold of a former dataset, which stay; the others are dealt
            among themselves.

    Returns:
        The same splits for the same patients, in whatever order they come.
    """
    known = {patient: kept[patient] for patient in labels if kept and patient in kept}
    order = sorted(labels.keys() - known.keys(), key=lambda patient: _shuffle_key(patient, seed))
    if not order:
        return Splits(folds, known)
    indicators = np.array([labels[patient] for patient in order], bool).reshape(len(order), -1)
    given = [(official or {}).get(patient, "") for patient in order]
    split = _official_or_dealt(indicators, fractions, given)
    fold = stratify(indicators, [1 / folds] * folds)
    pairs = zip(order, split, fold, strict=True)
    return Splits(folds, known | {p: (SPLIT_NAMES[int(s)], int(f)) for p, s, f in pairs})


def _official_or_dealt(
    indicators: np.ndarray, fractions: Sequence[float], given: Sequence[str]
) -> np.ndarray:
    """The number of each row's split: the official one, or one of those that are dealt."""
    kept = [name for name in SPLIT_NAMES[1:] if name in given]
    dealt = [i for i, name in enumerate(SPLIT_NAMES) if name not in kept]
    loose = np.array([name not in kept for name in given], bool)
    split = np.array([SPLIT_NAMES.index(name) if name in kept else 0 for name in given])
    shares = [fractions[i] for i in dealt]
    if kept:
        total = sum(shares) or 1.0
        shares = [share / total for share in shares]
    split[loose] = np.array(dealt)[stratify(indicators[loose], shares)]
    return split
