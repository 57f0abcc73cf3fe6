"""The pixel decoder tells places apart and answers for the hidden ones."""

import jax
import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.partitioning import make_mesh, parameter_shardings
from cmrjax.models.masked_autoencoder import (
    MaskedAutoencoder,
    PixelDecoder,
    PixelDecoderConfig,
    sincos_positions,
)
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import compiled, filled

TOWER = VideoViTConfig(size=(32, 1, 2), tubelet=(1, 4, 4), clip=(2, 8, 12), remat="none")
SMALL = PixelDecoderConfig(width=16, depth=1, heads=2)


def test_positions_by_hand():
    table = sincos_positions((1, 2, 3), 8)
    # Row 1, column 2: sines and cosines at frequencies 1 and 1/100 of the row, then of the column.
    angles = np.array([1, 0.01, 2, 0.02])
    expected = np.concatenate(
        [np.sin(angles[:2]), np.cos(angles[:2]), np.sin(angles[2:]), np.cos(angles[2:])]
    )
    np.testing.assert_allclose(table[5], expected, atol=1e-6)
    assert table.dtype == np.float32


def test_positions_of_a_cine_add_the_time():
    still, moving = sincos_positions((1, 2, 3), 8), sincos_positions((2, 2, 3), 8)
    later = moving[6:] - still  # time 1 over the whole width: frequencies 1, .1, .01, .001
    angles = 10.0 ** -np.arange(4)
    expected = np.concatenate([np.sin(angles), np.cos(angles)])
    np.testing.assert_allclose(later, np.broadcast_to(expected, later.shape), atol=1e-6)
    for grid in ((4, 14, 14), (8, 6, 5)):
        table = sincos_positions(grid, 64)
        assert len(np.unique(table.round(4), axis=0)) == len(table), "two tokens share a vector"


def test_the_order_of_tokens_does_not_matter_their_places_do():
    decoder = compiled(filled(lambda: PixelDecoder(SMALL, TOWER, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((1, 4, 32)).astype(np.float32)
    kept = np.array([[0, 3, 7, 10]])
    hidden = np.setdiff1d(np.arange(12), kept)[None]
    found = decoder(tokens, kept, hidden)
    assert found.shape == (1, 8, 16)
    shuffled = np.array([2, 0, 3, 1])
    again = decoder(tokens[:, shuffled], kept[:, shuffled], hidden[:, ::-1])
    np.testing.assert_allclose(again[:, ::-1], found, atol=1e-4)
    swapped = decoder(tokens[:, shuffled], kept, hidden)
    assert np.abs(swapped - found).max() > 0.01
    assert np.abs(np.diff(found, axis=1)).max(axis=-1).min() > 1e-4, "two places, one answer"


@pytest.mark.parametrize(
    "video", [MViTConfig(), VideoViTConfig(attention="divided", clip=(2, 32, 32))]
)
def test_a_tower_that_needs_all_tokens_is_refused(video):
    with pytest.raises(UserError, match="cannot leave tokens out"):
        nnx.eval_shape(lambda: MaskedAutoencoder(video, SMALL, rngs=nnx.Rngs(0)))


def test_wrong_decoders_are_named():
    with pytest.raises(UserError, match="decoder width 30"):
        PixelDecoderConfig(width=30, depth=1, heads=2)
    with pytest.raises(UserError, match="3 heads do not divide"):
        PixelDecoderConfig(width=16, depth=1, heads=3)


def test_the_published_decoder_has_its_size_and_a_place_on_a_mesh():
    video = VideoViTConfig(variant="L", tubelet=(1, 16, 16), clip=(1, 224, 224))
    model = nnx.eval_shape(lambda: MaskedAutoencoder(video, PixelDecoderConfig(), rngs=nnx.Rngs(0)))
    sizes = [leaf.size for leaf in jax.tree.leaves(nnx.state(model.decoder, nnx.Param))]
    # He et al. 2022: 8 blocks of width 512 have 8 * (12 * 512^2 + 13 * 512) parameters.
    blocks = 8 * (12 * 512**2 + 13 * 512)
    assert sum(sizes) == blocks + (1024 + 1) * 512 + 512 + 2 * 512 + (512 + 1) * 256
    parameter_shardings(model, make_mesh({"data": 1, "fsdp": 4, "tensor": 2}))
