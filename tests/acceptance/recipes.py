"""Which contrastive recipe learns at small scale, on the demo's data, by steps and by CPU time.

`python -m tests.acceptance.recipes --dataset D --workdir W [--seeds N] [--only NAME ...]` trains
the demo's network with each recipe and seed, evaluates its checkpoints, and writes W/recipes.md.
What is done is not done again: a stopped run goes on by the same command, with the recipe that it
was at from its start.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmrjax.core import checkpoint
from cmrjax.core.config import load_config
from cmrjax.core.writer import write_bytes_atomic, write_json_atomic
from cmrjax.data.records import RecordSource
from cmrjax.demo import PRETRAIN
from cmrjax.evals import linear_probe, metrics, zero_shot
from cmrjax.evals.embeddings import Cohort, embed, read_cohort
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.linear_probe import ProbeData
from cmrjax.evals.workdir_encoder import load_encoder, random_encoder
from cmrjax.experiment import run_config
from cmrjax.train import train

BATCH, STEPS, EVERY = 32, 100, 50
WHOLE = {"sentences": 1, "sentences_per_text": 8, "max_tokens": 96}

MAE_FIRST = "after 100 steps of masked autoencoding"
MAE = {
    "name": "mae",
    "mask_ratio": 0.75,
    "decoder_width": 64,
    "decoder_depth": 2,
    "decoder_heads": 2,
}

# Name -> overrides of the config's sections, how many times the batch, and whether it is run with
# every seed (the losses, levels and batches) or with the first alone (the search for a recipe).
RECIPES: dict[str, tuple[dict[str, dict[str, Any]], int, bool]] = {
    "softmax, studies": ({}, 1, True),
    "sigmoid, studies": ({"objective": {"loss": "sigmoid"}}, 1, True),
    "softmax, clips": ({"objective": {"level": "clip"}}, 1, True),
    "sigmoid, clips": ({"objective": {"level": "clip", "loss": "sigmoid"}}, 1, True),
    "softmax, studies by gated attention": ({"model": {"study_pool": "gated"}}, 1, True),
    "softmax, studies, 4 x batch in 4 parts": ({"objective": {"cache_parts": 4}}, 4, True),
    "sigmoid, studies, 4 x batch in 4 parts": (
        {"objective": {"loss": "sigmoid", "cache_parts": 4}},
        4,
        True,
    ),
    "whole reports, own study alone": (
        {"objective": {"positives": "study"}, "data": WHOLE},
        1,
        False,
    ),
    "whole reports, alike ones share": (
        {"objective": {"positives": "similarity"}, "data": WHOLE},
        1,
        False,
    ),
    "sentences, own study alone": ({"objective": {"positives": "study"}}, 1, False),
    "sentences, own study; same statements masked": ({"objective": {"others": "mask"}}, 1, False),
    "one sentence a study": ({"data": {"sentences": 1}}, 1, False),
    "temperature .02": ({"model": {"init_temperature": 0.02}}, 1, False),
    "sigmoid from SigLIP's start": (
        {"objective": {"loss": "sigmoid"}, "model": {"init_temperature": 0.1, "init_bias": -10.0}},
        1,
        False,
    ),
    "no warm-up": ({"optim": {"warmup_steps": 0}}, 1, False),
    "half of the tokens dropped": ({"objective": {"token_drop": 0.5}}, 1, False),
    MAE_FIRST: ({}, 1, False),
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.recipes")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="recipes whose names hold a word")
    args = parser.parse_args(argv)
    source = RecordSource(args.dataset)
    cohorts = [read_cohort(source, split=split) for split in linear_probe.SPLITS]
    for name, seed in plan(args.seeds):
        if not args.only or any(word in name for word in args.only):
            run_recipe(name, seed, cohorts, workdir=args.workdir, dataset=args.dataset)
            found = list(results(args.workdir, args.seeds))
            write_bytes_atomic(args.workdir / "recipes.md", markdown(found).encode())
    print((args.workdir / "recipes.md").read_text())
    return 0


def plan(seeds: int) -> Iterator[tuple[str, int]]:
    """Every recipe and seed: those that are run with every seed first."""
    every = [name for name, (_, _, seeds) in RECIPES.items() if seeds]
    yield from ((name, seed) for seed in range(seeds) for name in every)
    yield from ((name, 0) for name in RECIPES if name not in every)


def folder(workdir: Path, name: str, seed: int) -> Path:
    return workdir / f"seed{seed}" / "".join(c if c.isalnum() else "_" for c in name)


def run_recipe(
    name: str, seed: int, cohorts: Sequence[Cohort], *, workdir: Path, dataset: Path
) -> None:
    """Trains and evaluates; `result.json` holds what the tables need."""
    home = folder(workdir, name, seed)
    if (home / "result.json").is_file():
        return
    # A run that goes on from a checkpoint would count a part of its CPU time alone.
    shutil.rmtree(home, ignore_errors=True)
    overrides, times, _ = RECIPES[name]
    config = load_config(str(PRETRAIN))
    for section, values in overrides.items():
        config[section] |= values
    config["data"]["dataset"] = str(dataset)
    config |= {"steps": STEPS, "batch_size": times * BATCH, "seed": seed}
    config |= {"checkpoint_every": EVERY, "log_every": 5}
    print(f"recipe: {name}, seed {seed}", file=sys.stderr, flush=True)
    begin = time.process_time()  # of every thread: other work on the machine does not count
    if name == MAE_FIRST:
        before = config | {"objective": MAE, "text": {}}
        first = home.with_name(f"{home.name}_first")
        train(run_config(before), first)
        config["pretrained"] = {"workdir": str(first)}
    train(run_config(config), home)
    seconds = time.process_time() - begin
    how = metrics.Resampling(split="test", step=STEPS, n_bootstrap=1000)
    curve = {
        step: zero_shot_macro(load_encoder(home, step=step), cohorts[-1], how)
        for step in checkpoint.steps(home)
    }
    result = {"name": name, "seed": seed, "cpu_s": seconds, "zero_shot": curve}
    result["probe"] = probe(load_encoder(home), cohorts, how)
    result["untrained"] = untrained(home, seed, cohorts, how, workdir=workdir)
    losses = [json.loads(line)["loss"] for line in (home / "metrics.jsonl").open()]
    result["loss"] = [losses[0], losses[-1]]
    write_json_atomic(home / "result.json", result)


def untrained(
    home: Path, seed: int, cohorts: Sequence[Cohort], how: metrics.Resampling, *, workdir: Path
) -> dict[str, list[float]]:
    """The probe of the tower before its first step, which every recipe of a seed begins with."""
    path = workdir / f"seed{seed}" / "untrained.json"
    if not path.is_file():
        write_json_atomic(path, probe(random_encoder(home), cohorts, how))
    return json.loads(path.read_text())


def zero_shot_macro(encoder: Encoder, test: Cohort, how: metrics.Resampling) -> list[float]:
    """Macro AUROC over the findings, with its interval by patient."""
    prompts = zero_shot.load_prompts("phantom")
    assert encoder.text is not None
    found = zero_shot.evaluate(
        {encoder.name: embed(encoder, test)}, {encoder.name: encoder.text}, prompts, how
    )
    row = next(r for r in found.rows if r.task == "macro" and r.encoder == encoder.name)
    return [row.value, row.ci_low, row.ci_high]  # pyright: ignore[reportReturnType]


def probe(
    encoder: Encoder, cohorts: Sequence[Cohort], how: metrics.Resampling
) -> dict[str, list[float]]:
    """Macro AUROC over the findings, and the LVEF's absolute error in points."""
    data = ProbeData(
        features=np.concatenate([embed(encoder, cohort).pooled for cohort in cohorts]),
        split=np.repeat(linear_probe.SPLITS, [len(c.members) for c in cohorts]),
        labels={t: np.concatenate([c.labels[t] for c in cohorts]) for t in cohorts[0].labels},
        patient_id=np.concatenate([c.patient_id for c in cohorts]),
        study_id=np.concatenate([c.study_id for c in cohorts]),
    )
    tasks = cohorts[0].source.info["label_tasks"]
    parts = linear_probe.probe(data, tasks, encoder=encoder.name, evaluator="linear_probe")
    rows = metrics.all_rows([p for p in parts if p.kind == "probability" or p.task == "lvef"], how)
    wanted = {"macro": "auroc", "lvef": "mae"}
    return {
        r.task: [r.value, r.ci_low, r.ci_high]  # pyright: ignore[reportReturnType]
        for r in rows
        if wanted.get(r.task) == r.metric
    }


def results(workdir: Path, seeds: int) -> Iterator[dict[str, Any]]:
    for name, seed in plan(seeds):
        path = folder(workdir, name, seed) / "result.json"
        if path.is_file():
            yield json.loads(path.read_text())


def markdown(found: Sequence[dict[str, Any]]) -> str:
    """Both tables."""
    every = {name for name, (_, _, seeds) in RECIPES.items() if seeds}
    lines = [
        f"# Losses, levels and batches at {STEPS} steps",
        "",
        "Mean over seeds, and each seed's value (95 % interval by patient of the first).",
        "",
        "| recipe | zero-shot macro AUROC | probe macro AUROC | untrained probe | LVEF MAE, points"
        " | untrained | CPU min |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in RECIPES:
        runs = [r for r in found if r["name"] == name]
        if name in every and runs:
            lines.append(f"| {name} | " + " | ".join(cells(runs)) + " |")
    lines += [
        "",
        "# What breaks the plateau: zero-shot by steps and by minutes of CPU",
        "",
        "Seed 0. InfoNCE without any learning is near the logarithm of the number of texts (for a"
        " video) and of videos (for a text), halved and added; the entropy of its targets is its"
        " lower bound.",
        "",
        "| recipe | "
        + " | ".join(f"step {s}" for s in range(EVERY, STEPS + 1, EVERY))
        + " | CPU min | gained a minute | probe | loss, first to last |",
        "|---|" + "---|" * (STEPS // EVERY + 4),
    ]
    for run in (r for r in found if r["seed"] == 0):
        curve = [run["zero_shot"][str(step)][0] for step in range(EVERY, STEPS + 1, EVERY)]
        minutes = run["cpu_s"] / 60
        first, last = run["loss"]
        lines.append(
            f"| {run['name']} | "
            + " | ".join(f"{value:.3f}" for value in curve)
            + f" | {minutes:.1f} | {(curve[-1] - 0.5) / minutes:.3f}"
            + f" | {run['probe']['macro'][0]:.3f} | {first:.2f} to {last:.2f} |"
        )
    return "\n".join(lines) + "\n"


def cells(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    last = [list(r["zero_shot"].values())[-1] for r in runs]
    yield spread(last)
    yield spread([r["probe"]["macro"] for r in runs])
    yield spread([r["untrained"]["macro"] for r in runs])
    yield spread([r["probe"]["lvef"] for r in runs], digits=2)
    yield spread([r["untrained"]["lvef"] for r in runs], digits=2)
    yield f"{statistics.mean(r['cpu_s'] for r in runs) / 60:.1f}"


def spread(values: Sequence[Sequence[float]], *, digits: int = 3) -> str:
    mean = statistics.mean(v[0] for v in values)
    each = " / ".join(f"{v[0]:.{digits}f}" for v in values)
    low, high = values[0][1:]
    return f"{mean:.{digits}f}: {each} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
