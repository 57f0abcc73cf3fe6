"""Reads damaged files: `python -m tests.data.dicom.fuzz FOLDER [--count 10000] [--seed 0]`.

Every one must give pixels or a reason. Prints what came out, how often, how long and how much
memory it took; stops at anything else, with the file kept. Folders take turns, whatever their
sizes; archives are opened.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cmrjax.data.dicom import Rejected, guard, read_images, read_pixels, study_of
from cmrjax.data.dicom.header import read_header
from cmrjax.data.dicom.layout import layout_of
from cmrjax.data.dicom.pixels import stored_pixels
from tests.data.dicom.mutate import mutate

_MOST_FRAMES, _MOST_MEMBERS = 50, 5


@dataclass
class Outcome:
    """What a run of the fuzzer saw.

    Args:
        archives: how often opening an archive ended in members or in which reason.
        images: the same of reading a file, or a member, as `prepare` does.
        pixels: the same of decoding, whatever the file shows.
        slowest_s: seconds that the slowest file took.
        slowest: number of that file.
    """

    archives: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    pixels: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: int = -1


def look(path: str, outcome: Outcome) -> None:
    """Reads one file, or the first members of an archive."""
    try:
        study_of(path)
    except Rejected as rejected:
        if rejected.reason == "archive":
            _look_into(path, outcome)
            return
    _look_at(path, outcome)


def _look_into(path: str, outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            members, _ = guard.members(path, scratch=f"{scratch}/unpacked")
            outcome.archives["members"] += 1
        except Rejected as rejected:
            outcome.archives[rejected.reason] += 1
            return
        for member in members[:_MOST_MEMBERS]:
            _look_at(member, outcome)


def _look_at(name: str, outcome: Outcome) -> None:
    """Reads a file in both ways: as `prepare` does, and its pixels whatever they show."""
    try:
        study_of(name)
        images = read_images(name)
        found = read_pixels(images[:_MOST_FRAMES])
        assert found.dtype == np.float32
        outcome.images["pixels"] += 1
    except Rejected as rejected:
        outcome.images[rejected.reason] += 1
    try:
        layout = layout_of(name, read_header(name))
        stored_pixels(layout, range(min(layout.shape.frames, _MOST_FRAMES)))
        outcome.pixels["pixels"] += 1
    except Rejected as rejected:
        outcome.pixels[rejected.reason] += 1


def run(sources: Sequence[Sequence[Path]], count: int, seed: int, path: Path) -> Outcome:
    """Reads damaged copies of files.

    Args:
        sources: the files of each folder, unharmed.
        count: how many copies.
        seed: fixes them.
        path: where each copy lies while it is read; one that raised stays there.
    """
    outcome = Outcome()
    for number in range(count):
        turn, folder = divmod(number, len(sources))
        source = sources[folder][turn % len(sources[folder])]
        path.write_bytes(mutate(source.read_bytes(), np.random.default_rng([seed, number])))
        start = time.monotonic()
        look(str(path), outcome)
        if (took := time.monotonic() - start) > outcome.slowest_s:
            outcome.slowest_s, outcome.slowest = took, number
    path.unlink()
    return outcome


def main(argv: Sequence[str]) -> int:
    """Fuzzes the files of some folders and prints figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.data.dicom.fuzz", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", help="files to damage")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    sources = [sorted(p for p in folder.rglob("*") if p.is_file()) for folder in args.folder]
    with suppress(Rejected):
        guard.header(os.devnull, wanted=(), entered=())  # its start is not a file's time
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    outcome = run(sources, args.count, args.seed, folder / "mutant")
    folder.rmdir()
    guard.close()
    peaks = {
        name: resource.getrusage(who).ru_maxrss // 1024
        for name, who in (("parent", resource.RUSAGE_SELF), ("guard", resource.RUSAGE_CHILDREN))
    }
    figures = {
        "files": sum(map(len, sources)),
        "mutations": args.count,
        "seconds": round(time.monotonic() - start, 1),
        "slowest_s": round(outcome.slowest_s, 2),
        "slowest": outcome.slowest,
        "peak_mb": peaks,
        "archives": dict(outcome.archives.most_common()),
        "images": dict(outcome.images.most_common()),
        "pixels": dict(outcome.pixels.most_common()),
    }
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
