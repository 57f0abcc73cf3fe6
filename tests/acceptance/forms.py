"""Every form of the video tower on the demo's data: does the loss go down?

`python -m tests.acceptance.forms --dataset D --workdir W [--steps N]` trains the demo's contrastive
run with each form, from the same seed and on the same batches, and prints a table. It exits 1 if a
loss does not go down. A stopped run goes on by the same command.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from cmrjax.core.config import load_config
from cmrjax.core.writer import write_bytes_atomic
from cmrjax.demo import PRETRAIN
from cmrjax.experiment import run_config
from cmrjax.train import train

FORMS = {
    "joint": {},
    "joint, class token and registers": {"cls_token": True, "registers": 4, "pool": "cls"},
    "joint, attention pooling, layer scale": {"pool": "attention", "layer_scale": True},
    "joint, learned positions, loop": {"positions": "learned", "scan": False},
    "factorised": {"attention": "factorised", "tubelet": (4, 16, 16), "motion_gain": 4.0},
    "divided": {"attention": "divided", "tubelet": (4, 16, 16), "motion_gain": 4.0},
    "one frame, patches of 8": {"tubelet": (1, 8, 8), "motion_gain": 0.0},
    "multiscale (MViT)": {"family": "mvit"},
}
WINDOW = 10  # steps whose mean is compared


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.forms")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args(argv)
    rows = [
        row_of(name, fields, dataset=args.dataset, workdir=args.workdir, steps=args.steps)
        for name, fields in FORMS.items()
    ]
    page = markdown(rows, steps=args.steps)
    write_bytes_atomic(args.workdir / "forms.md", page.encode())
    print(page)
    return 0 if all(last < first for _, first, last, _ in rows) else 1


def row_of(name: str, fields: dict, *, dataset: Path, workdir: Path, steps: int) -> tuple:
    """Name, mean loss of the first and of the last steps, seconds a step."""
    folder = workdir / "".join(c if c.isalnum() else "_" for c in name)
    mvit = fields.get("family") == "mvit"
    config = load_config(f"{PRETRAIN}:mvit" if mvit else str(PRETRAIN))
    config["model"] |= {} if mvit else fields
    config["data"]["dataset"] = str(dataset)
    if fields.get("tubelet", (0,))[0] == 1:
        config["data"]["clip_frames"] = 1
    config |= {"steps": steps, "log_every": 1, "checkpoint_every": steps}
    start = time.monotonic()
    train(run_config(config), folder)
    seconds = (time.monotonic() - start) / steps
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]
    return name, statistics.mean(losses[:WINDOW]), statistics.mean(losses[-WINDOW:]), seconds


def markdown(rows: list[tuple], *, steps: int) -> str:
    lines = [
        f"Mean contrastive loss of the first and the last {WINDOW} of {steps} steps.",
        "",
        "| form | first | last | change | s a step |",
        "|---|---|---|---|---|",
    ]
    for name, first, last, seconds in rows:
        lines.append(f"| {name} | {first:.3f} | {last:.3f} | {last - first:+.3f} | {seconds:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
