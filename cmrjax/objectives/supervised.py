"""Labels as the target: the ceiling that contrastive training is printed beside."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from cmrjax.models.build import abstract_model, init_params
from cmrjax.models.heads import StudyRegressor, StudyRegressorConfig
from cmrjax.models.video import VideoConfig
from cmrjax.objectives.augment import AugmentConfig, augment, to_unit
from cmrjax.objectives.base import Aux, PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """Which labels, and how they are scaled.

    Args:
        binary: tasks trained with binary cross-entropy.
        regression: tasks trained with the squared error of the standardised value.
        mean: of each regression task on the training patients.
        std: likewise, the standard deviation.
        pool: over a study's cines, see `StudyRegressorConfig`.
        frames: of a clip, where the tower sees single frames.
    """

    binary: tuple[str, ...]
    regression: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pool: str = "mean"
    frames: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised:
    """Multi-task training on study labels; see `objectives.base.Objective`."""

    model: VideoConfig
    config: SupervisedConfig
    augment: AugmentConfig

    @property
    def network(self) -> StudyRegressorConfig:
        """The trained network: the tower and a linear head."""
        outputs = len(self.config.binary) + len(self.config.regression)
        return StudyRegressorConfig(
            video=self.model, outputs=outputs, pool=self.config.pool, frames=self.config.frames
        )

    def abstract(self) -> StudyRegressor:
        """The tower and head with shapes and axis names, no arrays."""
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
        """Mean loss over tasks; an unknown label (NaN) counts nowhere.

        Args:
            params: of `init`.
            extra: empty.
            batch: `clips` uint8 `[b, cines, t, h, w]`, `clip_mask` `[b, cines]`, `labels` float32
                `[b, k]` in the order binary, regression.
            key: random key of this step.
            step: optimizer steps done; unused.
        """
        del step
        model = nnx.merge(nnx.split(self.abstract())[0], params)
        shape = batch["clips"].shape
        clips = augment(to_unit(batch["clips"]).reshape(-1, *shape[2:]), key, self.augment)
        outputs = model(clips.reshape(shape), batch["clip_mask"])
        binary = len(self.config.binary)
        known = jnp.isfinite(batch["labels"])
        labels = jnp.where(known, batch["labels"], 0.0)
        logits, target = outputs[:, :binary], labels[:, :binary]
        cross_entropy = jax.nn.softplus(logits) - target * logits
        losses = cross_entropy
        if self.config.regression:
            mean, std = jnp.array(self.config.mean), jnp.array(self.config.std)
            squared = (outputs[:, binary:] - (labels[:, binary:] - mean) / std) ** 2
            losses = jnp.concatenate([cross_entropy, squared], axis=1)
        loss = jnp.sum(jnp.where(known, losses, 0.0)) / jnp.maximum(known.sum(), 1)
        return loss, Aux({}, extra)
