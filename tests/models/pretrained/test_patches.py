"""Patch embeddings: inflation, channels and normalisation are exact, each by itself."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.files import Weights, read_weights
from cmrjax.models.pretrained.load import load
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.patches import channel_shares, fold, inflate_kernel, normalisation
from tests.models.pretrained.sources import GOLDEN, UNEXPECTED, changed, run

RNG = np.random.default_rng(0)


@given(
    how=st.sampled_from(["sum", "mean", "red", "green", "blue"]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.1, 2)] * 3),
)
def test_one_grey_channel_does_what_normalised_colours_did(how, mean, std):
    kernel, bias = RNG.standard_normal((3, 2, 4, 4, 6)), RNG.standard_normal(6)
    shares = channel_shares(how, 3)
    x = RNG.random((2, 4, 4))
    colours = (x[None] - np.reshape(mean, (3, 1, 1, 1))) / np.reshape(std, (3, 1, 1, 1))
    theirs = bias + np.einsum("c,cthw,cthwd->d", shares, colours, kernel)
    grey, moved = fold(kernel, bias, mean=np.array(mean), std=np.array(std), shares=shares)
    ours = moved + np.einsum("thw,thwd->d", 2 * x - 1, grey)
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


@given(how=st.sampled_from(["central", "average"]), frames=st.integers(1, 5))
def test_an_inflated_kernel_says_of_a_still_clip_what_it_said_of_the_frame(how, frames):
    kernel, frame = RNG.standard_normal((3, 4, 4, 6)), RNG.random((3, 4, 4))
    inflated = inflate_kernel(kernel, frames, how)
    assert inflated.shape == (3, frames, 4, 4, 6)
    still = np.repeat(frame[:, None], frames, axis=1)
    theirs = np.einsum("chw,chwd->d", frame, kernel)
    np.testing.assert_allclose(np.einsum("cthw,cthwd->d", still, inflated), theirs, atol=1e-5)


def test_central_inflation_sees_the_middle_frame_alone():
    inflated = inflate_kernel(np.ones((1, 2, 2, 3)), 4, "central")
    np.testing.assert_array_equal(inflated.sum(axis=(0, 2, 3, 4)), [0, 0, 12, 0])


def test_channels_that_there_are_not_are_refused():
    np.testing.assert_allclose(channel_shares("mean", 3), 1 / 3)
    np.testing.assert_array_equal(channel_shares("blue", 3), [0, 0, 1])
    with pytest.raises(UserError, match="no blue among 1 channels"):
        channel_shares("blue", 1)


@pytest.mark.parametrize(
    ("preprocessor", "options", "expected"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.2] * 3}, {}, ((0.5,) * 3, (0.2,) * 3)),
        ({"image_mean": [0.5] * 3, "do_normalize": False}, {}, ((0,) * 3, (1,) * 3)),
        ({"image_mean": [0.5] * 3}, {"mean": (0.1,), "std": (0.3,)}, ((0.1,) * 3, (0.3,) * 3)),
        (None, {"mean": (0.1, 0.2, 0.3), "std": (1, 2, 3)}, ((0.1, 0.2, 0.3), (1, 2, 3))),
    ],
)
def test_the_options_come_before_what_lies_beside_the_weights(preprocessor, options, expected):
    weights = Weights(tensors={}, preprocessor=preprocessor)
    mean, std, _ = normalisation(weights, ImportOptions(**options), 3)
    assert (tuple(mean), tuple(std)) == expected


@pytest.mark.parametrize(
    ("preprocessor", "message"),
    [
        (None, "nothing says"),
        ({"image_mean": [0.5] * 3}, "nothing says"),
        ({"image_mean": [0.5] * 3, "image_std": [0.0] * 3}, "std"),
        ({"image_mean": "a", "image_std": "b"}, "mean a, std b"),
        ({"image_mean": [0.5] * 2, "image_std": [1.0] * 2}, "for 3 channels"),
        ({"image_mean": [0.5] * 3, "image_std": [1] * 3, "rescale_factor": 0.5}, "not scaled"),
        ({"image_mean": [0.5] * 3, "image_std": [1] * 3, "do_rescale": False}, "not scaled"),
        ({"image_mean": [0.5] * 3, "image_std": [1] * 3, "rescale_factor": "1"}, "not scaled"),
        ({"image_mean": [0.5, None, 1], "image_std": [1] * 3}, "mean"),
    ],
)
def test_a_normalisation_that_is_not_known_is_refused(preprocessor, message):
    with pytest.raises(UserError, match=message):
        normalisation(Weights(tensors={}, preprocessor=preprocessor), ImportOptions(), 3)


def still(frames: int) -> tuple[np.ndarray, np.ndarray]:
    frame = RNG.random((2, 1, 16, 16), np.float32)
    return frame, np.repeat(frame, frames, axis=1)


@pytest.mark.parametrize(("how", "name"), [("central", "dinov2_registers"), ("average", "vit")])
def test_an_inflated_network_sees_the_frame_in_a_still_clip_of_one_tubelet(how, name):
    # With all frames in one tubelet the tokens are the image's, so the network is too.
    frame, clip = still(4)
    weights = read_weights(GOLDEN / name)
    common = ImportOptions(channels="sum", allow_unexpected=UNEXPECTED[name])
    image = run(load(weights, options=common), "features", frame)
    options = dataclasses.replace(common, frames=4, tubelet_frames=4, inflate=how)
    video = run(load(weights, options=options), "features", clip)
    np.testing.assert_allclose(video.tokens, image.tokens, atol=2e-5)
    np.testing.assert_allclose(video.pooled, image.pooled, atol=2e-5)


@pytest.mark.parametrize("cls_token", [True, False])
def test_over_several_times_it_does_so_only_without_a_class_token(cls_token, tmp_path):
    # Attention over t equal copies of the patches is attention over one; but a class token is
    # there once, not t times, and so gets less of it.
    def without(tensors):
        del tensors["cls_token"]
        tensors["pos_embed"] = tensors["pos_embed"][:, 1:].copy()

    folder = changed("timm_vit", tmp_path / "m", tensors=None if cls_token else without)
    frame, clip = still(8)
    weights, options = read_weights(folder), ImportOptions(channels="sum", pool="mean")
    image = run(load(weights, options=options), "features", frame)
    options = dataclasses.replace(options, frames=8, tubelet_frames=2, inflate="average")
    loaded = load(weights, options=options)
    assert (loaded.config.grid[0], loaded.config.cls_token) == (4, cls_token)
    video = run(loaded, "features", clip)
    if cls_token:
        assert np.abs(video.pooled - image.pooled).max() > 1e-3
        return
    np.testing.assert_allclose(video.pooled, image.pooled, atol=2e-5)
    tokens = video.tokens.reshape(2, 4, *image.tokens.shape[1:])
    np.testing.assert_allclose(tokens, np.repeat(image.tokens[:, None], 4, 1), atol=2e-5)
