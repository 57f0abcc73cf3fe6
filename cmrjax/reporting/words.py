"""How names and numbers of a run are written for a reader."""

from cmrjax.evals.base import Row

_TASKS = {
    "macro": "Mean over findings (macro)",
    "lvef": "LVEF (%)",
    "rvef": "RVEF (%)",
    "lvedv_ml": "LV end-diastolic volume (ml)",
    "lvesv_ml": "LV end-systolic volume (ml)",
    "rvedv_ml": "RV end-diastolic volume (ml)",
    "rvesv_ml": "RV end-systolic volume (ml)",
    "lv_mass_g": "LV mass (g)",
    "nor": "Normal (NOR)",
    "dcm": "Dilated cardiomyopathy (DCM)",
    "hcm": "Hypertrophic cardiomyopathy (HCM)",
    "minf": "Previous infarction (MINF)",
    "rv": "Abnormal right ventricle (RV)",
    "report_to_study": "Report finds its study",
    "study_to_report": "Study finds its report",
    "report_to_study_or_duplicate": "Report finds its study, or one reported alike",
    "study_to_report_or_duplicate": "Study finds its report, or one that says the same",
    "heart_last_block": "Heart: attention of the last block",
    "heart_rollout": "Heart: attention rollout",
    "heart_gradient": "Heart: gradient times activation",
}
_SHORT = {
    "lvef": ("LVEF", "%"),
    "rvef": ("RVEF", "%"),
    "lvedv_ml": ("LVEDV", "ml"),
    "lvesv_ml": ("LVESV", "ml"),
    "rvedv_ml": ("RVEDV", "ml"),
    "rvesv_ml": ("RVESV", "ml"),
    "lv_mass_g": ("LV mass", "g"),
}
_UPPER = {"lv", "rv", "la", "ra", "lvef", "rvef", "mri", "dcm", "hcm", "minf", "nor"}
_ENCODERS = {
    "checkpoint": "This model",
    "random": "Untrained",
    "pixels_pca": "Pixels + PCA",
    "supervised": "Supervised",
    "centre": "Centre",
    "trivial": "Trivial",
}
ENCODER_ORDER = tuple(_ENCODERS)
ENCODER_MEANING = {
    "checkpoint": "the checkpoint this page is about, frozen",
    "random": "the same network with its initial random weights: what the architecture alone gives",
    "pixels_pca": "principal components of the downsampled pixels, no network",
    "supervised": "the same video network trained on the labels themselves: the ceiling",
    "centre": "of maps: a fixed blot in the middle of the crop, which is made around the heart",
    "trivial": "a constant from the training patients (prevalence or mean): what knowing nothing "
    "of the patient gives",
}
_EVALUATORS = {
    "zero_shot": "Zero-shot",
    "linear_probe": "Linear probe",
    "retrieval": "Retrieval",
    "attention": "Attention maps",
}
EVALUATOR_MEANING = {
    "zero_shot": "Each study is scored by how much closer its embedding lies to sentences that "
    "state a finding than to sentences that deny it. No label was used, not even for a threshold.",
    "linear_probe": "A linear model on the frozen features, fitted to the labels of the training "
    "patients, its penalty chosen on the validation patients, scored on the test patients.",
    "retrieval": "Every report of the test split is searched among the test studies, and the "
    "other way round. Recall at k is the share whose right partner is among the first k.",
    "attention": "How much of each map over the cines lies inside the heart, where a mask of it "
    "was drawn. Trivial is a map that is the same everywhere: it gets the heart's share of the "
    "area.",
}
_METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r": "Pearson r",
    "median_rank": "Median rank",
    "mae_ratio": "MAE relative to predicting the mean",
    "dice": "Dice",
    "share_inside": "Share of the map inside the heart",
    "share_inside_ratio": "Share inside the heart relative to a uniform map",
}
METRIC_MEANING = {
    "auroc": "the chance that a study with the finding is ranked above one without it; .5 is "
    "guessing, 1 is perfect",
    "auprc": "mean precision over recall; guessing gives the prevalence",
    "balanced_accuracy": "mean of sensitivity and specificity at the .5 threshold",
    "accuracy": "share called right at the .5 threshold; compare with the trivial column",
    "mae": "in the label's own unit, lower is better; the trivial column predicts the mean",
    "rmse": "in the label's own unit, lower is better; weighs large errors more",
    "r": "correlation of predicted and true values; 0 is none",
    "recall_at_1": "share whose right partner is found first",
    "recall_at_5": "share whose right partner is among the first five; guessing gives 5 / n",
    "recall_at_10": "share whose right partner is among the first ten; guessing gives 10 / n",
    "median_rank": "rank of the right partner, 1 is best",
    "mae_ratio": "below 1 is better than predicting the mean of the training patients",
    "dice": "overlap of two contours, 1 is perfect",
    "share_inside": "1 is all of it; a map may be right without it, so read it beside the others",
}
CURVE_MEANING = {
    "loss": "what training minimises; its level depends on the batch, so compare runs by their "
    "evaluations instead",
    "logit_scale": "inverse temperature: how strongly a difference in similarity counts",
    "grad_norm": "length of the gradient before clipping",
    "embedding_spread": "spread of the embeddings: 1 fills the sphere, near 0 all are alike",
    "effective_rank": "dimensions that the batch's embeddings use; near 1 they have collapsed",
    "examples_per_s": "studies a second",
    "positives_per_sentence": "studies of a batch whose report makes the drawn statement",
}
HEADLINE = ("auroc", "mae", "dice", "recall_at_", "median_rank", "share_inside")
DASH = "–"


def task_name(task: str) -> str:
    """A task's name as a clinician writes it.

    Example:
        >>> task_name('lv_dilation'), task_name('group:DCM')
        ('LV dilation', 'Group: DCM')
    """
    if task in _TASKS:
        return _TASKS[task]
    head, colon, tail = task.partition(":")
    words = [w.upper() if w.lower() in _UPPER else w for w in head.split("_")]
    words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words) + (f": {tail}" if colon else "")


def encoder_name(encoder: str) -> str:
    """An encoder's name; a paired comparison names both sides."""
    for mark, text in (("-", " minus "), ("/", " over ")):
        a, found, b = encoder.partition(mark)
        if found and encoder not in _ENCODERS:
            return f"{encoder_name(a)}{text}{inside(encoder_name(b))}"
    return _ENCODERS.get(encoder, encoder)


def inside(name: str) -> str:
    """A name as it stands inside a sentence; abbreviations stay as they are."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def evaluator_name(evaluator: str) -> str:
    """An evaluator's name; what a config added to it stands in brackets."""
    base = _base(evaluator)
    suffix = evaluator.removeprefix(base).strip("_")
    name = _EVALUATORS.get(base, base.replace("_", " ").capitalize())
    return f"{name} ({suffix})" if suffix else name


def evaluator_meaning(evaluator: str) -> str:
    """What an evaluator does, in a sentence or two."""
    return EVALUATOR_MEANING.get(_base(evaluator), "")


def _base(evaluator: str) -> str:
    return next((name for name in _EVALUATORS if evaluator.startswith(name)), evaluator)


def metric_name(metric: str) -> str:
    """A metric's name."""
    if metric.startswith("recall_at_"):
        return f"Recall at {metric.removeprefix('recall_at_')}"
    base = metric.removesuffix("_difference")
    name = _METRICS.get(base, base.replace("_", " "))
    return name if base == metric else f"{name}, difference"


def number(value: float | None, metric: str = "") -> str:
    """A value with the digits that its metric deserves."""
    if value is None:
        return DASH
    base = metric.removesuffix("_difference")
    sign = "+" if base != metric and value > 0 else ""
    if base in ("mae", "rmse"):
        text = f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
    elif base == "median_rank":
        text = f"{value:.1f}".removesuffix(".0")
    else:
        text = f"{value:.3f}"
    return (sign + text).replace("-", "−")


def interval(row: Row) -> str:
    """`[low, high]`, or nothing where there is none or, as for a constant, it is one point."""
    if row.ci_low is None or row.ci_high is None or row.ci_low == row.ci_high:
        return ""
    return f"[{number(row.ci_low, row.metric)}, {number(row.ci_high, row.metric)}]"


def measured(task: str, value: float) -> str:
    """A measured label with its unit, short.

    Example:
        >>> measured('lvef', 56.04)
        'LVEF 56.0 %'
    """
    name, unit = _SHORT.get(task, (task_name(task), ""))
    return f"{name} {quantity(value)} {unit}".rstrip()


def measured_order(task: str) -> int:
    """Where a measured label stands in a short list: LVEF first."""
    return list(_SHORT).index(task) if task in _SHORT else len(_SHORT)


def quantity(value: float) -> str:
    """A measured quantity with three or four digits."""
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
