"""Patients: what is drawn for each, from group distributions.

Group means and spreads follow the ACDC training set (Bernard et al., IEEE TMI 2018: DCM EDV 284 +-
51 ml and EF .2, HCM mass 181 +- 49 g and EF .7, MINF EF .3, RV group RVEDV 197 +- 53 ml) and, for
the healthy, Hudsmith et al., JCMR 2005 (LVEDV 160 +- 29 and 135 +- 26 ml, RVEDV 190 +- 33 and 148
+- 35 ml, largest LA volume 103 +- 30 and 89 +- 21 ml for men and women). About a quarter of every
pathology is drawn around its cut-off (`findings.CUTOFFS`), so that borderline cases exist.
"""

import dataclasses

import numpy as np

from cmrjax.data.phantom.geometry import ATRIUM_KAPPA, KAPPA, Heart
from cmrjax.data.phantom.measure import solve

LV_SHAPE = (2 / 3 + KAPPA - KAPPA**3 / 3) / (1 + KAPPA)  # volume / (pi radius^2 length)
NEAR = 0.25  # share of a pathology's cases that is drawn around the cut-off

# Chance of each pathology given the leading disease; "healthy" has none.
GROUPS = ("healthy", "dilated", "ischaemic", "septal", "pressure", "right", "valve", "pericardial")
GROUP_WEIGHTS = (0.17, 0.08, 0.16, 0.18, 0.15, 0.13, 0.06, 0.07)
PATHOLOGIES = (
    "lv_dilation",
    "reduced_lvef",
    "septal_hypertrophy",
    "concentric_hypertrophy",
    "scar",
    "rv_dilation",
    "rv_dysfunction",
    "la_dilation",
    "effusion",
)
CHANCES = {
    "healthy": (0, 0, 0, 0, 0, 0, 0, 0, 0),
    "dilated": (0.95, 0.95, 0.00, 0.02, 0.05, 0.35, 0.45, 0.45, 0.20),
    "ischaemic": (0.35, 0.55, 0.05, 0.08, 1.00, 0.12, 0.20, 0.20, 0.22),
    "septal": (0.03, 0.10, 1.00, 0.00, 0.05, 0.08, 0.10, 0.35, 0.15),
    "pressure": (0.08, 0.20, 0.00, 1.00, 0.08, 0.15, 0.15, 0.35, 0.22),
    "right": (0.05, 0.12, 0.06, 0.12, 0.04, 0.95, 0.70, 0.15, 0.25),
    "valve": (0.95, 0.20, 0.02, 0.20, 0.05, 0.25, 0.15, 0.75, 0.15),
    "pericardial": (0.05, 0.10, 0.05, 0.14, 0.12, 0.12, 0.15, 0.12, 1.00),
}
# Territories: angle of the centre, half-width, lowest and highest level (Cerqueira 2002).
TERRITORIES = {
    "LAD": (-2.25, 1.15, -0.2, 0.72),
    "RCA": (1.75, 0.85, 0.12, 1.1),
    "LCx": (0.35, 0.95, 0.12, 1.1),
}


@dataclasses.dataclass(frozen=True)
class Patient:
    """A sampled patient: the heart, and what the label of a scar needs a name for."""

    heart: Heart
    group: str
    territory: str
    body_scale: float


def sample_patient(rng: np.random.Generator) -> Patient:
    """Draws a patient; every number comes from ``rng``, so a seed fixes it."""
    group = GROUPS[int(rng.choice(len(GROUPS), p=GROUP_WEIGHTS))]
    has = {
        name: bool(rng.random() < p) for name, p in zip(PATHOLOGIES, CHANCES[group], strict=True)
    }
    edv = _beyond(rng, 200, 0.06, 0.12, 0.75) if has["lv_dilation"] else _normal(rng, 142, 24, 196)
    lvef = _lvef(rng, has)
    wall, gain = _wall(rng, has)
    territory, scar = _scar(rng, has["scar"])
    sphericity = rng.normal(3.35 - 0.5 * has["lv_dilation"], 0.14)
    radius = float((edv * 1000.0 / (np.pi * LV_SHAPE * sphericity)) ** (1 / 3))
    rvedv = _beyond(rng, 235, 0.06, 0.10, 0.6) if has["rv_dilation"] else _normal(rng, 165, 26, 229)
    rvef = 0.45 - _excess(rng, 0.025, 0.07, 0.29) if has["rv_dysfunction"] else None
    rvef = float(np.clip(rng.normal(0.58, 0.05), 0.46, 0.72)) if rvef is None else rvef
    la = _beyond(rng, 145, 0.06, 0.15, 0.9) if has["la_dilation"] else _normal(rng, 88, 20, 139)
    la_radius = float((la * 1000.0 / (np.pi * _la_shape() * 1.12)) ** (1 / 3))
    effusion = 4.0 + _excess(rng, 1.0, 2.0, 12.0) if has["effusion"] else rng.uniform(0.0, 2.6)
    heart = Heart(
        lv_radius=radius,
        lv_length=float(sphericity * radius),
        wall=wall,
        septal_gain=gain,
        septal_angle=float(np.pi + rng.normal(0.25, 0.2)),
        **scar,
        lv_long_shortening=0.03 + 0.21 * lvef,
        lv_fractional_shortening=0.0,
        rv_width=0.0,
        rv_height=float(
            np.clip(1.15 + 0.18 * (rvedv - 165) / 165, 1.05, 1.35) + rng.normal(0, 0.02)
        ),
        rv_shortening=0.0,
        tapse=float(0.5 + 33.0 * rvef + rng.normal(0, 1.0)),
        la_radius=la_radius,
        la_half_length=1.12 * la_radius,
        la_emptying=float(np.clip(rng.normal(0.19, 0.03), 0.08, 0.26)),
        ra_radius=float(np.clip(rng.normal(24, 1.6) * (rvedv / 165) ** (1 / 4), 19, 33)),
        aorta_radius=float(rng.normal(14.5, 1.3)),
        papillary_radius=float(rng.normal(5.0, 0.5)),
        effusion=float(effusion),
        effusion_angle=float(rng.normal(0.8, 0.5)),
        fat=float(rng.uniform(1.0, 3.8)),
        fat_angle=float(rng.normal(-2.4, 0.5)),
    )
    heart = solve(heart, lvef=lvef, rvedv_ml=rvedv, rvef=rvef)
    return Patient(heart, group, territory, float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.14)))


def _la_shape() -> float:
    return 2 / 3 + ATRIUM_KAPPA - ATRIUM_KAPPA**3 / 3


def _excess(rng: np.random.Generator, near: float, low: float, high: float) -> float:
    """How far beyond a cut-off: a quarter within +-near, the rest in low..high."""
    if rng.random() < NEAR:
        return float(rng.uniform(-near, near))
    return float(low + (high - low) * rng.beta(1.3, 1.7))


def _beyond(rng, cutoff: float, near: float, low: float, high: float) -> float:
    return cutoff * (1.0 + _excess(rng, near, low, high))


def _normal(rng, mean: float, spread: float, top: float) -> float:
    return float(np.clip(rng.normal(mean, spread), mean - 2.2 * spread, top))


def _lvef(rng, has: dict[str, bool]) -> float:
    if has["reduced_lvef"]:
        return 0.50 - _excess(rng, 0.03, 0.06, 0.34)
    hyperdynamic = 0.05 * (has["septal_hypertrophy"] or has["concentric_hypertrophy"])
    return float(np.clip(rng.normal(0.61 + hyperdynamic, 0.05), 0.51, 0.76))


def _wall(rng, has: dict[str, bool]) -> tuple[float, float]:
    """Thickness of the wall away from the septum, and the septum's gain over it."""
    wall = _normal(rng, 8.0, 0.9, 10.4)
    gain = float(rng.uniform(0.0, 0.14))
    if has["concentric_hypertrophy"]:
        wall = 12.0 + _excess(rng, 0.6, 1.0, 6.0)
        gain = float(rng.uniform(0.0, 0.08))
    elif has["septal_hypertrophy"]:
        wall = _normal(rng, 9.0, 0.8, 10.6)
        gain = (15.0 + _excess(rng, 1.2, 2.0, 12.0)) / wall - 1.0
    return wall, gain


def _scar(rng, present: bool) -> tuple[str, dict[str, float]]:
    names = list(TERRITORIES)
    name = names[int(rng.choice(len(names), p=(0.45, 0.3, 0.25)))]
    angle, half, low, high = TERRITORIES[name]
    size = rng.uniform(0.95, 1.3)
    severity = rng.uniform(0.45, 0.8) if rng.random() < NEAR else rng.uniform(0.85, 1.12)
    scar = {
        "scar_severity": float(severity) * present,
        "scar_angle": float(angle + rng.normal(0, 0.15)),
        "scar_half_width": float(half * size),
        "scar_low": low,
        "scar_high": high,
        "scar_thinning": float(rng.uniform(0.3, 0.55)) * present,
    }
    return (name if present else "none"), scar
