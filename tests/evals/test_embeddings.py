import dataclasses

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.data.contract import VIEWS, InputContract
from cmrjax.data.records import RecordSource
from cmrjax.data.transforms import prepare_clip
from cmrjax.evals import baselines
from cmrjax.evals.embeddings import (
    _mean_by_view,
    dataset_fingerprint,
    embed,
    read_cohort,
    split_label,
)
from cmrjax.evals.encoder import Encoder
from tests.tiny import tiny_contract, write_tiny_dataset

INPUT = InputContract(4, "uniform", 16, "unit", ("findings",), "none", 0)


class Counting:
    """A video tower in NumPy that remembers the shapes it was called with."""

    def __init__(self):
        self.shapes = []

    def __call__(self, clips):
        self.shapes.append(clips.shape)
        pooled = np.stack([clips.mean((1, 2, 3)), clips.std((1, 2, 3))], 1)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True).clip(1e-9), pooled


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return RecordSource(write_tiny_dataset(tmp_path_factory.mktemp("tiny") / "ds"))


def make(tower, **changes):
    fields = {"name": "checkpoint", "step": 3, "dataset_contract": tiny_contract(), "input": INPUT}
    return Encoder(**(fields | {"cine": tower} | changes))


def test_a_view_that_a_study_lacks_is_the_mean_of_what_it_has():
    sums = np.array([[[2.0], [6.0], [1.0]], [[5.0], [0.0], [0.0]]])
    owners, slots = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 1, 2, 0])
    # Study 0: two of the first view, one of the second, one of no common view.
    # Study 1: one of the first view alone.
    np.testing.assert_allclose(_mean_by_view(sums, owners, slots), [[1, 6], [5, 5]])


def test_a_study_is_the_mean_over_its_cines_in_padded_batches(source):
    cohort, tower = read_cohort(source, split="test"), Counting()
    found = embed(make(tower), cohort, batch_size=5)
    assert set(tower.shapes) == {(5, 4, 16, 16)}
    study = cohort.members[2]
    clips = np.stack([prepare_clip(source[r]["cine"], INPUT) for r in study.rows])
    z, pooled = Counting()(clips)
    assert study.views == ("sax", "4ch")  # each study's own views are told apart
    np.testing.assert_allclose(found.pooled[2], pooled.ravel(), rtol=1e-6)
    np.testing.assert_allclose(found.z[2], z.mean(0) / np.linalg.norm(z.mean(0)), rtol=1e-6)
    assert list(found.study_id) == sorted(found.study_id)
    assert found.labels["lvef"][2] == source[study.rows[0]]["labels"]["lvef"]
    assert found.reports[2].startswith("HISTORY")


def test_the_cache_serves_equal_input_only(source, tmp_path):
    cohort, tower = read_cohort(source, split="test"), Counting()

    def calls(encoder, of=cohort, identity="a"):
        before = len(tower.shapes)
        vectors = embed(encoder, of, identity=identity, cache=tmp_path)
        return len(tower.shapes) - before, vectors

    first, vectors = calls(make(tower))
    again, same = calls(make(tower))
    assert (first, again) == (1, 0)
    np.testing.assert_array_equal(vectors.z, same.z)
    assert calls(make(tower), identity="b")[0] == 1
    assert calls(make(tower, input=dataclasses.replace(INPUT, max_tokens=9)))[0] == 1
    assert calls(make(tower), dataclasses.replace(cohort, fingerprint="other"))[0] == 1
    assert calls(make(tower, name="random", step=0))[0] == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "garbage", "empty"])
def test_a_damaged_cache_is_computed_again(source, tmp_path, damage):
    cohort, tower = read_cohort(source, split="test"), Counting()
    good = embed(make(tower), cohort, cache=tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[content.find(good.pooled.tobytes()) + 8] ^= 4
    path.write_bytes(
        {"truncate": content[:-99], "garbage": b"x" * 99, "empty": b""}.get(damage, content)
    )
    again = embed(make(tower), cohort, cache=tmp_path)
    assert len(tower.shapes) == 2
    np.testing.assert_array_equal(good.pooled, again.pooled)


def test_the_fingerprint_is_of_the_content(tmp_path):
    one = dataset_fingerprint(RecordSource(write_tiny_dataset(tmp_path / "a")))
    assert dataset_fingerprint(RecordSource(write_tiny_dataset(tmp_path / "b"))) == one
    assert dataset_fingerprint(RecordSource(write_tiny_dataset(tmp_path / "c", seed=1))) != one


def test_an_empty_split_is_a_user_error(source):
    cohort = dataclasses.replace(read_cohort(source, split="test"), members=())
    with pytest.raises(UserError, match="no study"):
        embed(make(Counting()), cohort)


def test_split_labels():
    assert split_label("test", None) == "test"
    assert split_label("test", (1, 5)) == "test_fold1of5"


def test_downsampled_pixels_are_block_means():
    clip = np.arange(8 * 32 * 32, dtype=np.float32).reshape(8, 32, 32)
    small = baselines.downsample(clip).reshape(4, 16, 16)
    assert small[1, 2, 3] == pytest.approx(clip[2:4, 4:6, 6:8].mean())
    assert baselines.downsample(clip[:1]).shape == (256,)


def test_pixels_put_views_side_by_side_and_mark_missing_ones(source):
    cohort = read_cohort(source, split="test")
    pixels = baselines.pixel_features(source, cohort.members, INPUT)
    assert pixels.shape == (len(cohort.members), len(VIEWS) * 4 * 256)
    by_view = np.isfinite(pixels.reshape(len(pixels), len(VIEWS), -1)).all(-1)
    np.testing.assert_array_equal(by_view[0], [view in ("sax", "4ch") for view in VIEWS])


def test_principal_components_equal_an_svd_and_see_no_test_row():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 50)).astype(np.float32)
    train = np.arange(30) < 20
    scores = baselines.principal_components(x, train)
    centred = x - x[train].mean(0)
    _, _, vt = np.linalg.svd(centred[train].astype(np.float64), full_matrices=False)
    expected = centred @ vt[:19].T
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=1e-3)
    changed = np.where(train[:, None], x, x * 9 + 1)
    np.testing.assert_allclose(
        baselines.principal_components(changed, train)[train], scores[train], atol=1e-5
    )
    tall = baselines.principal_components(x[:, :5], train)
    assert tall.shape == (30, 5)
