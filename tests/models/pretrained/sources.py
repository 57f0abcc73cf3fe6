"""The golden networks of `tests/golden/hf`, and copies of them with something changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from cmrjax.models.build import abstract_model
from cmrjax.models.pretrained.load import Loaded

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hf"
# What is in the files and has no place in our towers.
UNEXPECTED = {
    "vit": ("pooler.*",),
    "dinov2": ("embeddings.mask_token",),
    "dinov2_registers": ("embeddings.mask_token",),
    "videomae_classifier": ("classifier.*",),
}
LAYOUTS = {
    "bert": "bert",
    "vit": "vit",
    "dinov2": "dinov2",
    "dinov2_registers": "dinov2",
    "videomae": "videomae",
    "videomae_classifier": "videomae",
    "timm_vit": "timm_vit",
    "timm_vit_registers": "timm_vit",
}


def expected(name: str) -> dict[str, np.ndarray]:
    """What the reference computed."""
    with np.load(GOLDEN / name / "expected.npz") as arrays:
        return dict(arrays)


def changed(
    name: str,
    target: Path,
    *,
    tensors: Callable[[dict[str, np.ndarray]], None] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A copy of a golden network whose tensors or config are changed."""
    shutil.copytree(GOLDEN / name, target)
    if tensors is not None:
        held = load_file(target / "model.safetensors")
        tensors(held)
        save_file(held, target / "model.safetensors")
    if config is not None:
        path = target / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return target


def run(loaded: Loaded, method: str, *args: Any) -> Any:
    """A method of the loaded network, compiled."""
    graph, _ = nnx.split(abstract_model(loaded.config))
    function = jax.jit(lambda params, *args: getattr(nnx.merge(graph, params), method)(*args))
    return jax.tree.map(np.asarray, function(loaded.params, *args))
