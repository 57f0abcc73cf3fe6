"""Towers of single frames on clips."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.evals.encoder import clip_tokens, video_vectors
from cmrjax.evals.tower_attention import video_map
from cmrjax.models.frames import as_input, over_frames
from cmrjax.models.heads import StudyRegressor, StudyRegressorConfig
from cmrjax.models.video_vit import VideoViT, VideoViTConfig

FRAME = VideoViTConfig(size=(16, 1, 2), tubelet=(1, 4, 4), clip=(1, 8, 8), remat="none")


def test_two_frames_are_their_mean_and_a_share_of_their_difference_by_hand():
    # cos(pi / 4) = -cos(3 pi / 4) = .7071: the second term is .7071 * (a - b) / 2.
    a, b = np.array([1.0, 4.0]), np.array([3.0, 0.0])
    found = over_frames(jnp.asarray([a, b]), 2)[0]
    half = np.cos(np.pi / 4) / 2
    np.testing.assert_allclose(found, [*(a + b) / 2, *(a - b) * half], rtol=1e-6)


def test_of_many_frames_the_third_term_is_of_the_cycles_middle():
    still, contracting = np.ones((16, 1)), np.cos(2 * np.pi * np.arange(16) / 16)[:, None]
    np.testing.assert_allclose(over_frames(jnp.asarray(still), 16)[0], [1, 0, 0], atol=1e-6)
    found = np.asarray(over_frames(jnp.asarray(contracting), 16)[0])
    assert abs(found[2]) > 0.45
    assert abs(found[0]) < 1e-6
    assert abs(found[1]) < 0.1


def test_a_tower_of_clips_is_left_alone():
    clips = jnp.zeros((2, 4, 8, 8))
    assert as_input((4, 8, 8), clips) is clips
    x = jnp.ones((2, 5))
    assert over_frames(x, 1) is x


def test_an_encoder_of_single_frames_sees_each_of_a_clip():
    tower = VideoViT(FRAME, rngs=nnx.Rngs(0))
    clips = jnp.asarray(np.random.default_rng(0).random((3, 2, 8, 8)), jnp.float32)
    z, pooled = video_vectors(tower, clips)
    assert z.shape == (3, 16)
    assert pooled.shape == (3, 2 * 3 * 16)  # two terms of mean, middle mean, middle spread
    frames = [tower.tokens(clips[:, i : i + 1]) for i in (0, 1)]
    np.testing.assert_allclose(
        pooled[:, :16], (frames[0].mean(axis=1) + frames[1].mean(axis=1)) / 2, atol=1e-5
    )
    tokens = clip_tokens(tower, clips)
    np.testing.assert_allclose(tokens, jnp.concatenate(frames, axis=1), atol=1e-5)
    swapped = video_vectors(tower, clips[:, ::-1])[1]
    np.testing.assert_allclose(swapped[:, :48], pooled[:, :48], atol=1e-5)
    np.testing.assert_allclose(swapped[:, 48:], -pooled[:, 48:], atol=1e-5)


def test_a_map_of_single_frames_is_one_of_the_clip():
    tower = VideoViT(FRAME, rngs=nnx.Rngs(0))
    clips = jnp.asarray(np.random.default_rng(0).random((3, 2, 8, 8)), jnp.float32)
    found = video_map(tower, clips, method="gradient")
    assert found.shape == clips.shape
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 1, rtol=1e-4)


def test_a_study_regressor_on_single_frames_tells_their_order():
    config = StudyRegressorConfig(video=FRAME, outputs=1, frames=2)
    model = StudyRegressor(config, rngs=nnx.Rngs(0))
    model.head.kernel[...] = jnp.ones_like(model.head.kernel[...])
    clips = jnp.asarray(np.random.default_rng(0).random((1, 2, 2, 8, 8)), jnp.float32)
    mask = jnp.ones((1, 2), bool)
    assert not np.allclose(model(clips, mask), model(clips[:, :, ::-1], mask))
