"""The MViT tower: its sizes, and that it learns. Its numbers: pretrained/test_mvit.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh, parameter_shardings
from cmrjax.models.mvit import MViT, MViTConfig
from tests.models.networks import filled

# Two blocks, two stages: 2 x 4 x 4 tokens, then 2 x 2 x 2.
TINY = MViTConfig(size=(8, 2, 1), stages=(1,), clip=(4, 16, 16), remat="none")
CLIPS = np.random.default_rng(5).random((2, *TINY.clip)).astype(np.float32)
# Compiling is what these tests spend their time on.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def abstract(config: MViTConfig) -> MViT:
    return nnx.eval_shape(lambda: MViT(config, rngs=nnx.Rngs(0)))


def parameters(module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


@pytest.fixture(scope="module")
def tower():
    return filled(lambda: MViT(TINY, rngs=nnx.Rngs(0)), scale=0.1)


@pytest.fixture(scope="module")
def features(tower):
    graph, state = nnx.split(tower)

    def both(state, clips):
        model = nnx.merge(graph, state)
        return model.features(clips), model.encode(model.normalise(clips))

    run = quick(both)
    return lambda clips: jax.tree.map(np.asarray, run(state, clips))


@pytest.fixture(scope="module")
def value_and_gradient(tower):
    """Of a loss that every parameter has a part in, those of the last patches too."""
    graph, _ = nnx.split(tower)
    target = np.array([1.0, -1.0], np.float32)

    def loss(state):
        pooled, tokens = nnx.merge(graph, state).features(CLIPS)
        return jnp.mean((pooled.mean(axis=-1) - target) ** 2) + jnp.mean(tokens[..., 0] ** 2)

    return quick(jax.value_and_grad(loss))


def test_b_16x4_has_the_parameters_of_the_reference():
    reference = MViTConfig(channels=3, classes=400)
    assert parameters(abstract(reference)) == 36_610_672


def test_b_16x4_as_a_tower_has_the_published_tokens_after_its_stages():
    config = MViTConfig()
    module = abstract(config)
    # As a tower: one channel of the 3 x 7 x 7 kernel, and no head.
    assert parameters(module) == 36_610_672 - 2 * 3 * 7 * 7 * 96 - 400 * (768 + 1)
    graph, state = nnx.split(module)
    video = jax.ShapeDtypeStruct((1, *config.clip, 1), jnp.float32)
    run = lambda state, video: nnx.merge(graph, state).layers(video)  # noqa: E731
    shapes = [layer.shape[1:] for layer in jax.eval_shape(run, state, video)]
    assert [n for n, _ in shapes] == [25_089] + [6_273] * 2 + [1_569] * 11 + [393] * 2
    assert [d for _, d in shapes] == [192] * 2 + [384] * 11 + [768] * 3
    assert (config.grid, config.width) == ((8, 7, 7), 768)
    # Keys and values have the last stage's grid in every block.
    strides = [block.kv_stride for block in config.blocks()]
    assert strides == [(1, 8, 8)] + [(1, 4, 4)] * 2 + [(1, 2, 2)] * 11 + [(1, 1, 1)] * 2
    assert [block.heads for block in config.blocks()] == [1] + [2] * 2 + [4] * 11 + [8] * 2


def test_a_vector_is_the_class_token_and_the_tokens_are_the_last_grid(tower, features):
    found, tokens = features(CLIPS)
    assert tokens.shape == (2, 1 + 2 * 2 * 2, 16)
    np.testing.assert_allclose(found.pooled, tokens[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.tokens, tokens[:, 1:], rtol=1e-5, atol=1e-6)
    video = tower.normalise(jnp.asarray(CLIPS))
    np.testing.assert_allclose(video, CLIPS[..., None] * 2 - 1, rtol=1e-5, atol=1e-6)


def test_three_channels_see_the_clip_three_times(tower):
    grey = dataclasses.replace(TINY, mean=0.45, std=0.225)
    kernel = np.asarray(tower.embed.kernel[...])
    parts = np.stack([0.5 * kernel, 0.75 * kernel, -0.25 * kernel], axis=1)

    @quick
    def first(kernels):
        found = []
        for kernel, channels in zip(kernels, (1, 3), strict=True):
            config = dataclasses.replace(grey, channels=channels)
            graph, state = nnx.split(abstract(config))
            state = jax.tree.map(jnp.zeros_like, state)
            state["embed"]["kernel"] = state["embed"]["kernel"].replace(kernel)
            module = nnx.merge(graph, state)
            found.append(module._patches(module.normalise(CLIPS)))
        return found

    one, three = first([kernel, parts.reshape(-1, kernel.shape[-1])])
    np.testing.assert_allclose(three, one, rtol=1e-4, atol=1e-4)


def test_every_frame_matters(features):
    before = features(CLIPS)[0].pooled
    for frame in range(TINY.clip[0]):
        changed = CLIPS.copy()
        changed[0, frame, 4:12, 4:12] = 1
        after = features(changed)[0].pooled
        assert np.abs(after - before)[0].max() > 1e-3
        np.testing.assert_allclose(after[1], before[1], rtol=1e-5, atol=1e-6)


def test_a_gradient_reaches_every_parameter(tower, value_and_gradient):
    _, gradient = value_and_gradient(nnx.state(tower))
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
        if not np.abs(leaf).max() > 0
    ]
    assert still == []


def test_ten_steps_lower_the_loss(tower, value_and_gradient):
    state = nnx.state(tower)
    losses = []
    for _ in range(10):
        value, gradient = value_and_gradient(state)
        losses.append(float(value))
        state = jax.tree.map(lambda p, g: np.asarray(p) - 0.1 * np.asarray(g), state, gradient)
    assert losses[-1] < 0.5 * losses[0]


def test_rematerialisation_changes_neither_value_nor_gradient():
    def value_and_gradient(remat):
        config = dataclasses.replace(TINY, size=(8, 1, 1), stages=(), remat=remat)
        graph, state = nnx.split(filled(lambda: MViT(config, rngs=nnx.Rngs(0)), scale=0.1))
        loss = lambda state: jnp.sum(jnp.sin(nnx.merge(graph, state)(CLIPS)))  # noqa: E731
        function = jax.value_and_grad(loss)
        return str(jax.make_jaxpr(function)(state)), quick(function)(state)

    plain, expected = value_and_gradient("none")
    remat, found = value_and_gradient("full")
    assert ("remat" in plain, "remat" in remat) == (False, True)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_parameters_can_be_split_over_a_mesh():
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    block = parameter_shardings(abstract(MViTConfig()), mesh)["blocks"]["00"]
    assert tuple(block["attention"]["qkv"]["kernel"].spec) == ("fsdp", "tensor")
    assert tuple(block["widen"]["kernel"].spec) == (None, "fsdp")
    assert block["attention"]["pool_k"]["kernel"].is_fully_replicated


def test_equal_networks_have_equal_configs():
    spelled = MViTConfig(size=(96, 16, 1), stages=(1, 3, 14), kv_stride=(1, 8, 8))
    assert spelled == MViTConfig(variant="B")
    assert MViTConfig(size=(8, 2, 1), clip=(2, 4, 4)).stages == ()


def test_a_mask_of_frames_and_another_shape_are_refused(tower):
    with pytest.raises(UserError, match="clips of one length"):
        tower.features(CLIPS, np.ones(CLIPS.shape[:2], bool))
    with pytest.raises(ValueError, match=r"\(2, 16, 16\).*\(4, 16, 16\)"):
        tower(CLIPS[:, :2])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"variant": "XL"}, "variant = 'XL'; use one of"),
        ({"size": (96, 16)}, "give width, depth and heads"),
        ({"size": (96, 16, 5)}, "heads divide width"),
        ({"stages": (0, 3)}, "give blocks of 1..15, ascending"),
        ({"stages": (3, 1)}, "ascending"),
        ({"stages": (16,)}, "give blocks of 1..15"),
        ({"kv_stride": (8, 8)}, "give time, rows, columns"),
        ({"clip": (16, 224, 200)}, r"multiples of \[2, 32, 32\]"),
        ({"clip": (15, 224, 224)}, r"multiples of \[2, 32, 32\]"),
        ({"channels": 2}, r"use one of \(1, 3\)"),
        ({"std": 0.0}, "positive"),
        ({"remat": "dots"}, r"use one of \('none', 'full'\)"),
        ({"classes": -1}, "0 or more"),
    ],
)
def test_a_config_that_cannot_be_is_named(fields, words):
    with pytest.raises(UserError, match=words):
        MViTConfig(**fields)
