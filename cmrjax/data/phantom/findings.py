"""Labels: the findings a heart's true volumes and thicknesses amount to, at cited cut-offs."""

from dataclasses import dataclass

import numpy as np

from cmrjax.data.phantom.anatomy import Patient, sample_patient
from cmrjax.data.phantom.measure import (
    la_volume_ml,
    lv_mass_g,
    lv_volume_ml,
    rv_volume_ml,
    segment_motion_loss,
    wall_thickness_mm,
)

FINDINGS = (
    "normal",
    "lv_dilation",
    "reduced_lvef",
    "asymmetric_septal_hypertrophy",
    "concentric_hypertrophy",
    "regional_akinesia",
    "rv_dilation",
    "rv_dysfunction",
    "la_dilation",
    "pericardial_effusion",
)

# Volumes: mean + 2 SD of healthy men and of women (Hudsmith et al., JCMR 2005), the middle of the
# two, rounded; the phantom has no sex. LVEF: mean - 2 SD of men (48) and women (51), Petersen et
# al., JCMR 2017. RVEF: between the healthy limit and the 40 % of Bernard et al., IEEE TMI 2018.
# Septum 15 mm: AHA/ACC guideline on hypertrophic cardiomyopathy 2020, with the usual septal to
# lateral ratio of 1.3. Concentric 12 mm: above the men's limit of Lang et al., JASE 2015.
# Fluid 4 mm: Bogaert and Francone, JCMR 2009. Akinesia: two of the 16 segments of Cerqueira et al.,
# Circulation 2002, that have lost 60 % of their motion.
CUTOFFS = {
    "lvedv_ml": 200.0,
    "lvef": 50.0,
    "septum_mm": 15.0,
    "septal_ratio": 1.3,
    "mean_wall_mm": 12.0,
    "akinetic_segments": 2,
    "segment_loss": 0.6,
    "rvedv_ml": 235.0,
    "rvef": 45.0,
    "la_max_ml": 145.0,
    "effusion_mm": 4.0,
}
# A value within this share of its cut-off is borderline, and a reader may hedge.
BORDERLINE = 0.06


@dataclass(frozen=True)
class Truth:
    """A patient and every number behind its labels: ml, mm, g and percent."""

    seed: int
    index: int
    patient: Patient
    lvedv_ml: float
    lvesv_ml: float
    lvef: float
    rvedv_ml: float
    rvesv_ml: float
    rvef: float
    lv_mass_g: float
    septum_mm: float
    septal_ratio: float
    mean_wall_mm: float
    akinetic_segments: int
    la_max_ml: float
    effusion_mm: float

    @property
    def labels(self) -> dict[str, int]:
        """0 or 1 for each of `FINDINGS`."""
        found = _findings(self)
        return {"normal": int(not any(found.values())), **{k: int(v) for k, v in found.items()}}


def truth(seed: int, index: int) -> Truth:
    """Draws patient ``index`` of a seed and measures it; pure, and cheap (about 6 ms)."""
    patient = sample_patient(np.random.default_rng([seed, index, 0]))
    heart = patient.heart
    edv, esv = lv_volume_ml(heart, 0.0), lv_volume_ml(heart, 1.0)
    rvedv, rvesv = rv_volume_ml(heart, 0.0), rv_volume_ml(heart, 1.0)
    thickness = wall_thickness_mm(heart)
    around = thickness.mean(axis=0)
    septum = float(around.max())
    return Truth(
        seed=seed,
        index=index,
        patient=patient,
        lvedv_ml=edv,
        lvesv_ml=esv,
        lvef=100.0 * (1.0 - esv / edv),
        rvedv_ml=rvedv,
        rvesv_ml=rvesv,
        rvef=100.0 * (1.0 - rvesv / rvedv),
        lv_mass_g=lv_mass_g(heart),
        septum_mm=septum,
        septal_ratio=septum / float(np.median(around[:12])),  # lateral to inferolateral
        mean_wall_mm=float(np.median(around)),
        akinetic_segments=int((segment_motion_loss(heart) > CUTOFFS["segment_loss"]).sum()),
        la_max_ml=la_volume_ml(heart, 1.0),
        effusion_mm=heart.effusion,
    )


def _findings(t: Truth) -> dict[str, bool]:
    asymmetric = t.septum_mm >= CUTOFFS["septum_mm"] and t.septal_ratio >= CUTOFFS["septal_ratio"]
    return {
        "lv_dilation": t.lvedv_ml > CUTOFFS["lvedv_ml"],
        "reduced_lvef": t.lvef < CUTOFFS["lvef"],
        "asymmetric_septal_hypertrophy": asymmetric,
        "concentric_hypertrophy": t.mean_wall_mm >= CUTOFFS["mean_wall_mm"] and not asymmetric,
        "regional_akinesia": t.akinetic_segments >= CUTOFFS["akinetic_segments"],
        "rv_dilation": t.rvedv_ml > CUTOFFS["rvedv_ml"],
        "rv_dysfunction": t.rvef < CUTOFFS["rvef"],
        "la_dilation": t.la_max_ml > CUTOFFS["la_max_ml"],
        "pericardial_effusion": t.effusion_mm > CUTOFFS["effusion_mm"],
    }


# Numbers whose distance from the cut-off says how far gone a finding is, and whether it is above
# (+1) or below (-1) the cut-off that it counts; what is left of the scale is one severity unit.
SEVERITY = {
    "lv_dilation": ("lvedv_ml", 1, 0.25),
    "reduced_lvef": ("lvef", -1, 0.25),
    "asymmetric_septal_hypertrophy": ("septum_mm", 1, 0.28),
    "concentric_hypertrophy": ("mean_wall_mm", 1, 0.17),
    "rv_dilation": ("rvedv_ml", 1, 0.18),
    "rv_dysfunction": ("rvef", -1, 0.2),
    "la_dilation": ("la_max_ml", 1, 0.28),
    "pericardial_effusion": ("effusion_mm", 1, 1.4),
}


def severity(t: Truth, finding: str) -> float:
    """How far gone: 0 to 1 mild, to 2 moderate, above severe; negative on the normal side."""
    number, sign, unit = SEVERITY[finding]
    return sign * (getattr(t, number) / CUTOFFS[number] - 1.0) / unit


def is_borderline(t: Truth, finding: str) -> bool:
    """Whether the number behind a finding lies so close to its cut-off that a reader may hedge."""
    if finding not in SEVERITY:
        return False
    number = SEVERITY[finding][0]
    margin = 0.3 if finding == "pericardial_effusion" else BORDERLINE
    return abs(getattr(t, number) / CUTOFFS[number] - 1.0) < margin
