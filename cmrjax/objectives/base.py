"""What a run optimises: the one protocol that the train step and the loop know."""

import dataclasses
from typing import Any, Protocol

import jax
from flax import nnx

from cmrjax.models.build import ModelConfig

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Aux:
    """What a loss returns beside its value.

    Args:
        metrics: scalars to log.
        extra: the new state that gradients do not train (an EMA teacher, a centre).
    """

    metrics: dict[str, jax.Array]
    extra: PyTree


jax.tree_util.register_dataclass(Aux, data_fields=["metrics", "extra"], meta_fields=[])


class Objective(Protocol):
    """A pure function of parameters and batch, with the shapes of its parameters."""

    @property
    def network(self) -> ModelConfig:
        """The encoder of the run, as evaluators and exports build it again."""
        ...

    def encoder_params(self, params: PyTree, extra: PyTree) -> PyTree:
        """The encoder's parameters, out of all that a checkpoint holds."""
        ...

    def abstract(self) -> nnx.Module:
        """The module with shapes and logical axis names, no arrays."""
        ...

    def init(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """Initial `(params, extra)`; params is a pure nested dict."""
        ...

    def extra_of(self, params: PyTree) -> PyTree:
        """The state that belongs to initial parameters, wherever those come from."""
        ...

    def loss(
        self, params: PyTree, extra: PyTree, batch: PyTree, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        """The scalar loss of a batch."""
        ...
