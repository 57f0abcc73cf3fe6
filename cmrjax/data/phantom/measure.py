"""True volumes and thicknesses of a phantom heart, by quadrature of its surfaces."""

import dataclasses

import numpy as np

from cmrjax.data.phantom.geometry import (
    ATRIUM_KAPPA,
    KAPPA,
    RV_APEX,
    Heart,
    angle_terms,
    atrium_scale,
    la_half_length,
    lv_level,
    lv_radii,
    lv_stretch,
    rv_base,
    rv_ellipse,
    scar_at,
)

MYOCARDIUM_G_PER_ML = 1.05
N_ANGLES, N_LEVELS = 72, 28
THETA = (np.arange(N_ANGLES) + 0.5) * (2.0 * np.pi / N_ANGLES)
COS, SIN = np.cos(THETA), np.sin(THETA)
LEVELS = ((np.arange(N_LEVELS) + 0.5) / N_LEVELS)[:, None]
MAX_FRACTIONAL_SHORTENING = 0.46

# AHA 17-segment model without the apex (Cerqueira et al., Circulation 2002): lowest and highest
# level of the basal, mid and apical ring, and the number of segments in each.
RINGS = ((0.68, 1.0, 6), (0.37, 0.68, 6), (0.08, 0.37, 4))


def truncated_ellipsoid_ml(radius: float, length: float, kappa: float) -> float:
    """Volume in ml of an ellipsoid of revolution cut ``kappa`` semi-axes above its centre."""
    return np.pi * radius**2 * length * (2 / 3 + kappa - kappa**3 / 3) / (1 + kappa) / 1000.0


def lv_volume_ml(heart: Heart, c: float) -> float:
    """LV cavity volume at contraction ``c``, papillary muscles included."""
    endo, _ = lv_radii(heart, angle_terms(heart, COS, SIN), LEVELS, c)
    return float(np.mean(endo**2) * np.pi * heart.lv_length * lv_stretch(heart, c) / 1000.0)


def lv_mass_g(heart: Heart) -> float:
    """LV mass at end-diastole, apical cap included, papillary muscles not."""
    depth = 0.7 * heart.wall / heart.lv_length
    levels = -depth + (1.0 + depth) * LEVELS
    endo, epi = lv_radii(heart, angle_terms(heart, COS, SIN), levels, 0.0)
    ml = np.mean(epi**2 - endo**2) * np.pi * heart.lv_length * (1.0 + depth) / 1000.0
    return float(ml * MYOCARDIUM_G_PER_ML)


def rv_volume_ml(heart: Heart, c: float) -> float:
    """RV cavity volume at contraction ``c``: the RV ellipse less the LV, ray by ray."""
    apex, base = -RV_APEX * heart.lv_length, rv_base(heart, c)
    w = apex + (base - apex) * LEVELS
    shape = rv_ellipse(heart, w, c)
    a = (COS / shape.half_u) ** 2 + (SIN / shape.half_v) ** 2
    b = shape.centre_u * COS / shape.half_u**2 + shape.centre_v * SIN / shape.half_v**2
    k = (shape.centre_u / shape.half_u) ** 2 + (shape.centre_v / shape.half_v) ** 2 - 1.0
    root = b * b - a * k
    outer = np.where(root > 0, (b + np.sqrt(np.maximum(root, 0.0))) / a, 0.0)
    _, epi = lv_radii(heart, angle_terms(heart, COS, SIN), lv_level(heart, w, c), c)
    area = np.maximum(np.maximum(outer, 0.0) ** 2 - epi**2, 0.0)
    return float(np.mean(area) * np.pi * (base - apex) / 1000.0)


def la_volume_ml(heart: Heart, c: float) -> float:
    """Left atrial volume at contraction ``c``; the largest is at c = 1."""
    length = la_half_length(heart, c) * (1.0 + ATRIUM_KAPPA)
    return truncated_ellipsoid_ml(heart.la_radius * atrium_scale(heart, c), length, ATRIUM_KAPPA)


def wall_thickness_mm(heart: Heart) -> np.ndarray:
    """End-diastolic wall thickness [levels, angles] of the mid and basal LV."""
    levels = np.linspace(0.45, 0.8, 8)[:, None]
    endo, epi = lv_radii(heart, angle_terms(heart, COS, SIN), levels, 0.0)
    return epi - endo


def segment_motion_loss(heart: Heart) -> np.ndarray:
    """Mean loss of motion in each of 16 AHA segments: 0 none, 1 akinetic, above 1 dyskinetic."""
    terms = angle_terms(heart, COS, SIN)
    losses = []
    for low, high, segments in RINGS:
        levels = np.linspace(low, high, 7)[:, None]
        scar = np.broadcast_to(scar_at(heart, terms, levels), (7, N_ANGLES))
        losses.append(scar.mean(axis=0).reshape(segments, -1).mean(axis=1))
    return np.concatenate(losses)


def solve(heart: Heart, *, lvef: float, rvedv_ml: float, rvef: float) -> Heart:
    """Sets the motion of the LV and the size and motion of the RV to meet targets.

    Args:
        heart: everything else; its LV size gives the end-diastolic volume.
        lvef: wanted LV ejection fraction, 0..1. A large scar may make it unreachable; then the
            best the remaining wall can do is taken.
        rvedv_ml: wanted RV end-diastolic volume.
        rvef: wanted RV ejection fraction, 0..1.

    Returns:
        The heart with its three solved fields.
    """
    terms = angle_terms(heart, COS, SIN)
    s = LEVELS * (1.0 + KAPPA) - 1.0
    moving = 1.0 - np.broadcast_to(scar_at(heart, terms, LEVELS), (N_LEVELS, N_ANGLES))
    weight = np.broadcast_to(1.0 - s * s, moving.shape)
    first, second = np.average(moving, weights=weight), np.average(moving**2, weights=weight)
    left = (1.0 - lvef) / lv_stretch(heart, 1.0)
    inner = first**2 - second * (1.0 - left)
    fraction = MAX_FRACTIONAL_SHORTENING if inner < 0 else (first - np.sqrt(inner)) / second
    fraction = float(np.clip(fraction, 0.0, MAX_FRACTIONAL_SHORTENING))
    heart = dataclasses.replace(heart, lv_fractional_shortening=fraction)
    heart = _match(heart, "rv_width", (4.0, 85.0), 0.0, rvedv_ml)
    return _match(heart, "rv_shortening", (0.0, 0.95), 1.0, rvedv_ml * (1.0 - rvef))


def _match(heart: Heart, field: str, limits: tuple[float, float], c: float, ml: float) -> Heart:
    """Bisects one field until the RV volume at contraction ``c`` is ``ml``."""
    low, high = limits
    rising = field == "rv_width"
    for _ in range(16):
        middle = 0.5 * (low + high)
        volume = rv_volume_ml(dataclasses.replace(heart, **{field: middle}), c)
        if (volume < ml) == rising:
            low = middle
        else:
            high = middle
    return dataclasses.replace(heart, **{field: 0.5 * (low + high)})
