import numpy as np
import pytest

from cmrjax.data.phantom.motion import contraction, end_systole_fraction


@pytest.mark.parametrize("heart_rate", [46.0, 70.0, 105.0])
def test_contraction_is_zero_at_the_r_wave_and_one_at_end_systole(heart_rate):
    end_systole = end_systole_fraction(heart_rate)
    values = contraction(np.array([0.0, end_systole, 1.0]), heart_rate=heart_rate)
    np.testing.assert_allclose(values, [0.0, 1.0, 0.0], atol=1e-6)


def test_contraction_rises_then_falls_and_pauses_before_the_atrial_kick():
    phase = np.linspace(0.0, 1.0, 201)
    values = contraction(phase, heart_rate=60.0)
    peak = int(values.argmax())
    assert np.all(np.diff(values[: peak + 1]) >= 0)
    assert np.all(np.diff(values[peak:]) <= 1e-6)
    assert np.any(np.diff(values[peak + 60 :]) == 0)  # diastasis
    assert values.dtype == np.float32
