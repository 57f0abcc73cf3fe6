"""The decoder reaches every pixel of every frame, and learns to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cmrjax.core.partitioning import make_mesh, parameter_shardings
from cmrjax.models.decoder import Decoder, space_to_depth, upsampling
from cmrjax.models.segmentation import SegmentationHead
from tests.models.networks import compiled, filled


def head(clip, grid, *, width=16, classes=3, channels=16):
    return lambda: SegmentationHead(
        width, classes, clip=clip, grid=grid, channels=channels, rngs=nnx.Rngs(0)
    )


@pytest.mark.parametrize(
    ("clip", "grid"),
    [
        ((1, 16, 16), (1, 2, 2)),
        ((4, 16, 16), (2, 2, 2)),
        ((2, 14, 12), (1, 1, 3)),
        ((1, 4, 4),) * 2,
    ],
)
def test_every_tubelet_reaches_full_resolution(clip, grid):
    tokens = np.zeros((2, grid[0] * grid[1] * grid[2], 16), np.float32)
    logits = compiled(filled(head(clip, grid)))(tokens, np.zeros((2, *clip), np.float32))
    assert logits.shape == (2, *clip, 3)


def test_steps_multiply_to_the_patch():
    for patch in ((8, 8), (16, 16), (14, 14), (4, 12), (1, 1), (7, 1)):
        steps = upsampling(*patch)
        assert (np.prod([s[0] for s in steps]), np.prod([s[1] for s in steps])) == patch


def test_folding_pixels_into_channels_loses_none():
    frames = np.arange(2 * 4 * 6.0).reshape(2, 4, 6)
    cells = np.asarray(space_to_depth(jnp.asarray(frames), 2, 3))
    assert cells.shape == (2, 2, 3, 4)
    assert cells[0, 0, 1].tolist() == [2, 3, 8, 9]
    assert np.sort(cells.ravel()).tolist() == np.sort(frames.ravel()).tolist()


def test_a_token_speaks_for_its_own_frames_and_place():
    run = compiled(filled(head((4, 32, 32), (2, 4, 4))))
    tokens, clips = np.zeros((1, 32, 16), np.float32), np.zeros((1, 4, 32, 32), np.float32)
    changed = tokens.copy()
    changed[0, 16 + 5] = 1.0  # second time, second row, second column
    moved = np.abs(run(changed, clips) - run(tokens, clips)).max(axis=-1)[0]
    assert moved[:2].max() == 0, "the first two frames belong to the other tubelet"
    assert moved[2:, 8:16, 8:16].min(axis=(1, 2)).max() > 0
    assert moved[2:, 8:16, 8:16].mean() > 10 * moved[2:, 24:, 24:].mean(), "it speaks of its place"
    assert np.abs(moved[2] - moved[3]).max() > 0, "frames of a tubelet have features of their own"


def test_the_head_is_light_and_named():
    vit_b = nnx.eval_shape(head((16, 224, 224), (8, 14, 14), width=768, classes=4, channels=64))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(vit_b, nnx.Param))) < 200_000
    parameter_shardings(vit_b, make_mesh({"data": 1, "fsdp": 4, "tensor": 2}))
    with pytest.raises(ValueError, match="does not divide"):
        Decoder(8, 1, clip=(4, 10, 10), grid=(2, 4, 4), rngs=nnx.Rngs(0))


def test_it_learns_the_outline_of_a_disc():
    """Tokens know a disc's place by the token alone; the pixels of the frame give its edge."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((16, 16))
    centre, radius = rng.uniform(5, 11, (16, 2)), rng.uniform(2.5, 5, 16)
    away = np.hypot(rows - centre[:, :1, None], columns - centre[:, 1:, None])
    inside = away < radius[:, None, None]
    clips = (0.2 + 0.5 * inside + 0.08 * rng.standard_normal(inside.shape))[:, None]
    tokens = inside.reshape(16, 4, 4, 4, 4).mean(axis=(2, 4)).reshape(16, 16, 1).repeat(4, -1)
    graph, state = nnx.split(filled(head((1, 16, 16), (1, 4, 4), width=4, classes=2), scale=0.1))
    optimizer = optax.adam(1e-2)

    def loss(state):
        logits = nnx.merge(graph, state)(jnp.float32(tokens), jnp.float32(clips))[:, 0]
        each = optax.softmax_cross_entropy_with_integer_labels(logits, inside.astype(int))
        return each[:8].mean(), logits

    @jax.jit
    def step(state, moments):
        gradient, logits = jax.grad(loss, has_aux=True)(state)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(state, updates), moments, logits

    moments, logits = optimizer.init(state), None
    for _ in range(40):
        state, moments, logits = step(state, moments)
    predicted, truth = np.asarray(logits)[8:].argmax(-1), inside[8:]  # discs never seen
    dice = 2 * (predicted * truth).sum() / (predicted.sum() + truth.sum())
    assert dice > 0.95, dice
