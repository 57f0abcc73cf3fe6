"""Wordings of the phantom's reports: data for `report_text`.

Slots: {degree} mild/moderate/severe, {ly} mildly/moderately/severely, {edv} {esv} {ef} {rvedv}
{rvef} {septum} {wall} {la} {fluid} measured numbers, {region} a wall, {artery} a territory.
"""

# Per finding: said of it when present, when absent, when close to the cut-off on either side, and
# when present in the impression.
WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "lv_dilation": {
        "positive": (
            "The left ventricle is {ly} dilated, EDV {edv} ml.",
            "{Ly} dilated left ventricle.",
            "{Degree} left ventricular dilatation with an end-diastolic volume of {edv} ml.",
            "LV cavity size is {ly} increased.",
            "Enlarged LV, LVEDV {edv} ml.",
        ),
        "negative": (
            "The left ventricle is of normal size.",
            "Normal LV cavity size.",
            "No left ventricular dilatation.",
            "LV volumes are within normal limits (EDV {edv} ml).",
        ),
        "maybe": (
            "Borderline left ventricular dilatation.",
            "Possible mild LV dilatation, EDV {edv} ml.",
        ),
        "maybe_not": (
            "LV cavity size is at the upper limit of normal.",
            "LV volume is high normal, without definite dilatation.",
        ),
        "impression": (
            "{Ly} dilated LV.",
            "Dilated left ventricle.",
            "{Degree} LV dilatation.",
        ),
    },
    "reduced_lvef": {
        "positive": (
            "{Ly} reduced LV systolic function, LVEF {ef} %.",
            "Left ventricular ejection fraction is {ly} reduced at {ef} %.",
            "{Degree} impairment of left ventricular systolic function.",
            "Global LV systolic function is {ly} impaired (EF {ef} %).",
            "LV systolic dysfunction with an ejection fraction of {ef} %.",
        ),
        "negative": (
            "Normal LV systolic function, LVEF {ef} %.",
            "Left ventricular ejection fraction is preserved at {ef} %.",
            "LV systolic function is normal.",
            "No impairment of left ventricular systolic function.",
        ),
        "maybe": (
            "Borderline LV systolic function, LVEF {ef} %.",
            "Possibly mildly reduced LV ejection fraction.",
        ),
        "maybe_not": (
            "Low normal LV systolic function, LVEF {ef} %.",
            "LV ejection fraction is at the lower limit of normal.",
        ),
        "impression": (
            "{Ly} reduced LV ejection fraction.",
            "{Degree} LV systolic dysfunction.",
            "Impaired LV systolic function, LVEF {ef} %.",
        ),
    },
    "asymmetric_septal_hypertrophy": {
        "positive": (
            "Asymmetric septal hypertrophy, maximal thickness {septum} mm.",
            "The interventricular septum is {ly} and asymmetrically thickened, up to {septum} mm.",
            "There is asymmetric hypertrophy of the septum.",
            "{Degree} asymmetric thickening of the interventricular septum.",
            "Septal wall thickness of {septum} mm, out of proportion to the lateral wall.",
        ),
        "negative": (
            "No asymmetric septal hypertrophy.",
            "The septum is not asymmetrically thickened.",
            "No disproportionate septal thickening.",
        ),
        "maybe": (
            "Borderline asymmetric septal thickness, {septum} mm.",
            "Possible mild asymmetric septal hypertrophy.",
        ),
        "maybe_not": (
            "Septal thickness of {septum} mm, below the threshold for hypertrophic cardiomyopathy.",
            "Slightly prominent septum without definite asymmetric hypertrophy.",
        ),
        "impression": (
            "Asymmetric septal hypertrophy, in keeping with hypertrophic cardiomyopathy.",
            "Features of hypertrophic cardiomyopathy with septal predominance.",
            "{Degree} asymmetric septal hypertrophy.",
        ),
    },
    "concentric_hypertrophy": {
        "positive": (
            "{Degree} concentric left ventricular hypertrophy.",
            "Concentric LV hypertrophy with a wall thickness of {wall} mm.",
            "The LV walls are {ly} and uniformly thickened, {wall} mm.",
            "There is concentric thickening of the LV myocardium.",
            "Increased wall thickness throughout the left ventricle.",
        ),
        "negative": (
            "No concentric LV hypertrophy.",
            "No concentric thickening of the left ventricular wall.",
            "The LV wall is not concentrically thickened.",
        ),
        "maybe": (
            "Borderline concentric LV hypertrophy, {wall} mm.",
            "Possible mild concentric thickening of the LV wall.",
        ),
        "maybe_not": (
            "Wall thickness is at the upper limit of normal.",
            "LV wall thickness of {wall} mm, high normal.",
        ),
        "impression": (
            "Concentric left ventricular hypertrophy.",
            "{Degree} concentric LVH.",
            "Concentric LVH, suggestive of pressure overload.",
        ),
    },
    "regional_akinesia": {
        "positive": (
            "Akinesia and thinning of the {region}.",
            "The {region} is thinned and akinetic.",
            "Regional wall motion abnormality with akinesia in the {artery} territory.",
            "There is akinesia of the {region} in keeping with previous infarction.",
            "Absent systolic thickening of the {region}.",
        ),
        "negative": (
            "No regional wall motion abnormality.",
            "No regional akinesia.",
            "Wall motion is uniform without akinetic segments.",
            "No regional thinning or akinesia.",
        ),
        "maybe": (
            "Possible akinesia of the {region}.",
            "Probable regional wall motion abnormality in the {artery} territory.",
        ),
        "maybe_not": (
            "Hypokinesia of the {region} without akinesia.",
            "Mildly reduced motion of the {region}, no akinetic segments.",
        ),
        "impression": (
            "Regional akinesia in the {artery} territory.",
            "Ischaemic scar with akinesia of the {region}.",
            "Regional wall motion abnormality, previous {artery} infarct.",
        ),
    },
    "rv_dilation": {
        "positive": (
            "The right ventricle is {ly} dilated, EDV {rvedv} ml.",
            "{Ly} dilated right ventricle.",
            "{Degree} right ventricular dilatation.",
            "RV cavity size is {ly} increased.",
            "Enlarged RV with an end-diastolic volume of {rvedv} ml.",
        ),
        "negative": (
            "The right ventricle is of normal size.",
            "Normal RV cavity size.",
            "No right ventricular dilatation.",
            "RV volumes are within normal limits.",
        ),
        "maybe": (
            "Borderline right ventricular dilatation.",
            "Possible mild RV dilatation, EDV {rvedv} ml.",
        ),
        "maybe_not": (
            "RV size is at the upper limit of normal.",
            "RV volume is high normal, without definite dilatation.",
        ),
        "impression": (
            "{Ly} dilated RV.",
            "Dilated right ventricle.",
            "{Degree} RV dilatation.",
        ),
    },
    "rv_dysfunction": {
        "positive": (
            "{Ly} reduced RV systolic function, RVEF {rvef} %.",
            "Right ventricular ejection fraction is {ly} reduced.",
            "{Degree} impairment of right ventricular systolic function.",
            "RV systolic dysfunction with an ejection fraction of {rvef} %.",
            "Reduced longitudinal motion and ejection fraction of the right ventricle.",
        ),
        "negative": (
            "Normal RV systolic function.",
            "Right ventricular ejection fraction is preserved at {rvef} %.",
            "No right ventricular systolic dysfunction.",
            "RV function is normal.",
        ),
        "maybe": (
            "Borderline RV systolic function, RVEF {rvef} %.",
            "Possibly mildly reduced RV ejection fraction.",
        ),
        "maybe_not": (
            "Low normal RV systolic function, RVEF {rvef} %.",
            "RV ejection fraction is at the lower limit of normal.",
        ),
        "impression": (
            "{Ly} reduced RV ejection fraction.",
            "{Degree} RV systolic dysfunction.",
            "Impaired RV systolic function.",
        ),
    },
    "la_dilation": {
        "positive": (
            "The left atrium is {ly} dilated.",
            "{Ly} dilated left atrium, maximal volume {la} ml.",
            "{Degree} left atrial enlargement.",
            "Left atrial volume is {ly} increased at {la} ml.",
            "Enlarged LA.",
        ),
        "negative": (
            "The left atrium is not dilated.",
            "Normal left atrial size.",
            "No left atrial enlargement.",
            "Both atria are of normal size.",
        ),
        "maybe": (
            "Borderline left atrial enlargement.",
            "Possible mild LA dilatation, {la} ml.",
        ),
        "maybe_not": (
            "Left atrial size is at the upper limit of normal.",
            "LA volume is high normal.",
        ),
        "impression": (
            "{Ly} dilated left atrium.",
            "Left atrial enlargement.",
            "{Degree} LA dilatation.",
        ),
    },
    "pericardial_effusion": {
        "positive": (
            "{Size} pericardial effusion, up to {fluid} mm.",
            "There is a {size} pericardial effusion.",
            "Pericardial fluid measuring {fluid} mm posterolaterally.",
            "{Size} circumferential pericardial effusion without chamber collapse.",
            "Pericardial effusion is present.",
        ),
        "negative": (
            "No pericardial effusion.",
            "The pericardium is unremarkable, no effusion.",
            "There is no pericardial fluid of note.",
            "Pericardium normal without effusion.",
        ),
        "maybe": (
            "Possible trace pericardial effusion.",
            "Borderline amount of pericardial fluid, {fluid} mm.",
        ),
        "maybe_not": (
            "Physiological amount of pericardial fluid.",
            "Minimal pericardial fluid, within normal limits.",
        ),
        "impression": (
            "{Size} pericardial effusion.",
            "Pericardial effusion.",
            "Pericardial effusion of up to {fluid} mm.",
        ),
    },
}

NORMAL_IMPRESSION = (
    "Normal cardiac MRI.",
    "Normal study.",
    "No abnormality on cardiac magnetic resonance imaging.",
    "Structurally and functionally normal heart.",
    "Normal biventricular size and function, normal study.",
)
ABNORMAL_IMPRESSION = ("Abnormal study.", "Abnormal cardiac MRI.", "The heart is not normal.")
BOTH_VENTRICLES_NORMAL = (
    "Normal biventricular size and systolic function.",
    "Both ventricles are of normal size and contract normally.",
)
NUMBERS_ONLY = (
    "LVEDV {edv} ml, LVESV {esv} ml.",
    "Volumetry: LV EDV {edv} ml, ESV {esv} ml, RV EDV {rvedv} ml.",
)

HISTORY = (
    "Chest pain.",
    "Dyspnoea on exertion.",
    "Palpitations, normal coronary angiogram.",
    "Abnormal ECG.",
    "Follow-up after cardiology consultation.",
    "Syncope.",
    "Hypertension.",
    "Assessment of ventricular function requested.",
    "Suspected cardiomyopathy.",
    "Murmur on auscultation.",
    "Family history of heart disease.",
)
TECHNIQUE = (
    "ECG-gated cine bSSFP imaging in short and long axes.",
    "Balanced SSFP cines in standard planes, breath-hold.",
    "Cine imaging of the heart without contrast.",
    "Standard protocol with localisers and cine sequences.",
    "Breath-hold cine MRI. Some respiratory misregistration.",
)
# Said at random: nothing here depends on the heart.
IRRELEVANT = (
    "Image quality is good.",
    "Image quality is mildly degraded by respiratory motion.",
    "Trileaflet aortic valve.",
    "The thoracic aorta is of normal calibre.",
    "No pleural effusion.",
    "Incidental simple hepatic cyst.",
    "The visualised upper abdomen is unremarkable.",
    "Papillary muscles are normally positioned.",
    "No intracardiac mass or thrombus seen.",
    "Sinus rhythm during the examination.",
    "Minor banding artefact at the edge of the field of view.",
    "No significant valvular regurgitation jet on cine images.",
    "Degenerative changes of the thoracic spine.",
)
RECOMMENDATIONS = (
    "Clinical correlation is advised.",
    "Comparison with previous imaging is not possible.",
    "Follow-up as clinically indicated.",
    "Findings were discussed with the referring team.",
)

REGIONS = {
    "LAD": ("anterior and septal wall", "anteroseptal wall", "anterior wall and septum"),
    "RCA": ("inferior wall", "inferior and inferoseptal wall"),
    "LCx": ("lateral wall", "inferolateral wall"),
    "none": ("lateral wall",),
}
DEGREES = ("mild", "moderate", "severe")
SIZES = ("small", "moderate", "large")
