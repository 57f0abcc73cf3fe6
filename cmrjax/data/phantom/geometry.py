"""The surfaces of the heart as explicit functions of level, angle and contraction.

Heart frame (mm, right-handed): the LV axis is ``w``, from apex to base, with the mitral plane at
w = 0 in end-diastole; ``u`` points from the septum to the lateral wall, ``v`` to the inferior wall.
The angle theta = atan2(v, u) is 0 lateral, pi/2 inferior, pi septal, -pi/2 anterior.

The same functions serve the pixels of an image and the quadrature behind the labels, so a label is
the volume of exactly what was drawn.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cmrjax.data.phantom.motion import smoothstep

KAPPA = 0.6  # where the mitral plane cuts the LV ellipsoid, in semi-axes above its centre
ATRIUM_KAPPA = 0.6  # the same for the atria
RV_APEX = 0.93  # level of the RV apex below the mitral plane, in LV lengths
RV_BASE_MM = -1.0  # the tricuspid plane lies apical of the mitral plane
RV_REACH = 0.35  # the RV ellipse reaches this far (in LV radii) beyond the LV axis, inside the LV
RV_WIDEST = 0.66  # level at which the RV is widest, from its apex to the tricuspid plane


@dataclass(frozen=True)
class Heart:
    """One patient's heart: lengths in mm, angles in radians, fractions of 1.

    The first block is sampled; ``lv_fractional_shortening``, ``rv_width`` and ``rv_shortening`` are
    solved so that the volumes meet their targets.
    """

    lv_radius: float
    lv_length: float
    wall: float
    septal_gain: float
    septal_angle: float
    scar_severity: float
    scar_angle: float
    scar_half_width: float
    scar_low: float
    scar_high: float
    scar_thinning: float
    lv_long_shortening: float
    lv_fractional_shortening: float
    rv_width: float
    rv_height: float
    rv_shortening: float
    tapse: float
    la_radius: float
    la_half_length: float
    la_emptying: float
    ra_radius: float
    aorta_radius: float
    papillary_radius: float
    effusion: float
    effusion_angle: float
    fat: float
    fat_angle: float


class AngleTerms(NamedTuple):
    """What depends on the angle alone, computed once for a plane: arrays of one shape."""

    septal: np.ndarray
    scar: np.ndarray


def angle_terms(heart: Heart, cos: np.ndarray, sin: np.ndarray) -> AngleTerms:
    """Septal bulge and scar territory at the angles with these cosines and sines."""
    septal = np.exp(2.2 * (alignment(heart.septal_angle, cos, sin) - 1.0))
    edge = float(np.cos(heart.scar_half_width))
    scar = smoothstep((alignment(heart.scar_angle, cos, sin) - edge) / 0.35 + 0.5)
    return AngleTerms(septal, scar)


def alignment(angle: float, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Cosine of the angle between ``angle`` and the angles with these cosines and sines."""
    return cos * float(np.cos(angle)) + sin * float(np.sin(angle))


def lv_stretch(heart: Heart, c):
    """Length of the LV at contraction ``c`` as a fraction of its length at end-diastole."""
    return 1.0 - heart.lv_long_shortening * c


def lv_base(heart: Heart, c):
    """Position w of the mitral plane; the apex stays where it is."""
    return -heart.lv_long_shortening * heart.lv_length * c


def rv_base(heart: Heart, c):
    """Position w of the tricuspid plane."""
    return RV_BASE_MM - heart.tapse * c


def lv_level(heart: Heart, w, c):
    """Material level: 0 at the endocardial apex, 1 at the mitral plane."""
    return (w + heart.lv_length) / (lv_stretch(heart, c) * heart.lv_length)


def scar_at(heart: Heart, terms: AngleTerms, level):
    """Loss of motion: 0 moves as its neighbours do, 1 stands still, above 1 bulges outwards."""
    if heart.scar_severity == 0.0:
        return np.float32(0.0)
    along = smoothstep((level - heart.scar_low) / 0.15 + 0.5) * smoothstep(
        (heart.scar_high - level) / 0.15 + 0.5
    )
    return heart.scar_severity * terms.scar * along


def lv_radii(heart: Heart, terms: AngleTerms, level, c) -> tuple[np.ndarray, np.ndarray]:
    """Endocardial and epicardial distance from the LV axis.

    The wall keeps its volume: what the endocardium moves inwards and the ventricle shortens comes
    back as thickening. A scar neither moves nor thickens.

    Args:
        heart: the patient.
        terms: from `angle_terms`.
        level: material level, broadcastable with ``terms``; above 1 it counts as 1.
        c: contraction, broadcastable too.

    Returns:
        Two arrays in mm; zero where the level lies beyond the apex.
    """
    level = np.minimum(level, 1.0)
    scar = scar_at(heart, terms, level)
    thickness = heart.wall * (1.0 + heart.septal_gain * terms.septal)
    thickness = thickness * (1.0 - heart.scar_thinning * scar)
    stretch = lv_stretch(heart, c)
    stretch = stretch + (1.0 - stretch) * np.minimum(scar, 1.0)
    return _contracted(heart, level, thickness, 1.0 - scar, stretch, c)


def mean_lv_radii(heart: Heart, level, c) -> tuple[np.ndarray, np.ndarray]:
    """`lv_radii` of a wall without bulge or scar: the scaffold of the RV and the papillaries."""
    level = np.minimum(level, 1.0)
    return _contracted(heart, level, heart.wall, 1.0, lv_stretch(heart, c), c)


def _contracted(heart, level, thickness, moving, stretch, c):
    half_axis = heart.lv_length / (1.0 + KAPPA)
    s = level * (1.0 + KAPPA) - 1.0
    s_outer = s * (half_axis / (half_axis + 0.7 * heart.wall))
    endo = heart.lv_radius**2 * np.maximum(1.0 - s * s, 0.0)
    epi = (heart.lv_radius + thickness) ** 2 * np.maximum(1.0 - s_outer * s_outer, 0.0)
    inner = endo * (1.0 - heart.lv_fractional_shortening * c * moving) ** 2
    return np.sqrt(inner), np.sqrt(inner + (epi - endo) / stretch)


class Ellipse(NamedTuple):
    """An ellipse across the LV axis: centre and half-widths in mm, and how open the RV is there."""

    centre_u: np.ndarray
    centre_v: np.ndarray
    half_u: np.ndarray
    half_v: np.ndarray
    opening: np.ndarray


def rv_ellipse(heart: Heart, w, c) -> Ellipse:
    """The RV's inner surface at position ``w``: the cavity is this ellipse less the LV."""
    apex = -RV_APEX * heart.lv_length
    up = np.clip((w - apex) / (rv_base(heart, c) - apex), 0.0, 1.0)
    opening = (1.0 - ((up - RV_WIDEST) / RV_WIDEST) ** 2) ** 0.55
    _, epi = mean_lv_radii(heart, lv_level(heart, w, c), c)
    squeeze = heart.rv_shortening * c
    left = epi + heart.rv_width * opening * (1.0 - squeeze)
    right = -RV_REACH * epi
    half_v = epi * heart.rv_height * (0.4 + 0.6 * opening) * (1.0 - 0.3 * squeeze)
    half_u = np.maximum(0.5 * (left - right), 1.0)
    return Ellipse(-0.5 * (left + right), 0.08 * epi, half_u, np.maximum(half_v, 1.0), opening)


def atrium_scale(heart: Heart, c):
    """Radial size of an atrium relative to its largest, which it has at the LV's end-systole."""
    return 1.0 - heart.la_emptying * (1.0 - c)


def la_half_length(heart: Heart, c):
    """Axial half-length of the left atrium: its roof stands still, the mitral plane moves."""
    descent = lv_base(heart, c) - lv_base(heart, 1.0)
    return heart.la_half_length - descent / (1.0 + ATRIUM_KAPPA)
