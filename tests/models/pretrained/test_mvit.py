"""pytorchvideo's MViT: the reference's numbers, and every key and shape of MViT-B 16x4."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.mvit import MViT, MViTConfig
from cmrjax.models.parameters import parameter_shapes, unflatten
from cmrjax.models.pretrained import mvit
from cmrjax.models.pretrained.files import Weights, read_weights
from cmrjax.models.pretrained.options import ImportOptions

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "mvit"
KINETICS = ImportOptions(mean=(0.45,), std=(0.225,))
TINY = MViTConfig(
    size=(24, 4, 1),
    stages=(1, 3),
    kv_stride=(1, 4, 4),
    clip=(8, 64, 64),
    mean=0.45,
    std=0.225,
    remat="none",
)


def tiny(**changes: Any) -> Weights:
    """The golden network, beside a config.json of the reference's argument names."""
    weights = read_weights(GOLDEN / "mvit_tiny_k400_layout.safetensors")
    config = json.loads((GOLDEN / "mvit_tiny_config.json").read_text())
    return dataclasses.replace(weights, **{"config": config} | changes)


def b_16x4() -> Weights:
    """Tensors of the reference's shapes that hold nothing."""
    shapes = json.loads((GOLDEN / "mvit_b_16x4_shapes.json").read_text())
    zero = np.float32(0)
    return Weights(tensors={key: np.broadcast_to(zero, shape) for key, shape in shapes.items()})


def filled(weights: Weights, config: MViTConfig, options: ImportOptions) -> dict[str, np.ndarray]:
    """Path -> array, of every entry of the layout."""
    return {
        "/".join(entry.path): entry.convert(*(weights.tensors[key] for key in entry.keys))
        for entry in mvit.entries(weights, config, options)
    }


def network(weights: Weights, config: MViTConfig, options: ImportOptions = KINETICS):
    """The graph and the state of a network with the weights."""
    graph, state = nnx.split(nnx.eval_shape(lambda: MViT(config, rngs=nnx.Rngs(0))))
    values = unflatten(filled(weights, config, options))
    nnx.replace_by_pure_dict(state, jax.tree.map(lambda x: np.asarray(x, np.float32), values))
    return graph, state


def relative(found, expected) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_the_references_block_tokens_and_logits():
    config = dataclasses.replace(TINY, channels=3, classes=10)
    graph, state = network(tiny(), config)
    with np.load(GOLDEN / "mvit_tiny_expected.npz") as arrays:
        expected = dict(arrays)

    def run(state, video):
        model = nnx.merge(graph, state)
        return [layer[:, 0] for layer in model.layers(video)], model.logits(video)

    # [b, c, t, h, w] there, normalised.
    video = np.moveaxis(expected["video"], 1, -1)
    quick = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})
    classes, logits = quick(state, video)
    for i, (found, block) in enumerate(zip(classes, config.blocks(), strict=True)):
        assert relative(found, expected[f"block{i:02d}.cls"]) < 1e-5
        assert block.grid_out == tuple(expected[f"block{i:02d}.thw"])
    assert relative(logits, expected["logits"]) < 1e-5


def test_b_16x4_has_every_key_once_with_its_shape():
    weights = b_16x4()
    config = dataclasses.replace(mvit.config_from(weights, KINETICS), channels=3, classes=400)
    assert config == MViTConfig(variant="B", channels=3, classes=400, mean=0.45, std=0.225)
    found = mvit.entries(weights, config, KINETICS)
    keys = [key for entry in found for key in entry.keys]
    shapes = [shape for entry in found for shape in entry.shapes]
    assert len(keys) == len({*keys}) == 377
    theirs = {key: x.shape for key, x in weights.tensors.items()}
    assert dict(zip(keys, shapes, strict=True)) == theirs
    assert sum(map(math.prod, theirs.values())) == 36_610_672
    arrays = filled(weights, config, KINETICS)
    assert {path: x.shape for path, x in arrays.items()} == parameter_shapes(config)
    assert sum(x.size for x in arrays.values()) == 36_610_672


def test_the_tensors_tell_the_network_and_config_json_its_strides():
    assert mvit.matches(tiny())
    own = dataclasses.replace(TINY, remat="full")
    assert mvit.config_from(tiny(), KINETICS) == own
    assert mvit.config_from(tiny(config=None), KINETICS) == own
    finer = tiny(config={"pool_kv_stride_adaptive": [1, 2, 2], "spatial_size": 64})
    assert mvit.config_from(finer, KINETICS) == dataclasses.replace(own, kv_stride=(1, 2, 2))


def test_a_grey_network_sees_what_the_source_sees_of_a_grey_clip():
    clips = np.random.default_rng(2).random((1, *TINY.clip)).astype(np.float32)
    options = dataclasses.replace(KINETICS, channels="sum")
    grey = network(tiny(), TINY, options)
    colour = network(tiny(), dataclasses.replace(TINY, channels=3))

    @jax.jit
    def first(*states):
        models = (nnx.merge(graph, s) for (graph, _), s in zip((grey, colour), states, strict=True))
        return [model._patches(model.normalise(clips)) for model in models]

    one, three = first(grey[1], colour[1])
    assert relative(np.asarray(one), np.asarray(three)) < 1e-5


def test_positions_are_resampled_to_other_frames_and_sizes_where_it_is_asked_for():
    options = dataclasses.replace(
        KINETICS, channels="sum", positions="resample", frames=16, size=96
    )
    config = mvit.config_from(tiny(), options)
    assert (config.clip, config.grid) == ((16, 96, 96), (8, 6, 6))
    arrays = filled(tiny(), config, options)
    assert {path: x.shape for path, x in arrays.items()} == parameter_shapes(config)
    before = filled(tiny(), TINY, options)
    # Ends are held and the mean stays, near enough, where a table is stretched.
    assert arrays["time"].shape[0] == 2 * before["time"].shape[0]
    np.testing.assert_allclose(arrays["time"].mean(0), before["time"].mean(0), atol=1e-5)
    with pytest.raises(UserError, match="choose positions: resample"):
        mvit.entries(tiny(), config, dataclasses.replace(options, positions="error"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": ""}, "sees 3 channels, the network 1; choose channels: sum"),
        ({"mean": (), "std": ()}, "give mean and std"),
        ({"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)}, "choose channels: red, green or blue"),
        ({"heads": 2}, "heads = 2, but the source has 1"),
        ({"pool": "mean"}, "its pool is cls"),
        ({"tubelet_frames": 4}, "the source has 2"),
        ({"size": 72}, r"clip = \(8, 72, 72\)"),
    ],
)
def test_a_choice_that_is_missing_or_does_not_fit_is_named(options, words):
    choices = ImportOptions(**{"channels": "sum", "mean": (0.45,), "std": (0.225,)} | options)
    with pytest.raises(UserError, match=words):
        mvit.entries(tiny(), mvit.config_from(tiny(), choices), choices)


def test_one_channel_may_have_its_own_normalisation():
    options = ImportOptions(channels="green", mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))
    config = mvit.config_from(tiny(), options)
    assert (config.mean, config.std) == (0.5, 0.2)
    kernel = tiny().tensors["patch_embed.patch_model.weight"][:, 1]
    found = filled(tiny(), config, options)["embed/kernel"]
    np.testing.assert_allclose(found, kernel.reshape(len(kernel), -1).T, rtol=1e-6)


def test_three_channels_and_a_choice_of_one_contradict():
    config = dataclasses.replace(TINY, channels=3)
    with pytest.raises(UserError, match="leave one of the two out"):
        mvit.entries(tiny(), config, dataclasses.replace(KINETICS, channels="sum"))


def test_other_strides_of_the_queries_are_refused():
    weights = tiny(config={"pool_q_stride_size": [[1, 1, 2, 2], [3, 2, 2, 2]]})
    with pytest.raises(UserError, match=r"pool_q_stride_size of \[2, 2, 2\], not \(1, 2, 2\)"):
        mvit.config_from(weights, KINETICS)
