"""Workdirs as `train` leaves them, their parameters drawn instead of trained: that is quicker."""

from pathlib import Path

import jax
import numpy as np
from flax import nnx

from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.core.writer import write_json_atomic
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import save_checkpoint_contract
from cmrjax.data.records import RecordSource
from cmrjax.experiment import input_contract, make_tokenizer, run_config
from tests.models.networks import filled
from tests.tiny import tiny_config

# Networks that compile quickly: for tests of what happens to one, not of what it computes.
SMALL = {
    "model": {"variant": "N", "size": (16, 1, 2), "tubelet": (4, 8, 8), "joint": 16},
    "text": {"vocabulary_size": 60, "width": 16, "depth": 1, "heads": 2},
}
SUPERVISED = {"name": "supervised", "binary": ("bright",), "regression": ("lvef",)}


def write_workdir(dataset: Path, workdir: Path, *, steps: tuple[int, ...], **changes) -> Path:
    """A finished run on a tiny dataset; each step's parameters are drawn with it as the seed."""
    run = run_config(tiny_config(dataset, **changes))
    source = RecordSource(dataset)
    contract, vocabulary = input_contract(run, source), 0
    workdir.mkdir(parents=True)
    if contract.tokenizer == "wordpiece":
        tokenizer = make_tokenizer(run, source)
        wordpiece.save_tokenizer(workdir, tokenizer)
        vocabulary = tokenizer.get_vocab_size()
    objective = make_objective(run, contract, vocabulary=vocabulary, source=source)
    for step in steps:
        drawn = nnx.state(filled(objective.abstract, seed=step, scale=0.1), nnx.Param)
        params = jax.tree.map(np.asarray, nnx.to_pure_dict(drawn))
        checkpoint.save(workdir, step, {"params": params})
    save_checkpoint_contract(workdir, source.contract, contract)
    write_json_atomic(workdir / "config.json", run.to_json())
    status = {"state": "done", "step": steps[-1], "steps": steps[-1], "updated": 0.0}
    write_json_atomic(workdir / "status.json", status)
    return workdir
