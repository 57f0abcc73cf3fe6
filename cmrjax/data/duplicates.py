"""Scans that are nearly the same under two patients' names: a leak between splits nobody meant.

An export may hold a study twice: sent again under a new number, anonymised twice, copied for
teaching. Each cine has a perceptual hash; two patients' studies whose hashes nearly agree are
listed, and left for a person to judge.

Reference:
    The DCT hash is pHash's: Zauner, Implementation and benchmarking of perceptual image hash
    functions, 2010; here of the mean over the cycle and of the motion, 64 bits each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from cmrjax.data.standardise import resample_plane

# Share of the bits in which two scans may differ and still be listed. Copies with noise and in
# another pixel size differ in .01 to .08; no two of 700 phantom patients in less than .15 (.11 by
# short axes alone), and no two scans of ACDC in less than .27, but for one that it holds twice.
NEAR = 0.1
LISTED = 200
_BITS = 128
_SIDE = 32  # pixels that an image is shrunk to
_BLOCK = 8  # rows and columns of its lowest frequencies
_ROWS = 64  # studies compared with all others at a time


@dataclass(frozen=True)
class Scan:
    """What is compared of a study.

    Args:
        study_id: hashed id.
        patient_id: hashed id of its patient.
        looks: view -> hashes of its cines at a quarter, half and three quarters of the stack.
    """

    study_id: str
    patient_id: str
    looks: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pair:
    """Two patients' studies that look alike.

    Args:
        a: the one study.
        b: the other, its id the larger one.
        distance: share of the bits in which the cines that both have differ.
    """

    a: Scan
    b: Scan
    distance: float


def look(cine: np.ndarray) -> str:
    """The perceptual hash of a cine: 128 bits as hexadecimal digits; nothing of a blank one.

    Args:
        cine: integers of any range, `[t, h, w]`.
    """
    frames = cine.astype(np.float32)
    mean, motion = frames.mean(0), frames.std(0)
    if not mean.std() > 0:
        return ""
    images = np.stack([mean, motion if motion.std() > 0 else mean])
    step = tuple(n / _SIDE for n in cine.shape[1:])
    start = tuple((s - 1) / 2 for s in step)
    small = resample_plane(images, size=(_SIDE, _SIDE), step=(step[0], step[1]), start=start)
    waves = np.asarray(fft.dctn(small, axes=(1, 2), norm="ortho"))
    lowest = waves[:, :_BLOCK, :_BLOCK].reshape(2, -1)
    # The first coefficient is the brightness, which the median of the others should not follow.
    bits = lowest > np.median(lowest[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits).tobytes().hex()


def looks(cines: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """What is compared of a study.

    Args:
        cines: view and hash of each of its cines, the slices of a stack in order.
    """
    of_view: dict[str, list[str]] = defaultdict(list)
    for view, hashed in cines:
        of_view[view].append(hashed)
    places = {
        view: sorted({len(found) // 4, len(found) // 2, 3 * len(found) // 4})
        for view, found in of_view.items()
    }
    return {view: [of_view[view][i] for i in at] for view, at in sorted(places.items())}


def near_duplicates(scans: Sequence[Scan]) -> list[Pair]:
    """Studies of different patients that look alike, the most alike first.

    Views count where both studies have them, stacks where both keep as many slices.
    """
    order = sorted(scans, key=lambda scan: scan.study_id)
    patients = {p: i for i, p in enumerate(sorted({scan.patient_id for scan in order}))}
    owner = np.array([patients[scan.patient_id] for scan in order])
    codes = [_codes(scan) for scan in order]
    # The mean over two studies' cines is small only if that of one of them is.
    likely = {pair for key in sorted(set().union(*codes)) for pair in _near(key, codes, owner)}
    pairs = [Pair(order[i], order[j], _distance(codes[i], codes[j])) for i, j in sorted(likely)]
    found = (pair for pair in pairs if pair.distance <= NEAR)
    return sorted(found, key=lambda pair: (pair.distance, pair.a.study_id, pair.b.study_id))


def as_rows(pairs: Iterable[Pair], split_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Pairs for `dataset.json` and the data card.

    Args:
        pairs: of `near_duplicates`.
        split_of: patient id -> split.
    """
    return [
        {
            "study_a": pair.a.study_id,
            "study_b": pair.b.study_id,
            "patient_a": pair.a.patient_id,
            "patient_b": pair.b.patient_id,
            "split_a": split_of(pair.a.patient_id),
            "split_b": split_of(pair.b.patient_id),
            "distance": round(pair.distance, 4),
        }
        for pair in pairs
    ]


_Codes = dict[tuple[str, int, int], np.ndarray]


def _codes(scan: Scan) -> _Codes:
    return {
        (view, len(hashes), i): np.frombuffer(bytes.fromhex(hashed), np.uint64)
        for view, hashes in scan.looks.items()
        for i, hashed in enumerate(hashes)
        if hashed
    }


def _near(
    key: tuple[str, int, int], codes: Sequence[_Codes], owner: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Numbers of the studies of different patients that look alike in one cine."""
    member = np.array([i for i, known in enumerate(codes) if key in known])
    code = np.stack([codes[i][key] for i in member])
    for start in range(0, len(member), _ROWS):
        some = slice(start, start + _ROWS)
        apart = np.bitwise_count(code[some, None] ^ code[None]).sum(-1, dtype=np.uint8)
        alike = (apart <= NEAR * _BITS) & (owner[member[some], None] != owner[member])
        for i, j in np.argwhere(alike):
            if start + i < j:
                yield int(member[start + i]), int(member[j])


def _distance(a: _Codes, b: _Codes) -> float:
    apart = [int(np.bitwise_count(a[key] ^ b[key]).sum()) for key in a.keys() & b.keys()]
    return sum(apart) / (_BITS * len(apart))
