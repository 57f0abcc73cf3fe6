"""Padding does not change a sentence's vector; the order of words does."""

import numpy as np
import pytest
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.models.text_encoder import TextEncoder, TextEncoderConfig
from tests.models.networks import compiled, filled


@pytest.fixture(scope="module")
def encode():
    config = TextEncoderConfig(vocabulary=20, max_tokens=6, width=8, depth=2, heads=2)
    function = compiled(filled(lambda: TextEncoder(config, rngs=nnx.Rngs(0))))

    def encode(ids):
        """Two sentences at a time, so that one program serves every test."""
        return function(np.array(ids, np.int32))

    return encode


def test_padding_does_not_change_the_vector(encode):
    short = encode([[2, 7, 9], [2, 0, 0]])
    padded = encode([[2, 7, 9, 0, 0, 0], [2, 7, 9, 4, 4, 4]])
    np.testing.assert_allclose(padded[0], short[0], rtol=1e-4, atol=1e-5)
    assert np.abs(padded[1] - short[0]).max() > 0.01


def test_a_sentence_does_not_depend_on_the_others_of_its_batch(encode):
    batch = encode([[2, 7, 9, 0, 0, 0], [2, 3, 4, 5, 6, 7]])
    other = encode([[2, 7, 9, 0, 0, 0], [2, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(batch[0], other[0], rtol=1e-5, atol=1e-6)


def test_the_order_of_words_matters(encode):
    a, b = encode([[2, 7, 9, 0, 0, 0], [2, 9, 7, 0, 0, 0]])
    assert np.abs(a - b).max() > 0.01


@pytest.mark.parametrize("style", ["pre_norm", "bert"])
def test_the_pools_are_of_the_tokens(style):
    ids = np.array([[2, 7, 9, 0, 0, 0], [2, 3, 4, 5, 6, 7]], np.int32)
    there = (ids != 0)[..., None]
    for pool in ("mean", "cls", "pooler"):
        config = TextEncoderConfig(
            vocabulary=20, max_tokens=6, width=8, depth=1, heads=2, style=style, pool=pool
        )
        module = filled(lambda config=config: TextEncoder(config, rngs=nnx.Rngs(0)))
        tokens, vector = compiled(module, "tokens")(ids), compiled(module)(ids)
        expected = {
            "mean": (tokens * there).sum(1) / there.sum(1),
            "cls": tokens[:, 0],
            "pooler": np.tanh(np.asarray(module.pooler(tokens[:, 0]))) if pool == "pooler" else 0,
        }[pool]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_padding_does_not_change_berts_vector():
    config = TextEncoderConfig(
        vocabulary=20, max_tokens=6, width=8, depth=2, heads=2, style="bert", pool="cls"
    )
    function = compiled(filled(lambda: TextEncoder(config, rngs=nnx.Rngs(0))))
    short, padded = np.array([[2, 7, 9]]), np.array([[2, 7, 9, 0, 0, 0]])
    np.testing.assert_allclose(function(padded), function(short), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "gpt"}, "style = 'gpt'"),
        ({"pool": "max"}, "pool = 'max'"),
        ({"heads": 3}, "3 heads do not divide the width 8"),
        ({"activation": "relu"}, "activation = 'relu'"),
    ],
)
def test_a_tower_that_there_is_not_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        TextEncoderConfig(**{"vocabulary": 20, "max_tokens": 6, "width": 8, "heads": 2} | change)


def test_a_sentence_of_padding_alone_is_zero_and_not_nan(encode):
    np.testing.assert_array_equal(encode([[0] * 6, [2, 3, 0, 0, 0, 0]])[0], np.zeros(8))
