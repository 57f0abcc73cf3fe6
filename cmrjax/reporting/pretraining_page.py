"""The page of the experiment on pretraining without labels."""

from collections.abc import Sequence
from pathlib import Path

from cmrjax.core.writer import write_bytes_atomic
from cmrjax.evals import metrics
from cmrjax.evals.predictions import Predictions
from cmrjax.reporting.transfer import difference_rows, mean_rows
from cmrjax.reporting.transfer_page import rows_csv, table, versions

DRAWS = 3  # of the untrained network
GROUPS = ("nor", "dcm", "hcm", "minf", "rv")
TITLES = {
    "mae": "MAE, probe",
    "dino": "DINO, probe",
    "supervised": "end to end, probe",
    "end_to_end": "end to end, own head",
    "random": "untrained, probe",
    "trivial": "trivial",
}
COLUMNS = (
    ("macro", "auroc", "group macro AUROC"),
    *((group, "auroc", group.upper()) for group in GROUPS),
    ("lvef", "mae", "LVEF MAE, points"),
    ("lvef", "r", "LVEF r"),
)
DIFFERENCES = (
    ("macro", "auroc_difference", "group macro AUROC"),
    ("lvef", "mae_difference", "LVEF MAE, points"),
)
NOTES = """\
- One network, a ViT-Ti/8 on frames of 64 x 64 (2.5 mm), for every row; a patient's features are
  those of all short-axis slices at end-diastole and end-systole.
- A fold's probe is fitted on its training patients, its penalty is chosen on the validation
  patients, and it is fitted once more on both.
- Test predictions of all folds are pooled and resampled by patient; AUROC compares patients of one
  fold. The intervals cover the draw of patients, not of training seeds or of the deal of folds.
- `untrained` is the same network before its first step, the mean over {draws} draws; differences
  are from that mean. Of each trained row there is one run a fold.
- Patients whose frames another patient has as well (ACDC holds a pair) are not scored."""
WHOLE = """\
- MAE and DINO are **transductive**: pretrained once, on the frames of all patients, those of the
  test folds among them. They saw no label. `end to end` and its own head saw their fold's training
  patients alone; probes are fitted on the validation patients, too."""
INSIDE = """\
- Every network is trained on its fold's training patients alone; so is the own head of
  `end to end`, where probes are fitted on the validation patients, too."""


def write_table(
    parts: Sequence[Predictions],
    how: metrics.Resampling,
    workdir: Path,
    *,
    transductive: bool,
    commands: Sequence[str],
) -> Path:
    """Writes `acdc_pretraining.csv` (every row) and `acdc_pretraining.md`.

    Args:
        parts: pooled predictions of every arm, `untrained0`, ... and `trivial`.
        how: the resampling.
        workdir: where the files go.
        transductive: whether pretraining saw the frames of all patients.
        commands: what was run, shown for the first fold.

    Returns:
        The Markdown file.
    """
    arms = {name: [p for p in parts if p.encoder == name] for name in TITLES if name != "random"}
    draws = [[p for p in parts if p.encoder == f"untrained{k}"] for k in range(DRAWS)]
    rows = metrics.all_rows(parts, how) + mean_rows(draws, how)
    learned = [name for name in arms if name != "trivial"]
    for name in learned:
        rows += difference_rows(arms[name], draws, how)
    for name in ("mae", "dino"):
        rows += metrics.difference_rows(arms[name], arms["end_to_end"], how)
    n = max(len(p.target) for p in parts)
    positives = ", ".join(
        f"{p.task.upper()} {int(p.target.sum())}" for p in arms["trivial"] if p.task in GROUPS
    )
    against = [f"{name}-random" for name in learned]
    against += ["mae-end_to_end", "dino-end_to_end"]
    names = dict(TITLES)
    if transductive:
        names |= {name: f"{TITLES[name]} (transductive)" for name in ("mae", "dino")}
    page = [
        "# Does pretraining without labels help on real hearts? Single frames of ACDC",
        f"{n} patients ({positives}), {how.split}; 95 % intervals by patient.",
        table(rows, TITLES, COLUMNS, names),
        "## Paired differences",
        "Patients are resampled once for both sides. Better is above 0 for AUROC, below 0 for MAE.",
        table(rows, against, DIFFERENCES, names),
        "## Notes",
        NOTES.format(draws=DRAWS) + "\n" + (WHOLE if transductive else INSIDE),
        "## Commands",
        "`cmrjax reproduce acdc_pretraining --input ACDC_DIR --workdir WORKDIR"
        f"{' --transductive' if transductive else ''}` runs these, and likewise each further fold:",
        "\n".join(["```", *commands, "```"]),
        versions(),
    ]
    path = workdir / "acdc_pretraining.md"
    write_bytes_atomic(path.with_suffix(".csv"), rows_csv(rows))
    write_bytes_atomic(path, ("\n\n".join(page) + "\n").encode())
    return path
