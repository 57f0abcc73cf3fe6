"""Which texts are positives of which videos, and which pairs do not count at all.

A batch holds several cines of one study, several sentences of one report, and many reports that
say the same of normal hearts. What such pairs are is a stated option, decided from arrays that
travel with the embeddings, tile by tile, so that no matrix over the whole batch is needed.
"""

import dataclasses

import jax
import jax.numpy as jnp

from cmrjax.core.errors import UserError

POSITIVES = ("study", "statement", "findings", "similarity")
OTHERS = ("soft", "mask")
Side = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What is known of a batch's videos (rows) and texts (columns).

    Args:
        rows: `study` integer `[b]`, the study of each video; `statements` uint32 `[b, k]`, the keys
            of all statements of its report, 0 pads (for `statement` alone); `features` float32
            `[b, f]` (for `findings` and `similarity`); `valid` bool `[b]`, all True by default.
        columns: `study` integer `[m]`; `statement` uint32 `[m]`, the key of each text, 0 is padding
            (may be left out where nothing is padded and statements are not compared); `features`
            float32 `[m, f]`; `valid` bool `[m]`.

    Studies are compared by value, over all devices: the numbers must be unique in the batch.
    """

    rows: Side
    columns: Side


jax.tree_util.register_dataclass(Pairs, data_fields=["rows", "columns"], meta_fields=[])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelationConfig:
    """What makes a pair a positive, and what becomes of positives between two studies.

    Args:
        positives: `study`: videos and texts of one study alone. The others add pairs of two
            studies: `statement`: the video's report makes the same statement; `findings`: the
            cosine between the studies' known findings (+1 present, -1 absent, 0 unknown) reaches
            `threshold`; `similarity`: the cosine between two texts' unit vectors does, and is the
            weight of the pair, beside 1 within a study.
        others: `soft`: the added pairs share the target; `mask`: they are left out of the loss,
            being neither positives nor negatives.
        threshold: cosine, in (0, 1]. At 0.9, of ten findings one may be unknown in one study
            (.949) and none may be contrary (.8).
    """

    positives: str = "study"
    others: str = "soft"
    threshold: float = 0.9

    def __post_init__(self):
        for key, allowed in (("positives", POSITIVES), ("others", OTHERS)):
            if getattr(self, key) not in allowed:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}",
                    where="config.objective",
                    fix=f"use {allowed}",
                )
        if not 0 < self.threshold <= 1:
            raise UserError(
                f"threshold = {self.threshold}",
                where="config.objective",
                fix="a cosine above 0, at most 1",
            )


def complete(pairs: Pairs, config: RelationConfig) -> Pairs:
    """The arrays that the option needs, alone, and `valid` on both sides.

    Raises:
        UserError: an array that the option compares is missing.
    """
    needed = {
        "study": ((), ()),
        "statement": (("statements",), ("statement",)),
        "findings": (("features",), ("features",)),
        "similarity": (("features",), ("features",)),
    }[config.positives]
    sides = []
    for side, names in zip((pairs.rows, pairs.columns), needed, strict=True):
        absent = [name for name in ("study", *names) if name not in side]
        if absent:
            raise UserError(
                f"positives = {config.positives!r} needs {absent}, the batch has {sorted(side)}",
                where="config.objective",
                fix="choose other positives, or data that holds them",
            )
        valid = side.get("valid", jnp.ones(side["study"].shape, bool))
        if "statement" in side:
            valid = valid & (side["statement"] != 0)  # not in place: it may be the caller's
        sides.append({name: side[name] for name in ("study", *names)} | {"valid": valid})
    return Pairs(*sides)


def relation(rows: Side, columns: Side, config: RelationConfig) -> tuple[jax.Array, jax.Array]:
    """Compares a block of videos with a block of texts, both of `complete`.

    Returns:
        weight: float32 `[b, m]` in 0..1, the part of each pair in the target before it is
            normalised; 0 for a pair that is no positive.
        counted: bool `[b, m]`, False where the pair is no negative either.
    """
    valid = rows["valid"][:, None] & columns["valid"][None, :]
    own = (rows["study"][:, None] == columns["study"][None, :]) & valid
    if config.positives == "study":
        return own.astype(jnp.float32), valid
    other = jnp.where(valid & ~own, _likeness(rows, columns, config), 0.0)
    if config.others == "mask":
        return own.astype(jnp.float32), valid & (other == 0)
    return jnp.where(own, 1.0, other), valid


def _likeness(rows: Side, columns: Side, config: RelationConfig) -> jax.Array:
    """The weight `[b, m]` of a pair of two studies; 0 where they are not alike."""
    if config.positives == "statement":
        same = rows["statements"][:, :, None] == columns["statement"][None, None, :]
        return same.any(axis=1).astype(jnp.float32)
    # Not rounded to TF32's 10 bits, in which equal vectors may miss a threshold of 1.
    features = _unit(rows["features"]), _unit(columns["features"]).T
    cosine = jnp.matmul(*features, precision=jax.lax.Precision.HIGHEST)
    alike = cosine >= config.threshold - 1e-6  # equal vectors may have a cosine just below 1
    if config.positives == "findings":
        return alike.astype(jnp.float32)
    return jnp.where(alike, jnp.minimum(cosine, 1.0), 0.0)


def _unit(x: jax.Array) -> jax.Array:
    """Of length 1; a zero vector (nothing is known) stays zero and is like nothing."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
