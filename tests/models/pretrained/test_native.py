"""Our own weights: all as they were, but for positions on another grid when that is asked."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.build import config_to_json, kind_of, make_model
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.parameters import flatten
from cmrjax.models.pretrained import native
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.load import load
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.report import LoadError
from cmrjax.models.pretrained.resample import resample_positions
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.two_tower import TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import filled
from tests.models.pretrained.sources import run

VIDEO = VideoViTConfig(size=(8, 2, 2), tubelet=(4, 8, 8), clip=(8, 64, 64), remat="none")
TEXT = TextEncoderConfig(vocabulary=20, max_tokens=10, width=8, depth=1, heads=2)
RESAMPLE = ImportOptions(frames=16, size=96, positions="resample")


def weights_of(config) -> Weights:
    drawn = nnx.state(filled(lambda: make_model(config, rngs=nnx.Rngs(0))), nnx.Param)
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(drawn))
    said = {"format": native.FORMAT, "kind": kind_of(config), "model": config_to_json(config)}
    return Weights(tensors=flatten(params), config=said, where="w")


def test_weights_of_ours_come_back_as_they_were():
    for config in (VIDEO, TEXT, TwoTowerConfig(video=VIDEO, text=TEXT, joint=4)):
        weights = weights_of(config)
        loaded = load(weights)
        assert (loaded.config, loaded.report.layout) == (config, "cmrjax")
        assert flatten(loaded.params).keys() == weights.tensors.keys()
        for key, value in flatten(loaded.params).items():
            np.testing.assert_array_equal(value, weights.tensors[key])


@pytest.mark.parametrize("positions", ["separable", "learned"])
def test_frames_8_to_16_and_size_64_to_96_resample_the_positions_alone(positions):
    config = dataclasses.replace(VIDEO, positions=positions)
    weights = weights_of(config)
    loaded = load(weights, options=RESAMPLE)
    assert (loaded.config.clip, loaded.config.grid) == ((16, 96, 96), (4, 12, 12))
    names = {"separable": ["time", "space"], "learned": ["position"]}[positions]
    assert sorted(row.path for row in loaded.report.resampled) == sorted(names)
    for key, value in flatten(loaded.params).items():
        if key not in names:
            np.testing.assert_array_equal(value, weights.tensors[key])
    if positions == "learned":
        expected = resample_positions(weights.tensors["position"], (2, 8, 8), (4, 12, 12))
        np.testing.assert_array_equal(loaded.params["position"], expected)
    clips = np.random.default_rng(0).random((2, 16, 96, 96), np.float32)
    assert np.isfinite(run(loaded, "__call__", clips)).all()


def test_another_grid_is_refused_unless_resampling_is_asked_for():
    with pytest.raises(UserError, match="w: positions are for 2 x 8 x 8 tokens, the model has 4 x"):
        load(weights_of(VIDEO), options=dataclasses.replace(RESAMPLE, positions="error"))


def test_both_towers_of_a_network_change_size_at_once():
    weights = weights_of(TwoTowerConfig(video=VIDEO, text=TEXT, joint=4))
    loaded = load(weights, options=dataclasses.replace(RESAMPLE, max_tokens=6))
    assert loaded.config.video.clip == (16, 96, 96)
    assert loaded.config.text.max_tokens == 6
    table = loaded.params["text"]["position"]
    np.testing.assert_array_equal(table, weights.tensors["text/position"][:6])
    with pytest.raises(UserError, match="11 tokens, but positions for 10"):
        load(weights, options=ImportOptions(max_tokens=11))


def test_an_mvit_changes_its_clip_too():
    config = MViTConfig(size=(8, 2, 1), stages=(1,), clip=(8, 32, 32))
    options = ImportOptions(frames=16, size=48, positions="resample")
    loaded = load(weights_of(config), options=options)
    assert sorted(row.path for row in loaded.report.resampled) == ["space", "time"]
    assert loaded.params["time"].shape == (8, 8)
    assert loaded.params["space"].shape == (144, 8)


def test_one_tower_of_several_is_a_source_of_its_own():
    weights = weights_of(TwoTowerConfig(video=VIDEO, text=TEXT, joint=4))
    loaded = load(native.part(weights, "video"))
    assert (loaded.kind, loaded.config) == ("video", VIDEO)
    np.testing.assert_array_equal(loaded.params["space"], weights.tensors["video/space"])
    alone = weights_of(TEXT)
    assert native.part(alone, "text") is alone
    with pytest.raises(UserError, match="w: it has no video tower"):
        native.part(alone, "video")


def test_a_network_of_another_shape_or_function_is_refused_with_the_report():
    weights = weights_of(VIDEO)
    for field, value in (("motion_gain", 4.0), ("size", (8, 2, 4)), ("tubelet", (2, 8, 8))):
        asked = dataclasses.replace(VIDEO, **{field: value})
        with pytest.raises(LoadError, match="other than the model asked for"):
            load(weights, config=asked)
    more = dataclasses.replace(weights, tensors=weights.tensors | {"x/y": np.zeros(3)})
    with pytest.raises(LoadError, match=r"unexpected: x/y \(3,\)"):
        load(more)


def test_choices_of_other_peoples_weights_are_none_here():
    with pytest.raises(UserError, match="channels is no choice for weights of ours"):
        load(weights_of(TEXT), options=ImportOptions(channels="sum"))
