"""The video towers: parameters, FLOPs, time and memory of a training step, and an import.

Ours is the trunk as training runs it: one scanned block, recomputed in the backward pass. The
reference is the same network as a plain loop over its blocks that keeps every activation.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cmrjax.benchmarks.bert import write_bert
from cmrjax.benchmarks.row import Row
from cmrjax.benchmarks.timing import in_turn
from cmrjax.models.build import abstract_model, init_params
from cmrjax.models.flops import TRAINING_FACTOR, video_flops
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.video import VideoConfig
from cmrjax.models.video_vit import VideoViTConfig

SECONDS = 4.0  # of timing a row
_LARGE = 1e12  # forward operations of a clip; more take a CPU minutes, and are timed once


def _vit(variant: str, size: int, attention: str = "joint") -> VideoViTConfig:
    """16 frames in tubelets of 2 x 16 x 16."""
    return VideoViTConfig(
        variant=variant, clip=(16, size, size), tubelet=(2, 16, 16), attention=attention
    )


MODELS: dict[str, VideoConfig] = {
    "Ti/16 joint, 16x96x96": _vit("Ti", 96),
    "Ti/16 factorised, 16x96x96": _vit("Ti", 96, "factorised"),
    "Ti/16 divided, 16x96x96": _vit("Ti", 96, "divided"),
    "S/8, one frame of 224": VideoViTConfig(
        variant="S", tubelet=(1, 8, 8), clip=(1, 224, 224), cls_token=True, pool="cls"
    ),
    "S/16 joint, 16x224x224": _vit("S", 224),
    "MViT-B 16x4, 16x224x224": MViTConfig(),
    "B/16 joint, 16x224x224": _vit("B", 224),
    "L/16 joint, 16x224x224": _vit("L", 224),
    "H/14 joint, 16x224x224": VideoViTConfig(variant="H", clip=(16, 224, 224), tubelet=(2, 14, 14)),
}


def run(only: tuple[str, ...] = ()) -> Iterator[Row]:
    """Every model that fits into this machine's memory, then an import of 100 M parameters."""
    for name, config in MODELS.items():
        if not only or any(word in name for word in only):
            print(f"bench: {name}", file=sys.stderr, flush=True)
            yield model_row(name, config)
    if not only or "import" in only:
        yield import_row()


def model_row(name: str, config: VideoConfig, *, seconds: float = SECONDS) -> Row:
    """Forward and backward pass of one clip."""
    ours = dataclasses.replace(config, remat="full")
    plain: dict[str, Any] = {"remat": "none"}
    if isinstance(config, VideoViTConfig):
        plain["scan"] = False
    reference = dataclasses.replace(config, **plain)
    shapes = jax.eval_shape(lambda: init_params(ours, jax.random.key(0)))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    flops = video_flops(config)
    extra = {
        "parameters": parameters,
        "forward_gflop": round(flops / 1e9, 2),
        "tokens": int(np.prod(config.grid)),
    }
    compiled = [_compile(each, shapes) for each in (ours, reference)]
    memory = [c.memory_analysis().temp_size_in_bytes for c in compiled]
    row = Row(
        name=name,
        reference="loop over blocks, nothing recomputed",
        ours_mb=memory[0] / 1e6,
        reference_mb=memory[1] / 1e6,
        note="forward and backward pass of one clip; memory beside parameters and gradients",
        extra=extra,
    )
    # Parameters, their gradients, and half of the machine left to everybody else.
    needed = [size + 8 * parameters for size in memory]
    fits = [size <= _available() / 2 for size in needed]
    if not all(fits):
        left_out = "ours and the reference" if not any(fits) else "the reference"
        short = f"{left_out} compiled, not run (needs {max(needed) / 1e9:.1f} GB)"
        row = dataclasses.replace(row, note=f"{row.note}; {short}")
    if not fits[0]:
        return row
    # NumPy fills the parameters faster than a device compiles their initializers.
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.standard_normal(leaf.shape, np.float32)), shapes
    )
    clip = jnp.asarray(rng.random((1, *config.clip), np.float32))
    run = [lambda c=c: c(params, clip) for c, there in zip(compiled, fits, strict=True) if there]
    least = 3 if flops < _LARGE else 1
    times = [*in_turn(run, seconds=seconds, least=least), None][:2]
    extra["ours_gflop_per_s"] = round(TRAINING_FACTOR * flops / times[0] / 1e9, 1)
    return dataclasses.replace(row, ours_s=times[0], reference_s=times[1], extra=extra)


def _compile(config: VideoConfig, shapes: Any) -> Any:
    graph = nnx.split(abstract_model(config))[0]

    def loss(params, clip):
        return nnx.merge(graph, params)(clip).sum()

    clip = jax.ShapeDtypeStruct((1, *config.clip), jnp.float32)
    return jax.jit(jax.grad(loss)).lower(shapes, clip).compile()


def _available() -> int:
    """Bytes of memory: the accelerator's, or the machine's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def import_row() -> Row:
    """The whole `cmrjax import` command on BERT-base, beside reading the file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "bert"
        source.mkdir()
        parameters = write_bert(source)
        begin = time.perf_counter()
        size = len((source / "model.safetensors").read_bytes())
        reading = time.perf_counter() - begin
        words = ["--input", str(source), "--output", f"{folder}/model", "--pool", "pooler"]
        begin = time.perf_counter()
        # The interpreter's start and every library's import are part of what a user waits for.
        command = [sys.executable, "-m", "cmrjax.cli", "import", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - begin
        if done.returncode:
            raise RuntimeError(f"cmrjax import failed: {done.stderr.strip()}")
    return Row(
        name="import of BERT-base",
        reference="reading the file's bytes",
        ours_s=taken,
        reference_s=reading,
        note=f"the whole command, {size / 1e6:.0f} MB",
        extra={"parameters": parameters},
    )
