"""The heart's contraction over the cycle."""

import numpy as np

EARLY_FILLING = 0.72  # share of the stroke volume that returns before atrial contraction


def end_systole_fraction(heart_rate: float) -> float:
    """Time of end-systole as a fraction of the RR interval.

    Args:
        heart_rate: beats a minute.

    Returns:
        0.33 at 50 beats a minute to 0.49 at 105.

    Reference: the heart-rate regression of systolic time intervals, Weissler et al., Circulation
    1968 (slope), scaled to the end of mechanical ejection.
    """
    return (464.0 - 1.8 * heart_rate) * heart_rate / 60000.0


def contraction(phase: np.ndarray, *, heart_rate: float) -> np.ndarray:
    """Contraction at each phase: 0 at end-diastole, 1 at end-systole.

    Args:
        phase: [t] fraction of the RR interval after the R wave.
        heart_rate: beats a minute; it moves end-systole and nothing else.

    Returns:
        [t] float32 in 0..1: ejection, early filling, a pause and the atrial kick.
    """
    end_systole = end_systole_fraction(heart_rate)
    phase = np.asarray(phase, np.float64) % 1.0
    ejecting = np.sin(0.5 * np.pi * np.minimum(phase / end_systole, 1.0)) ** 2
    diastole = np.clip((phase - end_systole) / (1.0 - end_systole), 0.0, 1.0)
    early = smoothstep(diastole / 0.45)
    late = smoothstep((diastole - 0.72) / 0.28)
    filled = EARLY_FILLING * early + (1.0 - EARLY_FILLING) * late
    return np.where(phase <= end_systole, ejecting, 1.0 - filled).astype(np.float32)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1 and a cubic between, elementwise."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
