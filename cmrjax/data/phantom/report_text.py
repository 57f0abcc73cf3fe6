"""Free-text reports about phantom patients, from finite sets of wordings."""

import numpy as np

from cmrjax.data.phantom.findings import FINDINGS, Truth, is_borderline, severity
from cmrjax.data.phantom.templates import (
    ABNORMAL_IMPRESSION,
    BOTH_VENTRICLES_NORMAL,
    DEGREES,
    HISTORY,
    IRRELEVANT,
    NORMAL_IMPRESSION,
    NUMBERS_ONLY,
    RECOMMENDATIONS,
    REGIONS,
    SIZES,
    TECHNIQUE,
    WORDINGS,
)

MENTION_PRESENT = 0.88  # chance that a finding is mentioned at all
MENTION_ABSENT = 0.50  # chance that its absence is
HEDGE = 0.5  # chance of a hedge where a number is borderline
VENTRICLES = ("lv_dilation", "reduced_lvef", "rv_dilation", "rv_dysfunction")


def write_report(truth: Truth) -> str:
    """A report about a patient; it depends on the truth's seed and index alone.

    Args:
        truth: the patient. Labels decide what is said, and measured numbers carry reader's noise.

    Returns:
        Text with the sections HISTORY, TECHNIQUE, FINDINGS and IMPRESSION; no names or dates.
    """
    rng = np.random.default_rng([truth.seed, truth.index, 5])
    slots = _slots(truth, rng)
    findings, impression = _statements(truth, rng, slots)
    findings += [_fill(w, slots) for w in _some(rng, NUMBERS_ONLY, 0.25, most=1)]
    findings += _some(rng, IRRELEVANT, 0.13, most=4)
    rng.shuffle(findings)
    impression += _some(rng, RECOMMENDATIONS, 0.1, most=1)
    parts = [
        f"TECHNIQUE: {_pick(rng, TECHNIQUE)}",
        f"FINDINGS: {' '.join(findings)}",
        f"IMPRESSION: {' '.join(impression)}",
    ]
    if rng.random() < 0.85:
        parts.insert(0, f"HISTORY: {_pick(rng, HISTORY)}")
    return "\n".join(parts)


def _statements(truth: Truth, rng, slots: dict[str, str]) -> tuple[list[str], list[str]]:
    """What is said of each finding, in the findings and in the impression."""
    labels = truth.labels
    findings, impression = [], []
    joint = not any(labels[name] for name in VENTRICLES) and rng.random() < 0.2
    if joint:
        findings.append(_pick(rng, BOTH_VENTRICLES_NORMAL))
    for name in FINDINGS[1:]:
        wordings, slots_now = WORDINGS[name], {**slots, **_degree(truth, name, rng)}
        hedged = _hedgeable(truth, name) and rng.random() < HEDGE
        if not labels[name]:
            if not (joint and name in VENTRICLES) and rng.random() < MENTION_ABSENT:
                findings.append(_say(rng, wordings["maybe_not" if hedged else "negative"], slots))
        elif rng.random() < MENTION_PRESENT:
            in_impression = rng.random() < 0.6
            if not in_impression or rng.random() < 0.8:
                key = "maybe" if hedged else "positive"
                findings.append(_say(rng, wordings[key], slots_now))
            if in_impression:
                key = "maybe" if hedged else "impression"
                impression.append(_say(rng, wordings[key], slots_now))
    if labels["normal"]:
        impression.append(_pick(rng, NORMAL_IMPRESSION))
    elif not impression or rng.random() < 0.35:
        impression.insert(0, _pick(rng, ABNORMAL_IMPRESSION))
    return findings, impression


def _hedgeable(truth: Truth, name: str) -> bool:
    if name == "regional_akinesia":
        scarred = truth.patient.territory != "none"
        return scarred and truth.akinetic_segments <= 2
    return is_borderline(truth, name)


def _slots(truth: Truth, rng) -> dict[str, str]:
    """Numbers as a reader would measure them: 3 % off, thicknesses half a millimetre."""

    def volume(value: float) -> str:
        return str(round(value * (1.0 + 0.03 * rng.standard_normal())))

    def percent(value: float) -> str:
        return str(round(value + 1.2 * rng.standard_normal()))

    def length(value: float) -> str:
        return str(max(1, round(value + 0.5 * rng.standard_normal())))

    artery = truth.patient.territory
    return {
        "edv": volume(truth.lvedv_ml),
        "esv": volume(truth.lvesv_ml),
        "ef": percent(truth.lvef),
        "rvedv": volume(truth.rvedv_ml),
        "rvef": percent(truth.rvef),
        "septum": length(truth.septum_mm),
        "wall": length(truth.mean_wall_mm),
        "la": volume(truth.la_max_ml),
        "fluid": length(truth.effusion_mm),
        "region": _pick(rng, REGIONS[artery]),
        "artery": artery,
    }


def _degree(truth: Truth, name: str, rng) -> dict[str, str]:
    """Words for how far gone a finding is; readers differ a little about it."""
    if name == "regional_akinesia":
        return {}
    step = int(np.clip(severity(truth, name) + 0.12 * rng.standard_normal(), 0, 2.99))
    degree, size = DEGREES[step], SIZES[step]
    ly = f"{degree}ly"
    return {
        "degree": degree,
        "Degree": degree.capitalize(),
        "ly": ly,
        "Ly": ly.capitalize(),
        "size": size,
        "Size": size.capitalize(),
    }


def _say(rng, wordings: tuple[str, ...], slots: dict[str, str]) -> str:
    return _fill(_pick(rng, wordings), slots)


def _fill(wording: str, slots: dict[str, str]) -> str:
    return wording.format_map(slots)


def _pick(rng, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _some(rng, choices: tuple[str, ...], chance: float, *, most: int) -> list[str]:
    taken = [choice for choice in choices if rng.random() < chance]
    return taken[:most]
