"""The contrastive losses, forward and backward: time and temporary memory.

On one device the loss in tiles stands beside the whole matrix of pairs; on eight simulated devices
the ring beside the usual form, in which every device gathers the batch.
"""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cmrjax.benchmarks.row import Row
from cmrjax.benchmarks.timing import in_turn
from cmrjax.core.partitioning import BATCH_AXES, batch_sharding, make_mesh, replicated
from cmrjax.objectives.pairs.loss import KINDS, pair_loss
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig

WIDTH = 512
BATCH = 8_192
LARGE_BATCH = 65_536
DEVICES = 8
SECONDS = 10.0  # of timing a row
# Of CLIP and of SigLIP at the start.
SCALE, BIAS = {"softmax": 1 / 0.07, "sigmoid": 10.0}, -10.0
DEVICES_FLAG = f"--xla_force_host_platform_device_count={DEVICES}"


def run(only: tuple[str, ...] = ()) -> Iterator[Row]:
    """One device, eight devices, and one batch whose matrix of pairs would not fit."""
    rows = {
        f"{kind}, {form}, batch {batch}": functools.partial(function, kind, batch)
        for form, function, batch in (
            ("one device", one_device_row, BATCH),
            (f"{DEVICES} devices", ring_row_in_new_process, BATCH),
            ("one device", large_batch_row, LARGE_BATCH),
        )
        for kind in KINDS
    }
    for name, function in rows.items():
        if not only or any(word in name for word in only):
            print(f"bench: {name}", file=sys.stderr, flush=True)
            yield dataclasses.replace(function(), name=name)


def compile_loss(kind: str, batch: int, form: str, mesh: Mesh | None = None) -> Any:
    """The loss and its gradients by embeddings, scale and bias, compiled; every text has one video.

    Args:
        kind: `softmax` or `sigmoid`.
        batch: videos, and texts.
        form: of `pair_loss`, or `all-gather`.
        mesh: for `ring` and `all-gather`.
    """

    def loss(z_video, z_text, scale, bias, study):
        if form == "all-gather":
            assert mesh is not None
            return all_gather_loss(z_video, z_text, scale, bias, study, kind=kind, mesh=mesh)
        pairs = Pairs({"study": study}, {"study": study})
        return pair_loss(
            z_video,
            z_text,
            scale,
            bias,
            pairs,
            kind=kind,
            relation=RelationConfig(),
            form=form,
            mesh=mesh,
        )

    with_gradients = jax.value_and_grad(loss, argnums=(0, 1, 2, 3))
    shapes = [(batch, WIDTH), (batch, WIDTH), (), (), (batch,)]
    types = [jnp.float32] * 4 + [jnp.int32]
    places = [None] * 5 if mesh is None else _places(mesh)
    arguments = [
        jax.ShapeDtypeStruct(shape, dtype, sharding=place)
        for shape, dtype, place in zip(shapes, types, places, strict=True)
    ]
    out = None if mesh is None else (replicated(mesh), tuple(places[:4]))
    return jax.jit(with_gradients, out_shardings=out).lower(*arguments).compile()


def _places(mesh: Mesh) -> list[NamedSharding]:
    split, whole = batch_sharding(mesh), replicated(mesh)
    return [split, split, whole, whole, split]


def all_gather_loss(z_video, z_text, scale, bias, study, *, kind: str, mesh: Mesh) -> jax.Array:
    """The usual form: each device compares its part of the batch with the gathered other side."""

    def gather(x):
        return lax.all_gather(x, BATCH_AXES, tiled=True)

    def local(z_video, z_text, scale, bias, study):
        b = study.shape[0] * DEVICES
        same = study[:, None] == gather(study)[None, :]
        logits = scale * (z_video @ gather(z_text).T)
        if kind == "sigmoid":
            logits += bias
            part = jax.nn.softplus(jnp.where(same, -logits, logits)).sum()
        else:
            back = scale * (z_text @ gather(z_video).T)
            part = -jnp.where(same, jax.nn.log_softmax(logits), 0.0).sum() / 2
            part -= jnp.where(same, jax.nn.log_softmax(back), 0.0).sum() / 2
        return lax.psum(part, BATCH_AXES) / b

    split, whole = PartitionSpec(BATCH_AXES), PartitionSpec()
    specs = (split, split, whole, whole, split)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=whole)(
        z_video, z_text, scale, bias, study
    )


def _batch(kind: str, batch: int, mesh: Mesh | None = None) -> list[jax.Array]:
    """Arguments of the compiled loss: each text's embedding is near its video's."""
    rng = np.random.default_rng(0)
    z_video = rng.standard_normal((batch, WIDTH), np.float32)
    z_text = z_video + rng.standard_normal((batch, WIDTH), np.float32)
    sides = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z_video, z_text)]
    numbers = [np.float32(SCALE[kind]), np.float32(BIAS), np.arange(batch, dtype=np.int32)]
    places = [None] * 5 if mesh is None else _places(mesh)
    return [jax.device_put(x, place) for x, place in zip([*sides, *numbers], places, strict=True)]


def one_device_row(kind: str, batch: int, *, seconds: float = SECONDS) -> Row:
    """In tiles beside the whole matrix."""
    losses = [compile_loss(kind, batch, form) for form in ("chunked", "dense")]
    return _compare("the whole matrix", kind, batch, losses, seconds=seconds)


def ring_row(kind: str, batch: int, *, seconds: float = SECONDS) -> Row:
    """The ring beside the all-gather form; needs `DEVICES` devices in this process."""
    mesh = make_mesh({"data": DEVICES}, devices=jax.devices()[:DEVICES])
    losses = [compile_loss(kind, batch, form, mesh) for form in ("ring", "all-gather")]
    return _compare("all-gather", kind, batch, losses, mesh=mesh, seconds=seconds)


def _compare(reference: str, kind: str, batch: int, losses, *, seconds: float, mesh=None) -> Row:
    memory = [loss.memory_analysis().temp_size_in_bytes / 1e6 for loss in losses]
    arguments = _batch(kind, batch, mesh)
    found = [float(loss(*arguments)[0]) for loss in losses]
    if not np.isclose(*found, rtol=1e-4):
        raise RuntimeError(f"the forms disagree: {found}")
    times = in_turn([lambda f=f: f(*arguments) for f in losses], seconds=seconds)
    device = "" if mesh is None else " of a device"
    return Row(
        name=kind,
        reference=reference,
        ours_s=times[0],
        reference_s=times[1],
        ours_mb=memory[0],
        reference_mb=memory[1],
        note=f"forward and backward pass, width {WIDTH}; temporary memory{device}",
        extra={"memory_factor": round(memory[1] / memory[0], 1)},
    )


def ring_row_in_new_process(kind: str, batch: int, *, seconds: float = SECONDS) -> Row:
    """`ring_row` in a process whose CPU counts as several devices, which only its start decides."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{flags} {DEVICES_FLAG}"}
    words = [kind, str(batch), str(seconds)]
    command = [sys.executable, "-m", "cmrjax.benchmarks.losses", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the ring on {DEVICES} devices failed: {done.stderr.strip()}")
    return Row(**json.loads(done.stdout))


def large_batch_row(kind: str, batch: int) -> Row:
    """In tiles, once: the whole matrix of 65,536 by 65,536 pairs alone would take 17 GB."""
    loss = compile_loss(kind, batch, "chunked")
    arguments = _batch(kind, batch)
    begin = time.perf_counter()
    value, gradients = jax.block_until_ready(loss(*arguments))
    taken = time.perf_counter() - begin
    if not all(bool(jnp.isfinite(x).all()) for x in (value, *gradients)):
        raise RuntimeError(f"the loss of a batch of {batch} is {value}")
    return Row(
        name=kind,
        ours_s=taken,
        ours_mb=loss.memory_analysis().temp_size_in_bytes / 1e6,
        note=f"forward and backward pass, once, width {WIDTH}; the matrix of pairs would take "
        f"{4 * batch**2 / 1e9:.2g} GB",
    )


if __name__ == "__main__":
    _kind, _batch_size, _seconds = sys.argv[1:]
    _row = ring_row(_kind, int(_batch_size), seconds=float(_seconds))
    print(json.dumps(dataclasses.asdict(_row)))
