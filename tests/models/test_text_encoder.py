"""Padding does not change a sentence's vector; the order of words does."""

import numpy as np
import pytest
from flax import nnx

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


def test_a_sentence_of_padding_alone_is_zero_and_not_nan(encode):
    np.testing.assert_array_equal(encode([[0] * 6, [2, 3, 0, 0, 0, 0]])[0], np.zeros(8))
