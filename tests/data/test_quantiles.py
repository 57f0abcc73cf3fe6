import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cmrjax.data.quantiles import quantiles

SHARES = [0.0, 0.01, 0.5, 0.9, 0.995, 1.0]


def numpys(values):
    return [float(v) for v in np.quantile(values, SHARES)]


@given(
    arrays.arrays(
        np.float32,
        st.integers(1, 300),
        elements=st.floats(-1e6, 1e6, width=32),
        fill=st.floats(-1e6, 1e6, width=32),
    )
)
def test_small_images_have_the_very_numbers_of_numpy(values):
    assert quantiles(values, SHARES) == numpys(values)


@pytest.mark.parametrize(
    "image",
    [
        lambda rng: rng.gamma(2.0, 100.0, (16, 64, 64)).astype(np.float32),
        lambda rng: rng.integers(0, 3, (160, 160)).astype(np.float32),  # few values, many of each
        lambda rng: np.full((100, 100), 7.0, np.float32),
        lambda rng: np.sort(rng.normal(size=(128, 128)).astype(np.float32), axis=None),
        lambda rng: np.where(np.arange(31 * 31 * 31) % 31, 1.0, rng.random(31**3)),  # period of 31
        lambda rng: rng.random((64, 65, 3)).astype(np.float32).transpose(2, 1, 0),
    ],
    ids=["smooth", "ties", "flat", "sorted", "against_the_sample", "strided"],
)
def test_large_images_have_the_very_numbers_of_numpy(image):
    for seed in range(5):
        values = image(np.random.default_rng(seed))
        assert quantiles(values, SHARES) == numpys(values)


def test_the_first_sampled_values_may_be_the_smallest_of_all():
    values = np.arange(100_000, dtype=np.float32)
    values[::31] = -1.0  # all of the sample lies below everything else
    assert quantiles(values, SHARES) == numpys(values)
