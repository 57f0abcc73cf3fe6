"""A BERT-base file with random weights, as Hugging Face writes one: something to import."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

# BERT-base, uncased (Devlin et al. 2019).
WIDTH, DEPTH, HEADS, HIDDEN, VOCABULARY, POSITIONS = 768, 12, 12, 3072, 30522, 512


def write_bert(folder: Path) -> int:
    """Writes `model.safetensors`, `config.json` and a `vocab.txt` of as many tokens.

    Args:
        folder: an empty folder.

    Returns:
        The number of parameters.
    """
    rng = np.random.default_rng(0)
    tensors = {name: rng.random(shape, np.float32) for name, shape in _shapes().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": HEADS,
        "num_hidden_layers": DEPTH,
        "type_vocab_size": 2,
        "vocab_size": VOCABULARY,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"word{i}" for i in range(VOCABULARY - len(tokens))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    return sum(tensor.size for tensor in tensors.values())


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms, linears = ["embeddings.LayerNorm"], {"pooler.dense": (WIDTH, WIDTH)}
    for i in range(DEPTH):
        layer = f"encoder.layer.{i}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for part in ("query", "key", "value"):
            linears[f"{layer}.attention.self.{part}"] = (WIDTH, WIDTH)
        linears[f"{layer}.attention.output.dense"] = (WIDTH, WIDTH)
        linears[f"{layer}.intermediate.dense"] = (HIDDEN, WIDTH)
        linears[f"{layer}.output.dense"] = (WIDTH, HIDDEN)
    for name in norms:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes
