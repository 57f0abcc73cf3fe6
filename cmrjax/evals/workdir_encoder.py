"""The models of a workdir: a run's checkpoints, and its network before the first step."""

from pathlib import Path
from typing import Any

from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import load_checkpoint_contract
from cmrjax.evals.encoder import Encoder, make_encoder
from cmrjax.evals.model import Model
from cmrjax.experiment import load_run_config


def load_workdir_model(workdir: Path, *, step: int | None = None) -> Model:
    """The network of a workdir's checkpoint.

    Args:
        workdir: of a train job.
        step: which checkpoint; the newest by default.

    Raises:
        UserError: the workdir has no such checkpoint.
        CorruptDataError: the checkpoint is damaged.
    """
    load_run_config(workdir)  # says that a folder is no workdir before it looks for checkpoints
    found, state = checkpoint.restore_parts(workdir, step, parts=("params", "ema", "extra"))
    return _model(workdir, state, step=found)


def load_encoder(workdir: Path, *, step: int | None = None, name: str = "checkpoint") -> Encoder:
    """The encoder of a workdir's checkpoint.

    Args:
        workdir: of a train job.
        step: which checkpoint; the newest by default.
        name: what results call it.

    Raises:
        UserError: the workdir has no such checkpoint.
        CorruptDataError: the checkpoint is damaged.
    """
    return make_encoder(load_workdir_model(workdir, step=step), name=name)


def random_encoder(workdir: Path, *, seed: int | None = None, name: str = "random") -> Encoder:
    """The same network as the workdir's, as it was before its first step.

    Args:
        workdir: of a train job.
        seed: of the initial values; the run's own by default.
        name: what results call it.
    """
    seed = load_run_config(workdir).seed if seed is None else seed
    return make_encoder(_model(workdir, {}, step=0).untrained(seed), name=name)


def _model(workdir: Path, state: dict[str, Any], *, step: int) -> Model:
    """The model of a restored state; without parameters where the state is empty."""
    run = load_run_config(workdir)
    dataset, contract = load_checkpoint_contract(workdir)
    tokenizer = None if contract.tokenizer == "none" else wordpiece.load_tokenizer(workdir)
    vocabulary = tokenizer.get_vocab_size() if tokenizer else 0
    objective = make_objective(run, contract, vocabulary=vocabulary, source=None)
    # A run that averages its weights is judged by the average.
    params = state.get("ema") or state.get("params") or {}
    if params:
        params = objective.encoder_params(params, state.get("extra") or {})
    return Model(
        config=objective.network,
        params=params,
        input=contract,
        dataset_contract=dataset,
        tokenizer=tokenizer,
        step=step,
    )
