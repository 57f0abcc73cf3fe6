import collections
import json

import pytest

from tests.data.dicom import golden
from tests.data.dicom.build import HAS_CODECS
from tests.data.dicom.hidden import without_codecs

PINNED = json.loads(golden.GOLDEN.read_text())
needs_codecs = pytest.mark.skipif(not HAS_CODECS, reason="the extra codecs is not installed")


def with_codecs(row):
    """What a file gives where the extra is installed: a digest, or why there are no pixels."""
    return row.get("digest", row["pixels"])


@needs_codecs
def test_every_sample_gives_the_pinned_pixels_or_reason(shared_data, tmp_path):
    files = golden.sample_files()
    assert [path.name for path in files] == list(PINNED)
    for path in files:
        row = PINNED[path.name]
        assert golden.found(path, tmp_path / "a") == with_codecs(row), path.name
        assert golden.as_image(path, tmp_path / "b") == row["prepare"], path.name


def test_without_the_extra_the_same_pixels_or_its_name(shared_data, tmp_path):
    with without_codecs(tmp_path):
        for path in golden.sample_files():
            row = PINNED[path.name]
            expected = row.get("without_codecs", with_codecs(row))
            assert golden.found(path, tmp_path / "a") == expected, path.name


@needs_codecs
def test_what_pydicom_decodes_here_is_equal_to_ours(shared_data):
    for path in golden.sample_files():
        if PINNED[path.name]["pixels"] == "equal":
            reference = golden.by_pydicom(path)
            if reference is not None:  # of lossless JPEG, the pinned digest alone tells
                assert golden.digest(reference) == PINNED[path.name]["digest"], path.name


def test_the_list_holds_what_is_promised():
    verdicts = collections.Counter(row["pixels"] for row in PINNED.values())
    assert len(PINNED) == 89
    assert verdicts["equal"] >= 60
    assert not verdicts["differs"]
    lacking = [row["without_codecs"] for row in PINNED.values() if "without_codecs" in row]
    assert set(lacking) == {"needs_extra_codecs"}
    whole = [row for row in PINNED.values() if "without_codecs" not in row]
    assert sum(row["pixels"] == "equal" for row in whole) == 46
