"""Checks a demo's results.json against what the demo promises: `python -m tests.check_demo DIR`."""

import json
import sys
from pathlib import Path

MIN_FINDINGS, MIN_PATIENTS, MIN_POSITIVES = 8, 150, 15


def find(rows: list[dict], **wanted) -> list[dict]:
    """The rows whose fields equal `wanted`."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def one(rows: list[dict], **wanted) -> dict:
    """The one row whose fields equal `wanted`."""
    (row,) = find(rows, **wanted)
    return row


def key_rows(rows: list[dict]) -> dict[str, dict]:
    """The rows that the demo's promises are about, at the newest step."""
    step = max(row["step"] for row in rows)
    rows = [row for row in rows if row["step"] == step]
    probe = {"evaluator": "linear_probe"}
    macro = {"task": "macro", "metric": "auroc"}
    return {
        "zero_shot": one(rows, evaluator="zero_shot", encoder="checkpoint", **macro),
        "zero_shot_random": one(rows, evaluator="zero_shot", encoder="random", **macro),
        "probe": one(rows, encoder="checkpoint", **probe, **macro),
        "probe_random": one(rows, encoder="random", **probe, **macro),
        "probe_pixels": one(rows, encoder="pixels_pca", **probe, **macro),
        "probe_supervised": one(rows, encoder="supervised", **probe, **macro),
        "probe_gain": one(
            rows, encoder="checkpoint-random", task="macro", metric="auroc_difference", **probe
        ),
        "lvef_mae": one(rows, encoder="checkpoint", task="lvef", metric="mae", **probe),
        "lvef_ratio": one(
            rows, encoder="checkpoint/trivial", task="lvef", metric="mae_ratio", **probe
        ),
    }


def failures(rows: list[dict]) -> list[str]:
    """What the demo promises and these rows do not hold."""
    key = key_rows(rows)
    findings = [
        row
        for row in find(rows, evaluator="zero_shot", encoder="checkpoint", metric="auroc")
        if row["task"] != "macro" and row["step"] == key["zero_shot"]["step"]
    ]
    checks = {
        f"{MIN_FINDINGS} findings or more": len(findings) >= MIN_FINDINGS,
        "zero-shot macro AUROC >= .75": key["zero_shot"]["value"] >= 0.75,
        "its lower bound >= .68": key["zero_shot"]["ci_low"] >= 0.68,
        "probe macro AUROC >= .85": key["probe"]["value"] >= 0.85,
        "probe above the untrained one": key["probe"]["value"] > key["probe_random"]["value"],
        "LVEF MAE <= .45 of the mean's": key["lvef_ratio"]["value"] <= 0.45,
        f"{MIN_PATIENTS} held-out patients": key["zero_shot"]["n"] >= MIN_PATIENTS,
        f"{MIN_POSITIVES} positives a finding": all(
            row["n_positive"] >= MIN_POSITIVES for row in findings
        ),
    }
    return [name for name, holds in checks.items() if not holds]


def main(argv: list[str]) -> int:
    workdir = Path(argv[0])
    rows = json.loads((workdir / "results.json").read_text())
    for name, row in key_rows(rows).items():
        print(f"{name:18} {row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]")
    missed = failures(rows)
    for name in missed:
        print(f"does not hold: {name}")
    if not (workdir / "report" / "index.html").is_file():
        missed.append("report page")
        print("does not hold: the report page is there")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
