"""The stats job: every statistic of a predictions file, paired where two files are given."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.evals import metrics
from cmrjax.evals.base import Row
from cmrjax.evals.predictions import Predictions, pool_predictions
from cmrjax.evals.tables import format_rows


def main(argv: Sequence[str]) -> int:
    """`cmrjax stats PREDICTIONS.csv... [--against OTHER.csv...]`."""
    parser = argparse.ArgumentParser(prog="cmrjax stats", description=__doc__)
    parser.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        help="predictions.csv of an evaluator; several are the folds of a cross-validation",
    )
    parser.add_argument("--against", type=Path, nargs="+", help="others, over the same studies")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples of patients")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.bootstrap < 1:
        raise UserError("--bootstrap must be positive", fix="2000 is usual")
    how = metrics.Resampling(split="", step=0, n_bootstrap=args.bootstrap, seed=args.seed)
    ours = pool_predictions(args.predictions)
    rows = metrics.all_rows(ours, how)
    if args.against is not None:
        rows = paired_rows(ours, pool_predictions(args.against), how)
    print(format_rows(rows))
    return 0


def paired_rows(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], how: metrics.Resampling
) -> list[Row]:
    """Differences `ours - theirs` of every metric, over the studies that both files have.

    Encoders are paired by name; where each file has a single one, they are paired whatever their
    names.

    Raises:
        UserError: the files share no encoder, task or study, or disagree about a target.
    """
    names = [list(dict.fromkeys(p.encoder for p in side)) for side in (ours, theirs)]
    pairs = [(name, name) for name in names[0] if name in names[1]]
    if len(names[0]) == len(names[1]) == 1:
        pairs = [(names[0][0], names[1][0])]
    rows = []
    for a, b in pairs:
        left = [p for p in ours if p.encoder == a]
        right = [replace(p, encoder=f"{b}'") for p in theirs if p.encoder == b]
        _same_targets(left, right)
        rows += metrics.difference_rows(left, right, how, each=True)
    if not rows:
        raise UserError("the two files share no encoder, task and study", where="--against")
    return rows


def _same_targets(ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> None:
    """Two files about the same study must agree on what is true."""
    for a in ours:
        known = dict(zip(a.study_id.tolist(), a.target.tolist(), strict=True))
        for b in theirs:
            if b.task != a.task:
                continue
            for study, target in zip(b.study_id.tolist(), b.target.tolist(), strict=True):
                if abs(known.get(study, target) - target) > 1e-6 * (1 + abs(target)):
                    raise UserError(
                        f"the files give one study two targets of {a.task}",
                        where="--against",
                        fix="compare predictions of the same dataset",
                    )


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("stats", sys.argv[1:]))
