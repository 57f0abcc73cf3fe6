"""Weights of other networks in the place of a run's initial ones."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import DatasetContract, differences
from cmrjax.evals.model import Model
from cmrjax.evals.model_folder import FORMAT, is_model_folder, read_model_folder
from cmrjax.evals.origin import load_trained_model
from cmrjax.models.build import ModelConfig, config_to_json
from cmrjax.models.parameters import flatten
from cmrjax.models.pretrained import native
from cmrjax.models.pretrained.config import PretrainedConfig, SourceConfig
from cmrjax.models.pretrained.files import Weights, read_weights
from cmrjax.models.pretrained.load import load
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.report import LoadError

TOWERS = ("video", "text")


class Source(NamedTuple):
    """Weights, and the tokenizer that they were trained with.

    Args:
        weights: the tensors and what is said of them.
        tokenizer: of a text tower; None where there is none.
        model: the whole model where it is one of ours.
    """

    weights: Weights
    tokenizer: Tokenizer | None
    model: Model | None = None


def open_source(path: Path, *, step: int = -1) -> Source:
    """Opens weights of any kind.

    Args:
        path: a `.safetensors` file, a folder of one, a model folder of ours or a workdir.
        step: of a workdir: which checkpoint; -1 takes the newest.

    Raises:
        UserError: it is none of these.
        CorruptDataError: a file is damaged.
    """
    if (path / "checkpoints").is_dir():
        model = load_trained_model(path, step=None if step < 0 else step)
    elif path.is_dir() and is_model_folder(path):
        model = read_model_folder(path)
    else:
        folder = path if path.is_dir() else path.parent
        return Source(read_weights(path), wordpiece.beside_weights(folder))
    said = {"format": FORMAT, "kind": model.kind, "model": config_to_json(model.config)}
    weights = Weights(tensors=flatten(model.params), config=said, where=str(path))
    return Source(weights, model.tokenizer, model)


def with_pretrained(
    params: Mapping[str, Any],
    network: ModelConfig,
    config: PretrainedConfig,
    *,
    tokenizer: Tokenizer | None,
    contract: DatasetContract,
) -> dict[str, Any]:
    """Replaces parts of a network by weights from elsewhere; the load reports go to stderr.

    Weights may be trained further on data that is prepared otherwise, as in every transfer between
    datasets; each field in which the two differ is named there.

    Args:
        params: the network's initial parameters, a pure nested dict.
        network: what it looks like.
        config: where the weights come from.
        tokenizer: of the run, whose tokens a text tower's weights must know; None without text.
        contract: of the run's dataset.

    Raises:
        UserError: a part does not fit, with every parameter that is missing, unexpected or of
            another shape; a choice is needed; or the tokens are others.
        CorruptDataError: a file is damaged.
    """
    taken = dict(params)
    for part, where, source, given in _parts(config):
        _tell_other_data(source, contract, where)
        if part not in params:
            raise UserError(f"the run has no part {part!r}", where=where)
        if part not in TOWERS:
            taken[part] = _as_it_is(part, params[part], source, where)
            continue
        weights = source.weights
        weights = native.part(weights, part) if native.matches(weights) else weights
        if part == "text":
            _require_tokens(source.tokenizer, tokenizer, where)
        taken[part] = _tower(weights, given, _part(network, part), params[part], where)
    return taken


def _tell_other_data(source: Source, contract: DatasetContract, where: str) -> None:
    theirs = source.model.dataset_contract if source.model else None
    wrong = differences(contract, theirs) if theirs else ()
    if wrong and jax.process_index() == 0:
        print(
            f"cmrjax train: warning: {where} was trained on data prepared otherwise: "
            f"{'; '.join(wrong)}; `cmrjax prepare --contract` prepares as it was",
            file=sys.stderr,
        )


def _part(network: ModelConfig, part: str) -> ModelConfig:
    """A tower of the network, which may be a video tower and nothing else."""
    return getattr(network, part, network)


def _parts(config: PretrainedConfig) -> Iterator[tuple[str, str, Source, SourceConfig]]:
    """Each part that is taken: its name, the key of the config, the source and its choices."""
    if config.workdir:
        options = ImportOptions(positions=config.positions)
        given = SourceConfig(path=config.workdir, step=config.step, options=options)
        source = open_source(Path(given.path), step=given.step)
        for part in config.take:
            yield part, "config.pretrained", source, given
    for part, given in config.sources().items():
        yield (
            part,
            f"config.pretrained.{part}",
            open_source(Path(given.path), step=given.step),
            given,
        )


def _tower(
    weights: Weights, given: SourceConfig, network: ModelConfig, initial: Any, where: str
) -> dict[str, Any]:
    try:
        loaded = load(
            weights,
            layout=given.layout,
            config=network,
            options=given.options,
            initial=lambda _: initial,
        )
    except LoadError as error:
        keys = {"allow_missing": error.missing, "allow_unexpected": error.unexpected}
        words = [f"{key} = {patterns}" for key, patterns in keys.items() if patterns]
        fix = f"if that is meant: {where}: {'; '.join(words)}"
        if error.report.differences:
            fix = "make config.model or config.text the network that the source holds"
        raise UserError(f"{error.where}: {error.what}", where=where, fix=fix) from error
    if jax.process_index() == 0:
        print(loaded.report.table(), file=sys.stderr)
    return loaded.params


def _as_it_is(part: str, ours: Any, source: Source, where: str) -> Any:
    """A part that is no tower, whose shapes must be equal."""
    theirs = source.model.params.get(part) if source.model else None
    if theirs is None:
        raise UserError(f"the source has no part {part!r}", where=where)
    shapes = [
        {key: leaf.shape for key, leaf in flatten({part: tree}).items()} for tree in (ours, theirs)
    ]
    wrong = [
        f"{key} {shapes[1].get(key, 'missing')} for {shapes[0].get(key, 'nothing')}"
        for key in sorted({*shapes[0], *shapes[1]})
        if shapes[0].get(key) != shapes[1].get(key)
    ]
    if wrong:
        raise UserError("; ".join(wrong), where=where, fix="match the models")
    return theirs


def _require_tokens(theirs: Tokenizer | None, ours: Tokenizer | None, where: str) -> None:
    """Stops where the run's tokens are not those that the weights are of."""
    if theirs is None or ours is None:
        raise UserError(
            "no vocabulary beside the text tower's weights",
            where=where,
            fix="put its vocab.txt or tokenizer.json there",
        )
    if theirs.get_vocab() != ours.get_vocab():
        raise UserError(
            f"its {theirs.get_vocab_size()} tokens are not the run's {ours.get_vocab_size()}",
            where=where,
            fix="set config.text.vocabulary to the vocab.txt or tokenizer.json of the source",
        )
