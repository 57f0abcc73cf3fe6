"""What the report reads: a workdir and, where it is at hand, its dataset."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmrjax.core import checkpoint
from cmrjax.core.errors import UserError
from cmrjax.core.writer import read_metrics
from cmrjax.data.contract import (
    CONTRACT_FILE,
    DatasetContract,
    InputContract,
    load_checkpoint_contract,
    require_same,
)
from cmrjax.data.pipeline import DataConfig
from cmrjax.data.records import RecordSource
from cmrjax.evals.base import RESULTS, Row, read_rows, rebuild_results
from cmrjax.evals.predictions import Predictions, read_predictions
from cmrjax.experiment import RunConfig, load_run_config


@dataclass(frozen=True)
class Run:
    """A workdir, read.

    Args:
        workdir: the run's directory.
        config: its config.
        dataset_contract: the preprocessing it was trained under.
        input: what the model adds to that.
        status: `status.json`, empty where it is missing.
        metrics: lines of `metrics.jsonl`.
        checkpoints: steps of the complete checkpoints.
        rows: the rows of each evaluator's newest step.
        history: the rows of every step.
        predictions: evaluator folder -> predictions of its newest step; empty if unreadable.
        source: the dataset; None where it is not at hand.
        show_text: whether report text may be shown.
    """

    workdir: Path
    config: RunConfig
    dataset_contract: DatasetContract
    input: InputContract
    status: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    checkpoints: Sequence[int]
    rows: Sequence[Row]
    history: Sequence[Row]
    predictions: Mapping[str, Sequence[Predictions]]
    source: RecordSource | None
    show_text: bool

    @property
    def data(self) -> DataConfig:
        """The run's `data` section."""
        return self.config.data_config()

    @property
    def public(self) -> bool:
        """Whether the dataset says that it is public; nothing else makes it so."""
        return self.source is not None and self.source.info.get("public") is True

    @property
    def text_source(self) -> str:
        """'report', 'from_labels' or 'none'."""
        return str(self.source.info.get("text_source", "report")) if self.source else "none"


def read_run(workdir: Path, *, with_text: bool) -> Run:
    """Reads everything but the records.

    Args:
        workdir: of a train job.
        with_text: show report text even of data that is not public.

    Raises:
        UserError: not a workdir, or its dataset was prepared another way.
        CorruptDataError: a results file or the dataset is damaged.
    """
    config = load_run_config(workdir)
    dataset_contract, contract = load_checkpoint_contract(workdir)
    source = _open_dataset(workdir, config)
    if source is not None:
        require_same(source.contract, dataset_contract, where=source.directory.name)
    history = _read_results(workdir)
    public = source is not None and source.info.get("public") is True
    return Run(
        workdir=workdir,
        config=config,
        dataset_contract=dataset_contract,
        input=contract,
        status=_read_status(workdir),
        metrics=[m for m in read_metrics(workdir) if isinstance(m, dict) and "step" in m],
        checkpoints=checkpoint.steps(workdir),
        rows=newest(history),
        history=history,
        predictions=_read_predictions(workdir),
        source=source,
        show_text=public or with_text,
    )


def _open_dataset(workdir: Path, config: RunConfig) -> RecordSource | None:
    """The config's dataset; a workdir that was moved may hold its dataset itself."""
    for directory in (Path(config.data_config().dataset), workdir / "dataset"):
        if (directory / CONTRACT_FILE).is_file():
            return RecordSource(directory)
    return None


def _read_status(workdir: Path) -> dict[str, Any]:
    try:
        status = json.loads((workdir / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _read_results(workdir: Path) -> list[Row]:
    if (workdir / RESULTS).is_file():
        return read_rows(workdir / RESULTS)
    return rebuild_results(workdir) if (workdir / "evals").is_dir() else []


def newest(rows: Sequence[Row]) -> list[Row]:
    """The rows of each evaluator's newest step, in order."""
    last: dict[str, int] = {}
    for row in rows:
        last[row.evaluator] = max(row.step, last.get(row.evaluator, row.step))
    return [row for row in rows if row.step == last[row.evaluator]]


def _read_predictions(workdir: Path) -> dict[str, list[Predictions]]:
    found = {}
    for path in sorted((workdir / "evals").glob("*/*/predictions.csv")):
        folder = path.parent
        if folder.name.isdigit() and (folder / RESULTS).is_file():
            name, step = folder.parent.name, int(folder.name)
            if step >= found.get(name, (-1, path))[0]:
                found[name] = (step, path)
    return {name: _readable(path) for name, (_, path) in found.items()}


def _readable(path: Path) -> list[Predictions]:
    """The tables stand without the cases, so a file that cannot be read costs the plots alone."""
    try:
        return read_predictions(path)
    except UserError:
        return []
