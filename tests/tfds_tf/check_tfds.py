"""Reads a dataset the way TensorFlow users do, and compares every record with our own reading.

Run by `make test-tfds` in an environment of its own, with TensorFlow:
`python -m tests.tfds_tf.check_tfds DATASET_DIR`. The exit code is 1 when a record differs.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from cmrjax.data.records import RecordSource


def same(ours, theirs) -> bool:
    """Whether two decoded values are equal, texts compared as UTF-8, NaN equal to NaN."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, str):
        return ours.encode() == theirs
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.shape == theirs.shape and np.array_equal(
        ours, theirs, equal_nan=ours.dtype.kind == "f"
    )


def main(directory: Path) -> int:
    """Compares all records; prints how many were equal."""
    source = RecordSource(directory)
    builder = tfds.builder_from_directory(str(directory))
    read = tfds.ReadConfig(interleave_cycle_length=1, shuffle_seed=None)
    dataset = builder.as_dataset(split="all", shuffle_files=False, read_config=read)
    wrong = count = 0
    for record in tfds.as_numpy(dataset):
        if count >= len(source) or not same(source[count], record):
            print(f"record {count} differs", file=sys.stderr)
            wrong += 1
        count += 1
    print(f"{count} records read through as_dataset, {len(source)} by us, {wrong} different")
    return int(wrong > 0 or count != len(source))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
