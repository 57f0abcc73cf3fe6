"""One contrastive loss, three ways to compute it: dense, chunked, around a ring of devices."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from cmrjax.core.errors import UserError
from cmrjax.objectives.pairs.dense import dense_sigmoid_loss, dense_softmax_loss
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig, complete, relation
from cmrjax.objectives.pairs.sigmoid import sigmoid_loss
from cmrjax.objectives.pairs.softmax import softmax_loss
from cmrjax.objectives.pairs.tiles import Layout, product

KINDS = ("softmax", "sigmoid")
FORMS = ("dense", "chunked", "ring")


def pair_loss(
    z_video: jax.Array,
    z_text: jax.Array,
    scale: jax.Array | float,
    bias: jax.Array | float,
    pairs: Pairs,
    *,
    kind: str,
    relation: RelationConfig,
    form: str = "dense",
    chunk: int = 0,
    mesh: Mesh | None = None,
) -> jax.Array:
    """The contrastive loss of videos against texts; the same number in every form.

    Args:
        z_video: `[b, d]`, unit vectors.
        z_text: `[m, d]`, unit vectors; `m` need not be `b`.
        scale: inverse temperature (the exponential of the learned parameter).
        bias: added to every logit; the softmax does not see it.
        pairs: which videos and texts belong together.
        kind: `softmax` (Radford et al. 2021) or `sigmoid` (Zhai et al. 2023).
        relation: what makes a positive.
        form: `dense` holds all `b * m` logits; `chunked` a tile of them, on one device; `ring` a
            tile on each device of `mesh`, over whose batch axes `b` and `m` are split.
        chunk: videos in a tile; 0 chooses.
        mesh: of `make_mesh`, for `ring`.

    Returns:
        float32 scalar. Gradients pass to the embeddings, the scale and the bias.

    Raises:
        UserError: an unknown choice, arrays missing from `pairs`, or a mesh that does not fit.
    """
    for key, value, allowed in (("loss", kind, KINDS), ("form", form, FORMS)):
        if value not in allowed:
            raise UserError(f"{key} = {value!r}", where="config.objective", fix=f"use {allowed}")
    if form == "ring" and mesh is None:
        raise UserError("form = 'ring' without a mesh", where="config.objective", fix="give a mesh")
    pairs = jax.lax.stop_gradient(complete(pairs, relation))
    scale, bias = jnp.asarray(scale, jnp.float32), jnp.asarray(bias, jnp.float32)
    if form == "dense":
        return _dense_loss(z_video, z_text, scale, bias, pairs, kind, relation)
    layout = Layout(relation=relation, chunk=chunk, mesh=mesh if form == "ring" else None)
    if kind == "softmax":
        return softmax_loss(layout, z_video, z_text, scale, pairs)
    return sigmoid_loss(layout, z_video, z_text, scale, bias, pairs)


def _dense_loss(z_video, z_text, scale, bias, pairs, kind, config):
    logits = scale * product(z_video, z_text.T)
    weight, counted = relation(pairs.rows, pairs.columns, config)
    if kind == "softmax":
        return dense_softmax_loss(logits, weight, counted)
    return dense_sigmoid_loss(logits + bias, weight, counted, pairs.rows["valid"].sum())
