import collections
import json

import pytest

from tests.data.dicom import golden
from tests.data.dicom.build import HAS_CODECS


@pytest.fixture(scope="module")
def pinned(shared_data):
    if not HAS_CODECS:
        pytest.skip("the extra codecs is not installed")
    return json.loads(golden.GOLDEN.read_text())


def test_every_sample_gives_the_pinned_pixels_or_reason(pinned, tmp_path):
    files = golden.sample_files()
    assert [path.name for path in files] == list(pinned)
    for path in files:
        ours, row = golden.by_us(path, tmp_path / "a"), pinned[path.name]
        found = ours if isinstance(ours, str) else golden.digest(ours)
        assert found == row.get("digest", row["pixels"]), path.name
        assert golden.as_image(path, tmp_path / "b") == row["prepare"], path.name


def test_what_pydicom_decodes_here_is_equal_to_ours(pinned, tmp_path):
    for path in golden.sample_files():
        if pinned[path.name]["pixels"] == "equal":
            reference = golden.by_pydicom(path)
            if reference is not None:  # of lossless JPEG, the pinned digest alone tells
                assert golden.digest(reference) == pinned[path.name]["digest"], path.name


def test_the_list_holds_what_is_promised():
    rows = json.loads(golden.GOLDEN.read_text())
    verdicts = collections.Counter(row["pixels"] for row in rows.values())
    assert len(rows) == 89
    assert verdicts["equal"] >= 60
    assert not verdicts["differs"]
