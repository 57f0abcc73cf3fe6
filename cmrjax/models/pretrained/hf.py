"""Blocks as Hugging Face transformers names them on disk."""

import dataclasses

from cmrjax.models.pretrained.entries import Entry, linear, norm, qkv, same

BLOCKS = ("trunk", "blocks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockKeys:
    """How one family names the parts of a layer.

    Args:
        attention: the module with `query`, `key` and `value`.
        out: the layer after attention.
        norm1: the norm of attention, before it or (BERT) after.
        norm2: the MLP's.
        up: the MLP's first layer.
        down: its second.
        scales: the two layer scales; none in most.
        norm_names: of a norm's two tensors.
    """

    attention: str
    out: str
    norm1: str
    norm2: str
    up: str
    down: str
    scales: tuple[str, ...] = ()
    norm_names: tuple[str, str] = ("weight", "bias")


VIT = BlockKeys(
    attention="attention.attention",
    out="attention.output.dense",
    norm1="layernorm_before",
    norm2="layernorm_after",
    up="intermediate.dense",
    down="output.dense",
)
DINOV2 = BlockKeys(
    attention="attention.attention",
    out="attention.output.dense",
    norm1="norm1",
    norm2="norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
)
BERT = BlockKeys(
    attention="attention.self",
    out="attention.output.dense",
    norm1="attention.output.LayerNorm",
    norm2="output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
)


def block_entries(
    names: BlockKeys,
    prefix: str,
    *,
    depth: int,
    width: int,
    hidden: int,
    qkv_bias: bool | None = True,
) -> list[Entry]:
    """Entries of a trunk whose layers lie under `prefix` and their number.

    Args:
        names: the family's.
        prefix: `encoder.layer.` with what stands before it.
        depth: number of layers.
        width: of the tokens.
        hidden: of the MLP.
        qkv_bias: whether queries, keys and values have biases; None leaves them to the caller.
    """
    entries = []
    for i in range(depth):
        at = f"{prefix}{i}."
        q, k, v = (f"{at}{names.attention}.{part}" for part in ("query", "key", "value"))
        entries += qkv((*BLOCKS, "attention", "qkv"), (q, k, v), width, layer=i, bias=qkv_bias)
        entries += linear((*BLOCKS, "attention", "out"), at + names.out, width, width, layer=i)
        entries += linear((*BLOCKS, "up"), at + names.up, width, hidden, layer=i)
        entries += linear((*BLOCKS, "down"), at + names.down, hidden, width, layer=i)
        for ours, theirs in (("norm1", names.norm1), ("norm2", names.norm2)):
            path = (*BLOCKS, ours)
            entries += norm(path, at + theirs, width, layer=i, names=names.norm_names)
        for ours, theirs in zip(("scale1", "scale2"), names.scales, strict=False):
            entries.append(same((*BLOCKS, ours), at + theirs, (width,), layer=i))
    return entries
