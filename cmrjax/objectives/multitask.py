"""Segmentation and diagnosis from one tower, or each alone (Snaauw et al. 2019)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.core.errors import UserError
from cmrjax.core.types import UNDRAWN
from cmrjax.models.multitask import TASKS, MultitaskNetwork, MultitaskNetworkConfig
from cmrjax.models.video import VideoConfig
from cmrjax.objectives.augment import AugmentConfig, augment, to_unit
from cmrjax.objectives.base import Aux, PyTree
from cmrjax.objectives.segmentation_loss import (
    augment_pair,
    hard_dice,
    pixel_cross_entropy,
    soft_dice_loss,
)

WEIGHTS = ("fixed", "learned")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultitaskConfig:
    """Which tasks, and how their losses are weighted.

    Args:
        tasks: 'segmentation' and 'diagnosis', or one of them alone.
        classes: of the segmentation, the background among them.
        label: name of the label that holds the diagnosis.
        diagnoses: its classes.
        weights: 'fixed', or 'learned': exp(-s) L + s with s the log variance of a task, 0 at first
            (Kendall et al. 2018, section 3.2; s counts whole for every kind of loss, where the
            paper halves it for a classification).
        segmentation_weight: of the segmentation's loss (cross-entropy + soft Dice), where fixed.
        diagnosis_weight: of the diagnosis' cross-entropy, where fixed.
        pool: see `MultitaskNetworkConfig`, like the next one.
        channels: of the decoder.
    """

    tasks: tuple[str, ...] = TASKS
    classes: int = 4
    label: str = "group"
    diagnoses: int = 5
    weights: str = "fixed"
    segmentation_weight: float = 1.0
    diagnosis_weight: float = 1.0
    pool: str = "mean"
    channels: int = 64

    def __post_init__(self):
        if self.weights not in WEIGHTS:
            raise UserError(
                f"weights = {self.weights!r}", where="config.objective", fix=f"use one of {WEIGHTS}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that a batch must bring, in this order."""
        return (self.label,) if "diagnosis" in self.tasks else ()

    def require_dataset(self, *, label_tasks: Mapping[str, Any], masks: bool) -> None:
        """Stops where a dataset cannot train the tasks.

        Args:
            label_tasks: name -> kind and classes, of the dataset's `dataset.json`.
            masks: whether its records have masks.

        Raises:
            UserError: the label is not there or has other classes, or there are no masks.
        """
        if "segmentation" in self.tasks and not masks:
            raise UserError(
                "the dataset has no masks", where="config.objective.tasks", fix="use ('diagnosis',)"
            )
        if "diagnosis" not in self.tasks:
            return
        known = {n: len(t["classes"]) for n, t in label_tasks.items() if t["kind"] == "multiclass"}
        if known.get(self.label) != self.diagnoses:
            raise UserError(
                f"no label {self.label!r} of {self.diagnoses} classes in the dataset",
                where="config.objective",
                fix=f"its labels and their classes: {known}",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multitask:
    """Joint training on masks and diagnoses; see `objectives.base.Objective`."""

    model: VideoConfig
    config: MultitaskConfig
    augment: AugmentConfig

    def __post_init__(self):
        self.network_with_heads  # noqa: B018  (checks its own fields)

    @property
    def network(self) -> VideoConfig:
        """The tower, as an encoder builds it again."""
        return self.model

    @property
    def network_with_heads(self) -> MultitaskNetworkConfig:
        """What is trained: the tower, its heads and, where they are learned, the weights."""
        config = self.config
        return MultitaskNetworkConfig(
            video=self.model,
            tasks=config.tasks,
            classes=config.classes,
            diagnoses=config.diagnoses,
            pool=config.pool,
            channels=config.channels,
            learned_weights=config.weights == "learned",
        )

    def encoder_params(self, params: PyTree, extra: PyTree) -> PyTree:
        """The tower's parameters."""
        del extra
        return params["video"]

    def abstract(self) -> MultitaskNetwork:
        """The tower and heads with shapes and axis names, no arrays."""
        return nnx.eval_shape(lambda: MultitaskNetwork(self.network_with_heads, rngs=nnx.Rngs(0)))

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial parameters; there is no other state."""
        network = MultitaskNetwork(self.network_with_heads, rngs=nnx.Rngs(key))
        return nnx.to_pure_dict(nnx.state(network, nnx.Param)), {}

    def predict(self, params: PyTree, clips: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        """Logits of the tasks; see `MultitaskNetwork.predict`."""
        return nnx.merge(nnx.split(self.abstract())[0], params).predict(clips, mask)

    def extra_of(self, params: PyTree) -> PyTree:
        """Nothing."""
        del params
        return {}

    def loss(self, params, extra, batch, key, step) -> tuple[jax.Array, Aux]:
        """The weighted sum of the tasks' losses; what is unknown counts nowhere.

        Args:
            params: of `init`.
            extra: empty.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` `[b, cines]`; for the
                segmentation `segmentation` uint8, the shape of the clips, `UNDRAWN` where nobody
                drew; for the diagnosis `labels` float32 `[b, 1]`, NaN where unknown.
            key: random key of this step.
            step: optimizer steps done; unused.
        """
        del step
        clips, segmentation = self._augmented(batch, key)
        outputs = self.predict(params, clips, batch["clip_mask"])
        total, metrics = jnp.zeros(()), {}
        for i, task in enumerate(self.config.tasks):
            if task == "segmentation":
                loss, known, found = segmentation_loss(outputs[task], segmentation)
            else:
                loss, known, found = diagnosis_loss(outputs[task], batch["labels"][:, 0])
            metrics |= found | {f"{task}_loss": loss}
            if self.config.weights == "learned":
                s = params["log_variance"][i]
                total += learned_weighting(loss, s, known)
                metrics[f"{task}_weight"] = jnp.exp(-s)
            else:
                total += getattr(self.config, f"{task}_weight") * loss
        return total, Aux(metrics, extra)

    def _augmented(self, batch: PyTree, key: jax.Array) -> tuple[jax.Array, Any]:
        """Augmented clips, and their segmentation or None where it is no task."""
        shape = batch["clips"].shape
        clips = to_unit(batch["clips"]).reshape(-1, *shape[2:])
        if "segmentation" not in self.config.tasks:
            return augment(clips, key, self.augment).reshape(shape), None
        masks = batch["segmentation"].reshape(clips.shape)
        clips, masks = augment_pair(clips, masks, key, self.augment)
        there = batch["clip_mask"][:, :, None, None, None]
        return clips.reshape(shape), jnp.where(there, masks.reshape(shape), UNDRAWN)


def segmentation_loss(
    logits: jax.Array, segmentation: jax.Array
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Cross-entropy + soft Dice, whether any pixel was drawn, and Dice by class.

    Args:
        logits: `[*b, h, w, k]`.
        segmentation: uint8 `[*b, h, w]`.
    """
    loss = pixel_cross_entropy(logits, segmentation) + soft_dice_loss(logits, segmentation)
    dice = hard_dice(logits, segmentation)
    metrics = {f"dice_{k}": dice[k] for k in range(1, logits.shape[-1])}
    return loss, (segmentation < logits.shape[-1]).any(), metrics


def diagnosis_loss(
    logits: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Multi-class cross-entropy over known labels, whether there is any, and the accuracy.

    Args:
        logits: `[b, k]`.
        labels: class numbers as float32 `[b]`, NaN unknown.
    """
    known = jnp.isfinite(labels)
    target = jnp.where(known, labels, 0.0).astype(jnp.int32)
    each = -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=-1)[:, 0]
    count = known.sum()
    right = known & (logits.argmax(axis=-1) == target)
    # Without any label the accuracy is 0 / 0: NaN, not a number that would look like a result.
    metrics = {"diagnosis_accuracy": right.sum() / count}
    return jnp.sum(jnp.where(known, each, 0.0)) / jnp.maximum(count, 1), count > 0, metrics


def learned_weighting(loss: jax.Array, log_variance: jax.Array, known: jax.Array) -> jax.Array:
    """exp(-s) L + s; 0 where the batch says nothing of the task, or s would fall without end.

    Args:
        loss: of the task.
        log_variance: s, learned.
        known: whether the batch has targets of the task.
    """
    return jnp.where(known, jnp.exp(-log_variance) * loss + log_variance, 0.0)
