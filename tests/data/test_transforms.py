"""Which frames and pixels of a stored cine a model sees."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.data.contract import InputContract
from cmrjax.data.transforms import frame_indices, prepare_clip, prepare_mask, sample_clip

CONTRACT = InputContract(
    clip_frames=4,
    clip_sampling="uniform",
    crop_size=4,
    normalise="unit",
    report_sections=("findings",),
    tokenizer="none",
    max_tokens=0,
)
CINE = np.arange(8 * 6 * 6).reshape(8, 6, 6).astype(np.uint8)


@pytest.mark.parametrize(
    ("stored", "frames", "phase", "expected"),
    [
        (16, 4, 0.0, [0, 4, 8, 12]),
        (16, 4, 0.5, [2, 6, 10, 14]),
        (16, 4, 0.999, [3, 7, 11, 15]),
        (5, 5, 0.9, [0, 1, 2, 3, 4]),
        (5, 3, 0.0, [0, 1, 3]),
        (5, 1, 0.5, [2]),
    ],
)
def test_uniform_frames(stored, frames, phase, expected):
    cine = np.zeros((stored, 2, 2), np.uint8)
    found = frame_indices(cine, frames=frames, sampling="uniform", phase=phase)
    assert found.tolist() == expected


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_uniform_frames_are_ordered_distinct_and_stored(stored, frames, phase):
    if frames > stored:
        return
    cine = np.zeros((stored, 1, 1), np.uint8)
    found = frame_indices(cine, frames=frames, sampling="uniform", phase=phase)
    assert len(found) == frames
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0
    assert found[-1] < stored


def test_end_systole_is_the_frame_that_differs_most_from_the_first():
    cine = np.full((5, 2, 2), 200, np.uint8)
    cine[1], cine[2], cine[3] = 180, 20, 150  # 20 is further from 200 than uint8 wraps to
    assert frame_indices(cine, frames=2, sampling="ed_es").tolist() == [0, 2]
    cine[4] = 255
    cine[0] = 10  # now the brightest is the furthest
    assert frame_indices(cine, frames=2, sampling="ed_es").tolist() == [0, 4]


def test_what_cannot_be_sampled_is_named():
    with pytest.raises(UserError, match=r"9 frames from cines of 8.*--frames"):
        frame_indices(CINE, frames=9, sampling="uniform")
    with pytest.raises(UserError, match="unknown clip sampling 'random'"):
        frame_indices(CINE, frames=2, sampling="random")
    with pytest.raises(UserError, match="gives 2 frames, not 3"):
        frame_indices(CINE, frames=3, sampling="ed_es")
    with pytest.raises(UserError, match="a crop of 8 from frames of 6"):
        sample_clip(CINE, dataclasses.replace(CONTRACT, crop_size=8))


def test_inference_takes_fixed_frames_the_centre_and_0_to_1():
    clip = prepare_clip(CINE, CONTRACT)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip, CINE[[0, 2, 4, 6], 1:5, 1:5] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(clip, prepare_clip(CINE, CONTRACT))


def test_either_pixel_type_is_mapped_to_0_to_1():
    fine = CINE.astype(np.uint16) * 257
    np.testing.assert_allclose(prepare_clip(fine, CONTRACT), prepare_clip(CINE, CONTRACT))
    cine = np.full((3, 4, 4), 65535, np.uint16)
    cine[1] = 0  # the difference would not fit 16 bits with a sign
    assert frame_indices(cine, frames=2, sampling="ed_es").tolist() == [0, 1]


def test_training_draws_the_phase_and_nothing_else():
    clips = [sample_clip(CINE, CONTRACT, np.random.default_rng(seed)) for seed in range(20)]
    allowed = [CINE[[0, 2, 4, 6], 1:5, 1:5], CINE[[1, 3, 5, 7], 1:5, 1:5]]
    met = {next(i for i, a in enumerate(allowed) if np.array_equal(clip, a)) for clip in clips}
    assert met == {0, 1}
    assert clips[0].dtype == np.uint8


def test_a_mask_is_cut_as_its_cine_is():
    record = {
        "cine": CINE,
        "mask": CINE,  # equal, so that it must come out equal
        "mask_frames": np.array([1, 1, 0, 0, 1, 0, 0, 0], np.uint8),
    }
    mask, drawn = prepare_mask(record, CONTRACT)
    np.testing.assert_array_equal(mask, sample_clip(CINE, CONTRACT))
    assert drawn.tolist() == [True, False, True, False]  # frames 0, 2, 4, 6
    nothing, drawn = prepare_mask({"cine": CINE}, CONTRACT)
    assert nothing.shape == mask.shape
    assert not nothing.any()
    assert not drawn.any()
