"""The page of the transfer experiment: its tables, notes, commands and versions."""

import csv
import io
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from importlib import metadata
from pathlib import Path

from cmrjax.core.writer import write_bytes_atomic
from cmrjax.data.splits import FOLDS
from cmrjax.evals.base import Row
from cmrjax.reporting.transfer import DRAWS, pooled_rows

# What the table calls each arm, in its order.
ARMS = {
    "transfer": "phantom, then ACDC",
    "phantom": "phantom alone",
    "scratch": "ACDC from scratch",
    "random": "untrained",
    "pixels_pca": "pixels + PCA",
    "volumes": "volumes from the masks",
    "trivial": "trivial",
}
GROUPS = ("nor", "dcm", "hcm", "minf", "rv")
PROBE_COLUMNS = (
    ("macro", "auroc", "group macro AUROC"),
    ("group", "accuracy", "5-group accuracy"),
    ("group", "balanced_accuracy", "balanced accuracy"),
    ("lvef", "mae", "LVEF MAE, points"),
    ("lvef", "r", "LVEF r"),
    ("rvef", "mae", "RVEF MAE, points"),
    ("lvedv_ml", "mae", "LVEDV MAE, ml"),
)
EACH_COLUMNS = (*((g, "auroc", g.upper()) for g in GROUPS), ("group", "auroc", "multinomial"))
ZERO_SHOT_COLUMNS = (
    ("macro", "auroc", "group macro AUROC"),
    *((g, "auroc", g.upper()) for g in GROUPS),
)
DIFFERENCE_COLUMNS = (
    ("macro", "auroc_difference", "group macro AUROC"),
    ("lvef", "mae_difference", "LVEF MAE"),
    ("rvef", "mae_difference", "RVEF MAE"),
    ("lvedv_ml", "mae_difference", "LVEDV MAE"),
)
PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "nibabel", "pydicom")
NOTES = """\
- The text that `ACDC from scratch` and `phantom, then ACDC` learn from is made from the labels
  (`text_source: from_labels`): group and the masks' volumes, in a few wordings. Their zero-shot
  rows show that the way works, not what reading real reports gives. The phantom's reports are
  text about simulated hearts; `phantom alone` has seen nothing of ACDC.
- ACDC here is {n} of its patients (16 of each group where n = 80), end-diastole and end-systole
  alone: clips of two frames, all short-axis slices, a patient's features the mean over slices of
  the tokens' mean and spread. Regional akinesia shows worse than in a whole cycle.
- {folds} patient-level folds: a fold's probe is fitted on its training patients, its penalty is
  chosen on the validation patients, and it is fitted once more on both; pretraining on ACDC sees
  the training patients alone.
- Test predictions of all folds are pooled and resampled by patient; AUROC compares patients of
  one fold. The intervals cover the draw of patients, not of training seeds or of the deal of
  folds.
- Group macro AUROC is the mean over the five groups of one-against-the-rest probes; `multinomial`
  is the same mean from one five-group probe.
- `volumes from the masks` is probed on LVEDV, LVESV, LVEF, RVEDV, RVESV, RVEF and LV mass of the
  experts' masks: a reference for the groups, which were defined by such measures.
- `untrained` is the same network before its first step. What a probe reads from it depends much
  on the draw of its weights, so its numbers are means over {draws} draws, and differences are from
  that mean. Of each trained arm there is one run. In the zero-shot table it is one draw.
- `trivial` varies a little from fold to fold, which gives its pooled r a sign of its own.
"""


def write_table(workdir: Path, *, folds: int, seed: int, commands: Sequence[str]) -> Path:
    """Pools the folds and writes `acdc_transfer.csv` (every row) and `acdc_transfer.md`.

    Args:
        workdir: of the experiment.
        folds: how many were run.
        seed: of the experiment.
        commands: what was run, shown for the first fold.

    Returns:
        The Markdown file.

    Raises:
        UserError: a result is missing.
    """
    rows = pooled_rows(workdir, folds)
    path = workdir / "acdc_transfer.md"
    write_bytes_atomic(path.with_suffix(".csv"), rows_csv(rows))
    write_bytes_atomic(
        path, markdown(rows, folds=folds, seed=seed, commands=commands).encode("utf-8")
    )
    return path


def rows_csv(rows: Sequence[Row]) -> bytes:
    """Every row as CSV, empty where a value is not defined."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f.name for f in fields(Row)])
    for row in rows:
        writer.writerow(
            [f"{v:.6g}" if isinstance(v, float) else "" if v is None else v for v in astuple(row)]
        )
    return text.getvalue().encode()


def markdown(rows: Sequence[Row], *, folds: int, seed: int, commands: Sequence[str]) -> str:
    """The page: tables, notes, commands, versions."""
    n = max(row.n for row in rows)
    each = {row.task: row.n_positive for row in rows if row.task in GROUPS and row.n_positive}
    positives = ", ".join(f"{g.upper()} {each.get(g, 0)}" for g in GROUPS)
    against = [f"{arm}-random" for arm in ("transfer", "phantom", "scratch", "pixels_pca")]
    probe = [row for row in rows if row.evaluator == "linear_probe"]
    zero_shot = [row for row in rows if row.evaluator == "zero_shot"]
    trained = ("transfer", "phantom", "scratch", "random", "trivial")
    parts = [
        "# Does pretraining help on real hearts? ACDC, end-diastole and end-systole",
        f"{n} patients ({positives}), {folds} of {FOLDS} patient-level folds pooled; 95 % intervals"
        " by patient.",
        "**The text of ACDC is made from its labels.** See the notes below the tables.",
        "## Linear probe of frozen features",
        table(probe, ARMS, PROBE_COLUMNS),
        "One group against the rest, AUROC:",
        table(probe, ARMS, EACH_COLUMNS),
        "## Paired differences of the probes",
        "Patients are resampled once for both sides. Better is above 0 for AUROC, below 0 for MAE.",
        table(probe, [*against, "transfer-scratch"], DIFFERENCE_COLUMNS),
        "## The draws of the untrained network",
        table(probe, [f"untrained{k}" for k in range(DRAWS)], PROBE_COLUMNS),
        "## Zero-shot, AUROC",
        "Prompts `acdc`; nothing is fitted on labels, but the text of two arms holds them.",
        table(zero_shot, trained, ZERO_SHOT_COLUMNS),
        "## Notes",
        NOTES.format(n=n, folds=folds, draws=DRAWS).strip(),
        "## Commands",
        f"`cmrjax reproduce acdc_transfer --input ACDC_DIR --workdir WORKDIR --folds {folds} --seed"
        f" {seed}` runs these, the last eight for each fold:",
        "\n".join(["```", *commands, "```"]),
        versions(),
    ]
    return "\n\n".join(parts) + "\n"


def versions() -> str:
    """Of Python and of what a result depends on."""
    listed = ", ".join(f"{name} {metadata.version(name)}" for name in ("cmrjax", *PACKAGES))
    return f"Python {platform.python_version()}, {listed}."


def table(
    rows: Sequence[Row],
    encoders: Iterable[str],
    columns: Sequence[tuple[str, str, str]],
    titles: Mapping[str, str] = ARMS,
) -> str:
    """A Markdown table, an encoder a line; encoders without any value are left out.

    Args:
        rows: what there is.
        encoders: `a`, or `a-b` for differences.
        columns: task, metric and title of each.
        titles: what the table calls an encoder.
    """
    found = {(row.encoder, row.task, row.metric): row for row in rows}
    lines = ["| | " + " | ".join(title for *_, title in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for encoder in encoders:
        cells = [_cell(found.get((encoder, task, metric))) for task, metric, _ in columns]
        if set(cells) != {"-"}:
            lines.append(f"| {_title(encoder, titles)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _title(encoder: str, titles: Mapping[str, str]) -> str:
    return " minus ".join(titles.get(name, name) for name in encoder.split("-"))


def _cell(row: Row | None) -> str:
    if row is None or row.value is None:
        return "-"
    digits = 1 if "mae" in row.metric else 2 if row.metric == "r" else 3
    if row.ci_low is None:
        return f"{row.value:.{digits}f}"
    return f"{row.value:.{digits}f} ({row.ci_low:.{digits}f} to {row.ci_high:.{digits}f})"
