"""Report text for ACDC, made from the group and the masks' measurements.

It is text made from labels: good for exercising a two-tower model on real hearts, never evidence
of what reading real reports would give.
"""

from collections.abc import Mapping, Sequence

# For each group: wordings of its finding on the left ventricle, the right, and its conclusion.
_LEFT: dict[str, Sequence[str]] = {
    "NOR": (
        "Normal left ventricular size and wall thickness.",
        "The left ventricle is not dilated and its walls are of normal thickness.",
        "Left ventricular cavity size is within normal limits.",
    ),
    "DCM": (
        "The left ventricle is severely dilated with global hypokinesia.",
        "Marked dilation of the left ventricle with diffusely reduced contraction.",
        "Dilated, globular left ventricle; all segments contract poorly.",
    ),
    "HCM": (
        "The left ventricular wall is markedly thickened and the cavity is small in systole.",
        "Left ventricular hypertrophy with wall thickness above 15 mm.",
        "Thick myocardium with near-complete emptying of the cavity in systole.",
    ),
    "MINF": (
        "Several neighbouring segments of the left ventricle are akinetic and thinned.",
        "Regional wall motion abnormality in a coronary territory.",
        "Regional akinesia of the left ventricle with thinning of the wall.",
    ),
    "RV": (
        "The left ventricle is of normal size.",
        "No dilation or hypertrophy of the left ventricle.",
        "Left ventricular size and contraction are preserved.",
    ),
}
_RIGHT: dict[str, Sequence[str]] = {
    "RV": (
        "The right ventricle is dilated.",
        "Enlarged right ventricle with impaired contraction.",
        "Dilation of the right ventricle with flattening of the septum.",
    ),
    "": (
        "The right ventricle is not dilated.",
        "Right ventricular size is unremarkable.",
        "No abnormality of the right ventricle is seen.",
    ),
}
_IMPRESSION: dict[str, Sequence[str]] = {
    "NOR": (
        "Normal cardiac volumes and function.",
        "No evidence of structural heart disease.",
        "Normal study.",
    ),
    "DCM": (
        "Appearances of dilated cardiomyopathy.",
        "Dilated cardiomyopathy with severe systolic dysfunction.",
        "Findings in keeping with a dilated cardiomyopathy.",
    ),
    "HCM": (
        "Appearances of hypertrophic cardiomyopathy.",
        "Hypertrophic cardiomyopathy with preserved ejection fraction.",
        "Findings in keeping with hypertrophic cardiomyopathy.",
    ),
    "MINF": (
        "Appearances of previous myocardial infarction with reduced systolic function.",
        "Ischaemic heart disease with a prior infarct.",
        "Findings in keeping with an old myocardial infarction.",
    ),
    "RV": (
        "Right ventricular enlargement and dysfunction.",
        "Abnormal right ventricle.",
        "Findings in keeping with a right ventricular abnormality.",
    ),
}


def _function(side: str, ef: float, wording: int) -> str:
    cuts = ((35, "severely reduced"), (45, "moderately reduced"), (52, "mildly reduced"))
    grade = next((word for cut, word in cuts if ef < cut), "normal")
    forms = (
        f"{side} systolic function is {grade}, ejection fraction {ef:.0f} %.",
        f"{side} ejection fraction of {ef:.0f} %, which is {grade}.",
        f"The {side.lower()} ejection fraction measures {ef:.0f} % ({grade}).",
    )
    return forms[wording]


def write_report(group: str, measured: Mapping[str, float], *, variant: int) -> str:
    """A short report.

    Args:
        group: one of ACDC's five groups.
        measured: 'lvedv_ml', 'lvesv_ml', 'lvef', 'rvedv_ml', 'rvef' (percent), 'lv_mass_g'.
        variant: chooses the wordings; the same number gives the same text.
    """
    # Digits of the number in base 3, so that the sentences vary apart from each other.
    pick = [variant // 3**i % 3 for i in range(5)]
    m = measured
    volumes = (
        f"LV end-diastolic volume {m['lvedv_ml']:.0f} ml, end-systolic {m['lvesv_ml']:.0f} ml.",
        f"LV volumes: EDV {m['lvedv_ml']:.0f} ml, ESV {m['lvesv_ml']:.0f} ml.",
        f"The LV holds {m['lvedv_ml']:.0f} ml in diastole and {m['lvesv_ml']:.0f} ml in systole.",
    )
    right = _RIGHT.get(group, _RIGHT[""])
    findings = [
        _LEFT[group][pick[0]],
        volumes[pick[1]],
        _function("Left ventricular", m["lvef"], pick[2]),
        f"LV mass {m['lv_mass_g']:.0f} g.",
        right[pick[3]],
        f"RV end-diastolic volume {m['rvedv_ml']:.0f} ml.",
        _function("Right ventricular", m["rvef"], pick[4]),
    ]
    return f"Findings: {' '.join(findings)}\nImpression: {_IMPRESSION[group][pick[1]]}"
