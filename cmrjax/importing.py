"""Weights of another network as a model folder; `cmrjax/import.py` starts it."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.data.contract import InputContract
from cmrjax.evals.model import Model
from cmrjax.evals.model_folder import write_model_folder
from cmrjax.exporting.card import CardWords, model_card
from cmrjax.models.build import ModelConfig, init_params
from cmrjax.models.pretrained.load import LAYOUTS, Loaded, load
from cmrjax.models.pretrained.options import CHOICES, ImportOptions
from cmrjax.models.pretrained.report import LoadError
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.pretrained import Source, open_source

# Of parameters that the source does not have and the user allows to be missing.
_SEED = 0


def main(argv: Sequence[str]) -> int:
    """`cmrjax import --input DIR_OR_FILE --output MODEL_DIR [choices]`."""
    args = _parser().parse_args(argv)
    given: dict[str, Any] = {
        field.name: tuple(value) if isinstance(value, list) else value
        for field in dataclasses.fields(ImportOptions)
        if (value := getattr(args, field.name)) is not None
    }
    options = ImportOptions(**given)
    if args.output.exists():
        raise UserError("exists already", where=str(args.output), fix="give another --output")
    source = open_source(args.input, step=args.step)
    try:
        loaded = load(
            source.weights,
            layout=args.layout,
            options=options,
            initial=lambda config: init_params(config, jax.random.key(_SEED)),
        )
    except LoadError as error:
        print(error.report.table(), file=sys.stderr)
        raise
    model = imported(source, loaded)
    words = CardWords(name=args.output.resolve().name, licence=args.licence)
    card = f"{model_card(model, words)}\n{_card_section(loaded, args.input)}"
    write_model_folder(args.output, model, card=card)
    print(loaded.report.table())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cmrjax import", description=__doc__)
    add = parser.add_argument
    add("--input", required=True, type=Path, help="a .safetensors file, or a folder of one")
    add("--output", required=True, type=Path, help="a folder that does not exist yet")
    add("--layout", default="", choices=["", *LAYOUTS], help="found out by default")
    add("--frames", type=int, help="of the clips")
    add("--size", type=int, help="rows and columns of the clips")
    add("--tubelet-frames", type=int, help="frames of a token, of an image network")
    for name in ("inflate", "channels", "positions", "pool"):
        add(f"--{name}", choices=[value for value in CHOICES[name] if value])
    add("--mean", type=float, nargs="+", help="the source's, over values 0..1")
    add("--std", type=float, nargs="+", help="the source's, over values 0..1")
    add("--heads", type=int, help="attention heads, where no config says it")
    add("--max-tokens", type=int, help="longest sentence")
    add("--allow-missing", nargs="+", action="extend", metavar="PATTERN", help="of our parameters")
    add("--allow-unexpected", nargs="+", action="extend", metavar="PATTERN", help="of their keys")
    add("--step", type=int, default=-1, help="of a workdir; the newest by default")
    add("--licence", "--license", default="", help="of the weights, e.g. apache-2.0")
    return parser


def imported(source: Source, loaded: Loaded) -> Model:
    """The model that a source's weights make.

    Raises:
        UserError: a text tower has no tokenizer, or fewer rows than its tokenizer has tokens.
    """
    if source.model is not None:  # ours: what trained it stays known
        contract = _input(loaded.config, source.model.input)
        return dataclasses.replace(
            source.model, config=loaded.config, params=loaded.params, input=contract
        )
    contract = InputContract(
        clip_frames=0,
        clip_sampling="uniform",
        crop_size=0,
        normalise="unit",
        report_sections=(),
        tokenizer="none",
        max_tokens=0,
    )
    tokenizer = None
    if isinstance(loaded.config, TextEncoderConfig):
        tokenizer = _tokenizer(source, loaded.config)
        sections = ("findings", "impression")
        contract = dataclasses.replace(contract, tokenizer="wordpiece", report_sections=sections)
    return Model(
        config=loaded.config,
        params=loaded.params,
        input=_input(loaded.config, contract),
        tokenizer=tokenizer,
    )


def _input(config: ModelConfig, contract: InputContract) -> InputContract:
    """The contract with the network's own sizes."""
    video: Any = getattr(config, "video", config)
    text: Any = getattr(config, "text", config)
    if not isinstance(video, TextEncoderConfig):
        frames, rows, _ = video.clip
        contract = dataclasses.replace(contract, clip_frames=frames, crop_size=rows)
    if isinstance(text, TextEncoderConfig):
        contract = dataclasses.replace(contract, max_tokens=text.max_tokens)
    return contract


def _tokenizer(source: Source, config: TextEncoderConfig) -> Tokenizer:
    where = source.weights.where
    if source.tokenizer is None:
        raise UserError(
            "no vocab.txt or tokenizer.json beside the weights", where=where, fix="put it there"
        )
    if source.tokenizer.get_vocab_size() > config.vocabulary:
        raise UserError(
            f"{source.tokenizer.get_vocab_size()} tokens, but embeddings of {config.vocabulary}",
            where=where,
            fix="put the vocabulary there that the weights were trained with",
        )
    return source.tokenizer


def _card_section(loaded: Loaded, path: Path) -> str:
    """What became of the source's tensors; its name and no path."""
    report = dataclasses.replace(loaded.report, where=path.resolve().name)
    return f"## Imported from\n\n```\n{report.table()}\n```\n"
