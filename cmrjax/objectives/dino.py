"""DINO: a student predicts, from any crop, what its own running mean makes of another one.

No labels and no negatives. Clips are videos, or, where the tower takes one frame, every frame of
every cine is an image (Jacob et al. 2025). Patch-level targets (iBOT) and KoLeo can be added.

References:
    Caron et al. 2021, "Emerging properties in self-supervised vision transformers" (DINO);
    Zhou et al. 2022 (iBOT); Oquab et al. 2024 (DINOv2: both together, Sinkhorn-Knopp, KoLeo).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.build import abstract_model
from cmrjax.models.crop_size import at_clip, resample_tower
from cmrjax.models.projection_head import ProjectionHead
from cmrjax.models.tower import Features
from cmrjax.models.video import VideoConfig, make_video_tower
from cmrjax.models.video_vit import Hidden, VideoViTConfig
from cmrjax.objectives.augment import AugmentConfig, to_unit
from cmrjax.objectives.base import Aux, PyTree
from cmrjax.objectives.dino_config import DinoConfig, refuse
from cmrjax.objectives.distillation import (
    koleo_loss,
    pair_cross_entropy,
    teacher_statistics,
    teacher_targets,
    weighted_mean,
)
from cmrjax.objectives.health_metrics import effective_rank, embedding_spread
from cmrjax.objectives.ibot import HiddenPatches, draw_hidden, patch_weights, take_patches
from cmrjax.objectives.multicrop import CropConfig, random_crops
from cmrjax.objectives.schedules import cosine, linear


class Student(nnx.Module):
    """What gradients train: the tower, the head, and what stands for a hidden patch."""

    def __init__(self, model: VideoConfig, config: DinoConfig, *, rngs: nnx.Rngs):
        self.video = make_video_tower(model, rngs=rngs)
        self.head = ProjectionHead(
            model.width,
            config.prototypes,
            hidden=config.hidden,
            bottleneck=config.bottleneck,
            dtype=model.dtype,
            rngs=rngs,
        )
        if config.ibot_weight:
            zeros = nnx.with_partitioning(nnx.initializers.zeros_init(), ("embed",))
            self.mask = nnx.Param(zeros(rngs.params(), (model.width,)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dino:
    """Self-distillation; see `objectives.base.Objective`.

    Args:
        model: the tower.
        config: of the objective.
        augment: contrast, brightness and noise of every crop. Crops take the place of its shift
            and zoom.
        steps: of the whole run, which the schedules are laid over.
    """

    model: VideoConfig
    config: DinoConfig
    augment: AugmentConfig
    steps: int

    def __post_init__(self):
        config, side = self.config, self.config.local_size
        if config.local_crops:
            patch = at_clip(self.model, self.model.clip).tubelet[1:]
            if any(side % p for p in patch) or side > min(self.model.clip[1:]):
                refuse(
                    f"local_size = {side} of a tower with patches {patch} on {self.model.clip}",
                    "give a multiple of the patch, not above the size of a clip",
                )
        if config.ibot_weight and not isinstance(self.model, VideoViTConfig):
            refuse("ibot_weight without a tower of family 'vit'", "set it to 0")

    @property
    def network(self) -> VideoConfig:
        """The tower alone."""
        return self.model

    def encoder_params(self, params: PyTree, extra: PyTree) -> PyTree:
        """The teacher's tower, which is the better encoder (Caron et al. 2021, section 5.1)."""
        del params
        return extra["teacher"]["video"]

    def abstract(self) -> Student:
        """The student with shapes and axis names, no arrays."""
        return nnx.eval_shape(lambda: Student(self.model, self.config, rngs=nnx.Rngs(0)))

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial parameters of the student, and `extra_of` them."""
        student = Student(self.model, self.config, rngs=nnx.Rngs(key))
        params = nnx.to_pure_dict(nnx.state(student, nnx.Param))
        return params, self.extra_of(params)

    def extra_of(self, params: PyTree) -> PyTree:
        """The teacher, a copy of the student, and the centres at 0."""
        centres = ("centre", "patch_centre") if self.config.ibot_weight else ("centre",)
        extra = {name: jnp.zeros(self.config.prototypes) for name in centres}
        return {"teacher": jax.tree.map(jnp.copy, params), **extra}

    def loss(self, params, extra, batch, key, step) -> tuple[jax.Array, Aux]:
        """The loss of a batch; padding cines count nowhere.

        Args:
            params: of `init`.
            extra: `teacher`, as params; `centre` `[k]`; with iBOT also `patch_centre` `[k]`.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` bool `[b, cines]`.
            key: random key of this step.
            step: optimizer steps done.
        """
        config = self.config
        momentum = self._momentum(step)
        temperature = self._teacher_temperature(step)
        # At step 0 the teacher is the student, wherever that comes from.
        teacher = _mixed(extra["teacher"], params, jnp.where(step == 0, 0.0, momentum))
        params = self._with_fixed_prototypes(params, step)
        clips, weights = self._clips(batch)
        large, *small = self._crops(clips, key)
        hidden = self._hidden(jax.random.fold_in(key, 2), len(clips))
        taught, seen = self._encode(teacher, large), self._encode(params, large, hidden)

        per_view = jnp.repeat(weights[:, None], config.global_crops, axis=1)
        logits = self._logits(teacher, taught.pooled)
        targets, centre = self._targets(logits, per_view, extra["centre"], temperature)
        pooled = [seen.pooled, *(self._encode(params, views).pooled for views in small)]
        predictions = [self._logits(params, x) for x in pooled]
        terms = {"dino_loss": weighted_mean(self._over_pairs(targets, predictions), weights)}
        loss, state = terms["dino_loss"], {"teacher": teacher, "centre": centre}
        if hidden is not None:
            logits = self._logits(teacher, take_patches(taught.tokens, hidden))
            there = hidden.hidden * weights[:, None, None]
            centre = extra["patch_centre"]
            patches, state["patch_centre"] = self._targets(logits, there, centre, temperature)
            predicted = self._logits(params, take_patches(seen.tokens, hidden))
            terms["ibot_loss"] = self._over_patches(patches, predicted, hidden, weights)
            loss = loss + config.ibot_weight * terms["ibot_loss"]
        if config.koleo_weight:
            # View by view: two crops of one clip are not to be driven apart.
            spread = jax.vmap(koleo_loss, in_axes=(1, None))(seen.pooled, weights)
            terms["koleo_loss"] = spread.mean()
            loss = loss + config.koleo_weight * terms["koleo_loss"]

        vectors = taught.pooled.reshape(-1, self.model.width)
        entropy, information = teacher_statistics(_flat(targets), per_view.reshape(-1))
        metrics = terms | {
            "teacher_entropy": entropy,
            "teacher_information": information,
            "embedding_spread": embedding_spread(vectors, per_view.reshape(-1)),
            "effective_rank": effective_rank(vectors, per_view.reshape(-1)),
            "momentum": momentum,
            "teacher_temperature": temperature,
        }
        return loss, Aux(metrics, state)

    def _momentum(self, step) -> jax.Array:
        """Of the update after optimizer step `step - 1`, which this step's loss begins with."""
        start, end = self.config.momentum
        return cosine(jnp.maximum(step - 1, 0), start=start, end=end, steps=self.steps)

    def _teacher_temperature(self, step) -> jax.Array:
        start, end = self.config.teacher_temperature
        return linear(step, start=start, end=end, steps=self.config.teacher_warmup * self.steps)

    def _with_fixed_prototypes(self, params: PyTree, step) -> PyTree:
        """No gradient to the prototypes while they are frozen.

        Weight decay may still shorten them, which changes nothing: only their directions count.
        """
        head = params["head"]
        kernel = head["last"]["kernel"]
        frozen = step < self.config.freeze_last_layer * self.steps
        kernel = jnp.where(frozen, jax.lax.stop_gradient(kernel), kernel)
        return params | {"head": head | {"last": head["last"] | {"kernel": kernel}}}

    def _clips(self, batch: PyTree) -> tuple[jax.Array, jax.Array]:
        """What crops are cut from, `[n, t, h, w]` in 0..1, and what each counts, `[n]`."""
        clips, there = batch["clips"], batch["clip_mask"].astype(jnp.float32)
        if self.model.clip[0] == 1:
            there = jnp.repeat(there, clips.shape[2], axis=1)
            clips = clips.reshape(-1, 1, *clips.shape[3:])
        else:
            clips = clips.reshape(-1, *clips.shape[2:])
        return to_unit(clips), there.reshape(-1)

    def _crops(self, clips: jax.Array, key: jax.Array) -> list[jax.Array]:
        """Global crops `[n, c, t, *size]` of the tower's own size, then the local ones if any."""
        config, side = self.config, self.config.local_size
        kinds = [
            (config.global_crops, self.model.clip[1:], config.global_scale),
            (config.local_crops, (side, side), config.local_scale),
        ]
        return [
            random_crops(
                clips,
                jax.random.fold_in(key, i),
                CropConfig(count=count, size=size, scale=scale, aspect=config.aspect),
                self.augment,
            )
            for i, (count, size, scale) in enumerate(kinds)
            if count
        ]

    def _hidden(self, key: jax.Array, n: int) -> HiddenPatches | None:
        config = self.config
        if not config.ibot_weight:
            return None
        grid = self.model.grid
        return draw_hidden(key, n, config.global_crops, grid=grid, share=config.ibot_mask)

    def _encode(
        self, params: PyTree, views: jax.Array, hidden: HiddenPatches | None = None
    ) -> Features:
        """Pooled vectors `[n, v, d]` and tokens `[n, v, m, d]` of views `[n, v, t, h, w]`."""
        n, v, *clip = views.shape
        config, tower = self.model, params["video"]
        if tuple(clip) != config.clip:
            config = at_clip(self.model, (clip[0], clip[1], clip[2]))
            tower = resample_tower(tower, self.model, config)  # type: ignore[arg-type]
        model = nnx.merge(nnx.split(abstract_model(config))[0], tower)
        flat = views.reshape(n * v, *clip)
        if hidden is None:
            found = model.features(flat)
        else:
            mask = hidden.mask.reshape(n * v, -1)
            found = model.features(flat, hidden=Hidden(mask, params["mask"]))
        return Features(*(x.reshape(n, v, *x.shape[1:]) for x in found))

    def _logits(self, params: PyTree, x: jax.Array) -> jax.Array:
        """Of the head, `[*b, d]` to `[*b, k]`."""
        head = nnx.split(self.abstract().head)[0]
        return nnx.merge(head, params["head"])(x)

    def _targets(self, logits, weights, centre, temperature) -> tuple[jax.Array, jax.Array]:
        """Probabilities `[*b, k]` of logits `[*b, k]` with weights `[*b]`, and the new centre."""
        config = self.config
        targets, centre = teacher_targets(
            _flat(logits),
            weights.reshape(-1),
            centre,
            temperature=temperature,
            centring=config.centring,
            momentum=config.centre_momentum,
        )
        return targets.reshape(logits.shape), centre

    def _over_pairs(self, targets: jax.Array, predictions: list[jax.Array]) -> jax.Array:
        """Mean cross-entropy over pairs of different views: `[n]`.

        Args:
            targets: `[n, global crops, k]`.
            predictions: logits `[n, views, k]` of the same global crops, then of the local ones.
        """
        temperature = self.config.student_temperature
        pairs = jnp.concatenate(
            [pair_cross_entropy(targets, x, temperature=temperature) for x in predictions], axis=-1
        )
        different = ~jnp.eye(*pairs.shape[1:], dtype=bool)
        return jnp.sum(pairs * different, axis=(1, 2)) / different.sum()

    def _over_patches(self, targets, predicted, hidden: HiddenPatches, weights) -> jax.Array:
        """Mean cross-entropy over a view's hidden patches, then over views: a scalar."""
        temperature = self.config.student_temperature
        single = pair_cross_entropy(
            targets[..., None, :], predicted[..., None, :], temperature=temperature
        )
        return weighted_mean(single.reshape(-1), patch_weights(hidden, weights).reshape(-1))


def _mixed(teacher: PyTree, student: PyTree, momentum: jax.Array) -> PyTree:
    """The teacher after its update, without a gradient."""
    student = jax.lax.stop_gradient(student)
    return jax.tree.map(lambda t, s: momentum * t + (1.0 - momentum) * s, teacher, student)


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])
