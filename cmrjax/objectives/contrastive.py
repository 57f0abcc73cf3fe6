"""Studies or clips against the texts of their reports: softmax (CLIP) and sigmoid (SigLIP) losses.

With small batches and whole reports InfoNCE stays near ln(batch): half of the "negatives" of a
normal heart are other normal hearts. Here a sentence is drawn, and every study of the batch whose
report makes that statement is its positive.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from cmrjax.core.errors import UserError
from cmrjax.core.types import PAD_ID
from cmrjax.models.build import abstract_model, init_params
from cmrjax.models.two_tower import TwoTower, TwoTowerConfig
from cmrjax.models.video_vit import VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig, Draws, apply, draw, to_unit
from cmrjax.objectives.base import Aux, PyTree
from cmrjax.objectives.caching import encode_in_chunks
from cmrjax.objectives.health_metrics import effective_rank, embedding_spread
from cmrjax.objectives.pairs.loss import FORMS, KINDS, pair_loss
from cmrjax.objectives.pairs.relation import Pairs, RelationConfig, complete, relation

LEVELS = ("study", "clip")
# CLIP clips its scale at 100 (Radford et al. 2021, section 2.5).
MAX_LOGIT_SCALE = 4.6052


@jax.custom_vjp
def held(log_scale: jax.Array) -> jax.Array:
    """At most `MAX_LOGIT_SCALE`; beyond it, a gradient that leads back still passes.

    CLIP clips the parameter itself. The gradient of a minimum is 0 there: a scale that has once
    passed the bound would stay at 100 for good.
    """
    return jnp.minimum(log_scale, MAX_LOGIT_SCALE)


def _held_gradient(log_scale: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # Descent goes against the gradient: a positive one lowers the scale.
    return (jnp.where((log_scale <= MAX_LOGIT_SCALE) | (cotangent > 0), cotangent, 0.0),)


held.defvjp(lambda log_scale: (held(log_scale), log_scale), _held_gradient)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """How videos and texts are compared.

    Args:
        loss: `softmax` (Radford et al. 2021) or `sigmoid` (Zhai et al. 2023).
        level: what a video is: a `study`, its cines pooled, or each `clip` by itself. Clips of one
            study have the same positives, so they are never each other's negatives.
        positives: see `RelationConfig`, like the next two.
        others: what becomes of positives of other studies.
        threshold: likewise.
        findings: the labels that `findings` compares.
        form: how the matrix of pairs is computed: `dense`, `chunked` (never whole), or `ring`
            (never whole, and the batch never gathered on one device).
        chunk: videos of one tile of pairs of the latter two; 0 chooses.
        cache_parts: encode the batch in this many parts, whose activations are made again in the
            backward pass: the memory of a part, the loss and gradients of the whole (Gao et al.
            2021).
        token_drop: share of a clip's tokens that do not enter the tower (Li et al. 2023, FLIP).
        undropped_tail: share of the run, at its end, in which all do.
        flood: the loss is kept about this level (Ishida et al. 2020); 0 is off.
    """

    loss: str = "softmax"
    level: str = "study"
    positives: str = "statement"
    others: str = "soft"
    threshold: float = 0.9
    findings: tuple[str, ...] = ()
    form: str = "dense"
    chunk: int = 0
    cache_parts: int = 1
    token_drop: float = 0.0
    undropped_tail: float = 0.1
    flood: float = 0.0

    def __post_init__(self):
        for key, allowed in (("loss", KINDS), ("level", LEVELS), ("form", FORMS)):
            if getattr(self, key) not in allowed:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}",
                    where="config.objective",
                    fix=f"use {allowed}",
                )
        wrong = {
            "token_drop": (not 0 <= self.token_drop < 1, "give 0 to below 1"),
            "undropped_tail": (not 0 <= self.undropped_tail <= 1, "give 0 to 1"),
            "chunk": (self.chunk < 0, "give 0 or more"),
            "cache_parts": (self.cache_parts < 1, "give 1 or more"),
            "flood": (self.flood < 0, "give 0 or more"),
        }
        for key, (is_wrong, fix) in wrong.items():
            if is_wrong:
                raise UserError(f"{key} = {getattr(self, key)}", where="config.objective", fix=fix)
        if (self.positives == "findings") != bool(self.findings):
            raise UserError(
                "positives 'findings' and findings go together", where="config.objective"
            )
        self.relation  # noqa: B018  (checks its own fields)

    @property
    def relation(self) -> RelationConfig:
        """Which pairs are positive."""
        return RelationConfig(
            positives=self.positives, others=self.others, threshold=self.threshold
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrastive:
    """The two-tower objective; see `objectives.base.Objective`.

    Args:
        model: both towers.
        config: the loss.
        augment: of the clips.
        steps: of the whole run; says when its tail begins.
        mesh: of the run; needed by the form `ring`.
    """

    model: TwoTowerConfig
    config: ContrastiveConfig
    augment: AugmentConfig
    steps: int = 1
    mesh: Mesh | None = None

    def __post_init__(self):
        video = self.model.video
        joint = isinstance(video, VideoViTConfig) and video.attention == "joint"
        if self.config.token_drop and not joint:
            raise UserError(
                "only a ViT with joint attention can drop tokens", where="config.objective"
            )
        if self.config.level == "clip" and self.model.study_pool != "mean":
            raise UserError(
                f"level 'clip' leaves study_pool {self.model.study_pool!r} untrained",
                where="config.objective",
                fix="set model.study_pool = 'mean', or level = 'study'",
            )

    @property
    def network(self) -> TwoTowerConfig:
        """The trained network: both towers."""
        return self.model

    def abstract(self) -> TwoTower:
        """The two towers with shapes and axis names, no arrays."""
        return abstract_model(self.network)

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial parameters; there is no other state."""
        return init_params(self.network, key), {}

    def encoder_params(self, params: PyTree, extra: PyTree) -> PyTree:
        """All of them."""
        del extra
        return params

    def extra_of(self, params: PyTree) -> PyTree:
        """Nothing."""
        del params
        return {}

    def loss(self, params, extra, batch, key, step) -> tuple[jax.Array, Aux]:
        """The contrastive loss of a batch.

        Args:
            params: of `init`.
            extra: empty.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` `[b, cines]`, `study` int32
                `[b]`, `tokens` int32 `[b, s, l]`, `statement` uint32 `[b, s]`, `statements` uint32
                `[b, k]`; `labels` `[b, f]` for positives by findings, `report_vector` `[b, f]`
                for those by similarity.
            key: random key of this step.
            step: optimizer steps done.
        """
        model = nnx.merge(nnx.split(self.abstract())[0], params)
        z_video = self._videos(model, batch, key, step)
        b, s, length = batch["tokens"].shape
        parts = self.config.cache_parts
        tokens = {"tokens": batch["tokens"]}
        z_text = encode_in_chunks(
            lambda x: model.encode_text(x["tokens"].reshape(-1, length)).reshape(
                len(x["tokens"]), s, -1
            ),
            tokens,
            parts,
        ).reshape(b * s, -1)
        pairs = self._pairs(batch)
        scale = jnp.exp(held(model.logit_scale[...]))
        loss = pair_loss(
            z_video,
            z_text,
            scale,
            model.logit_bias[...],
            pairs,
            kind=self.config.loss,
            relation=self.config.relation,
            form=self.config.form,
            chunk=self.config.chunk,
            mesh=self.mesh,
        )
        videos, texts = pairs.rows["valid"], pairs.columns["valid"]
        metrics = {
            "logit_scale": scale,
            "embedding_spread": embedding_spread(z_video, videos),
            "effective_rank": effective_rank(z_video, videos),
            "text_effective_rank": effective_rank(z_text, texts),
        }
        if self.config.form == "dense":
            whole = complete(pairs, self.config.relation)
            weight, _ = relation(whole.rows, whole.columns, self.config.relation)
            metrics["positives_per_text"] = (weight > 0).sum() / jnp.maximum(texts.sum(), 1)
        if self.config.flood:
            metrics["unflooded_loss"] = loss
            loss = jnp.abs(loss - self.config.flood) + self.config.flood
        return loss, Aux(metrics, extra)

    def _videos(self, model: TwoTower, batch, key: jax.Array, step: jax.Array) -> jax.Array:
        """Unit vectors `[b, d]` of studies, or `[b * cines, d]` of clips."""
        b, cines = batch["clip_mask"].shape
        augment_key, drop_key = jax.random.split(key)
        by_study = lambda x: x.reshape(b, cines, *x.shape[1:])  # noqa: E731
        inputs = {
            "clips": batch["clips"],
            "mask": batch["clip_mask"],
            "draws": jax.tree.map(by_study, draw(augment_key, b * cines, self.augment)),
            "drop": by_study(jax.random.split(drop_key, b * cines)),
        }
        encode = partial(self._encode, model, step)
        z = encode_in_chunks(encode, inputs, self.config.cache_parts)
        return z.reshape(-1, z.shape[-1])

    def _encode(self, model: TwoTower, step: jax.Array, inputs) -> jax.Array:
        """A part of the batch: unit vectors `[b, d]`, or `[b, cines, d]`."""
        flat = lambda x: x.reshape(-1, *x.shape[2:])  # noqa: E731
        draws: Draws = jax.tree.map(flat, inputs["draws"])
        clips = apply(to_unit(flat(inputs["clips"])), draws, self.augment)
        if self.config.token_drop:
            tail = step >= self.steps * (1 - self.config.undropped_tail)
            pooled = jax.lax.cond(
                tail,
                lambda: model.video(clips),
                lambda: self._dropped(model, clips, flat(inputs["drop"])),
            )
        else:
            pooled = model.video(clips)
        pooled = pooled.reshape(*inputs["mask"].shape, -1)
        if self.config.level == "clip":
            return model.project(pooled)
        return model.pool_study(pooled, inputs["mask"])

    def _dropped(self, model: TwoTower, clips: jax.Array, keys: jax.Array) -> jax.Array:
        """Pooled vectors of clips some of whose tokens do not enter, each clip by its own draw."""
        t, h, w = self.model.video.grid
        n = t * h * w
        stay = max(round(n * (1 - self.config.token_drop)), 1)
        kept = jax.vmap(lambda k: jnp.sort(jax.random.permutation(k, n)[:stay]))(keys)
        return model.video.features(clips, kept=kept).pooled  # pyright: ignore[reportCallIssue]

    def _pairs(self, batch) -> Pairs:
        s = batch["tokens"].shape[1]
        each = batch["clip_mask"].shape[1] if self.config.level == "clip" else 1
        videos = batch["clip_mask"] if self.config.level == "clip" else batch["clip_mask"].any(1)
        written = (batch["tokens"] != PAD_ID).any(axis=-1) & (batch["statement"] != 0)
        rows = {
            "study": jnp.repeat(batch["study"], each),
            "statements": jnp.repeat(batch["statements"], each, axis=0),
            "valid": videos.reshape(-1),
        }
        columns = {
            "study": jnp.repeat(batch["study"], s),
            "statement": batch["statement"].reshape(-1),
            "valid": written.reshape(-1),
        }
        features = self._features(batch)
        if features is not None:
            rows["features"] = jnp.repeat(features, each, axis=0)
            columns["features"] = jnp.repeat(features, s, axis=0)
        return Pairs(rows=rows, columns=columns)

    def _features(self, batch) -> jax.Array | None:
        """What tells studies alike, `[b, f]`."""
        if self.config.positives == "findings":
            labels = batch["labels"]
            return jnp.where(jnp.isfinite(labels), jnp.where(labels > 0, 1.0, -1.0), 0.0)
        return batch["report_vector"] if self.config.positives == "similarity" else None
