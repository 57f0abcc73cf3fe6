"""Towers as plain functions give what the encoder gives, and the check finds what differs."""

import jax
import numpy as np
import pytest

from cmrjax.core.errors import CmrjaxError
from cmrjax.evals.encoder import make_encoder
from cmrjax.exporting.towers import Tower, check, plain_config, towers
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.exporting.models import drawn

VIDEO = VideoViTConfig(size=(16, 2, 2), clip=(2, 8, 8), tubelet=(2, 4, 4), remat="full", unroll=2)
TEXT = TextEncoderConfig(vocabulary=30, max_tokens=6, width=16, depth=1, heads=2, dtype="bfloat16")


def test_a_model_has_the_towers_of_its_kind():
    both = towers(drawn(TwoTowerConfig(video=VIDEO, text=TEXT, joint=8)))
    assert [(t.name, t.input, t.shape, t.outputs) for t in both] == [
        ("video", "clips", (2, 8, 8), ("z", "pooled")),
        ("text", "ids", (6,), ("z",)),
    ]
    assert [t.name for t in towers(drawn(VIDEO))] == ["video"]
    assert [t.name for t in towers(drawn(TEXT))] == ["text"]


@pytest.mark.parametrize("scan", [True, False])
def test_the_functions_are_the_encoders(scan):
    model = drawn(VIDEO)
    (tower,) = towers(model, scan=scan)
    clips = tower.example(3)
    expected = make_encoder(model, name="source").encode(clips)
    for ours, theirs in zip(jax.jit(tower.function)(clips), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_only_training_needs_is_left_out_of_every_tower():
    config = plain_config(TwoTowerConfig(video=VIDEO, text=TEXT, joint=8), scan=False)
    assert (config.video.remat, config.video.scan, config.video.unroll) == ("none", False, 1)
    assert (config.text.dtype, config.text.remat, config.joint) == ("float32", "none", 8)
    assert (config.video.size, config.video.tubelet) == (VIDEO.size, VIDEO.tubelet)


def test_examples_are_clips_in_0_to_1_and_sentences_of_several_lengths():
    video, text = towers(drawn(TwoTowerConfig(video=VIDEO, text=TEXT, joint=8)))
    clips, ids = video.example(3), text.example(3)
    assert (clips.shape, clips.dtype, clips.min() >= 0, clips.max() <= 1) == (
        (3, 2, 8, 8),
        np.float32,
        True,
        True,
    )
    assert (ids.shape, ids.dtype, ids.max() < 30) == ((3, 6), np.int32, True)
    assert (ids != 0).sum(axis=1).tolist() == [5, 3, 1]
    assert (text.example(1) != 0).all() or (text.example(1) != 0).sum() == 1


LINE = Tower(
    name="video",
    input="clips",
    shape=(4,),
    dtype=np.float32,
    outputs=("z",),
    function=lambda x: (2 * x,),
)


def test_an_equal_program_differs_by_nothing():
    difference = check(LINE, lambda x: (2 * x,), what="line")
    assert (difference.absolute, difference.relative) == (0, 0)
    small = check(LINE, lambda x: (2 * x + np.float32(1e-5),), what="line")
    assert 0 < small.absolute < 2e-5
    assert 0 < small.relative < 1e-4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x: (2.01 * x,), "z differs from the source by 5.0e-03"),
        (lambda x: (np.full_like(x, np.nan),), "z differs from the source by nan"),
        (lambda x: (2 * x[:1],), r"z has shape \(1, 4\), not \(3, 4\)"),
        (lambda x: (2 * np.pad(x, ((0, 3 - len(x)), (0, 0))),), r"shape \(3, 4\), not \(1, 4\)"),
    ],
)
def test_a_program_that_differs_is_refused(wrong, says):
    with pytest.raises(CmrjaxError, match=says):
        check(LINE, wrong, what="line")
