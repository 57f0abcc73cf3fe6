"""Hugging Face BERT (Devlin et al. 2019): `bert-base-uncased` and those trained on other text."""

import dataclasses

from cmrjax.core.errors import UserError
from cmrjax.models.pretrained.entries import Entry, linear, norm, same
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.hf import BERT, block_entries
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.source import (
    activation_of,
    depth_of,
    heads_of,
    integer,
    is_of,
    prefix_of,
    ratio,
    real,
    shape_of,
)
from cmrjax.models.text_encoder import TextEncoderConfig

FREE = ()
_LAYERS = "encoder.layer."
_TABLES = "embeddings."


def matches(weights: Weights) -> bool:
    """Whether the source is one; RoBERTa has the same keys, but its positions begin elsewhere."""
    return is_of(weights, ("bert",), r"^bert\..*attention\.self\.query\.")


def config_from(weights: Weights, options: ImportOptions) -> TextEncoderConfig:
    """Our config of the source's network."""
    config, prefix = weights.config or {}, prefix_of(weights, _LAYERS)
    for key, value in {"is_decoder": False, "position_embedding_type": "absolute"}.items():
        if config.get(key, value) != value:
            raise UserError(f"{key} = {config[key]!r}", where=weights.where, fix=f"only {value}")
    shapes = [(0, 0), (0, 0)]
    if not config.keys() >= {"hidden_size", "vocab_size", "max_position_embeddings"}:
        names = ("word_embeddings", "position_embeddings")
        shapes = [shape_of(weights, f"{prefix}{_TABLES}{name}.weight", 2) for name in names]
    width = integer(weights, "hidden_size", shapes[0][1])
    hidden = config.get("intermediate_size")
    if hidden is None:
        hidden = shape_of(weights, f"{prefix}{_LAYERS}0.{BERT.up}.weight", 2)[0]
    depth = depth_of(weights, prefix + _LAYERS)
    pools = any(key.startswith(f"{prefix}pooler.") for key in weights.tensors)
    activation, epsilon = activation_of(weights), real(weights, "layer_norm_eps", 1e-12)
    return TextEncoderConfig(
        vocabulary=integer(weights, "vocab_size", shapes[0][0]),
        max_tokens=options.max_tokens or integer(weights, "max_position_embeddings", shapes[1][0]),
        width=width,
        depth=depth,
        heads=heads_of(weights, options),
        mlp_ratio=ratio(integer(weights, "intermediate_size", hidden), width),
        style="bert",
        # The style's own are left empty, so that a config that does not name them is the same.
        activation="" if activation == "gelu" else activation,
        epsilon=0.0 if epsilon == 1e-12 else epsilon,
        pool=options.pool or ("pooler" if pools else "cls"),
    )


def entries(weights: Weights, config: TextEncoderConfig, options: ImportOptions) -> list[Entry]:
    """How each of our parameters is made."""
    prefix, width = prefix_of(weights, _LAYERS), config.width
    names = ("weight", "bias")
    if any(key.endswith("LayerNorm.gamma") for key in weights.tensors):
        names = ("gamma", "beta")  # as TensorFlow named them, in the oldest files
    found = [
        same(
            ("embed", "embedding"),
            f"{prefix}{_TABLES}word_embeddings.weight",
            (config.vocabulary, width),
        ),
        _positions(weights, config, f"{prefix}{_TABLES}"),
        *norm(("embed_norm",), f"{prefix}{_TABLES}LayerNorm", width, names=names),
        *block_entries(
            dataclasses.replace(BERT, norm_names=names),
            prefix + _LAYERS,
            depth=config.depth,
            width=width,
            hidden=int(width * config.mlp_ratio),
        ),
    ]
    if config.pool == "pooler":
        found += linear(("pooler",), f"{prefix}pooler.dense", width, width)
    return found


def _positions(weights: Weights, config: TextEncoderConfig, tables: str) -> Entry:
    """The first rows of the table, with the vector of sentence A: we have one kind of sentence."""
    kinds = integer(weights, "type_vocab_size", 2)
    rows = integer(
        weights,
        "max_position_embeddings",
        shape_of(weights, f"{tables}position_embeddings.weight", 2)[0],
    )
    if config.max_tokens > rows:
        raise UserError(
            f"{config.max_tokens} tokens, but positions for {rows}",
            where=weights.where,
            fix="choose max_tokens no larger",
        )
    cut = f", the first {config.max_tokens} of {rows}" if config.max_tokens < rows else ""
    return Entry(
        path=("position",),
        keys=(f"{tables}position_embeddings.weight", f"{tables}token_type_embeddings.weight"),
        shapes=((rows, config.width), (kinds, config.width)),
        convert=lambda table, kind: table[: config.max_tokens] + kind[0],
        note=f"token type 0 added{cut}",
    )
