"""cmrjax: foundation models for cardiac MRI in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmrjax.evals.model_folder import load_model

__all__ = ["__version__", "load_model"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load_model":  # imported when asked for, since the command line needs no jax
        from cmrjax.evals.model_folder import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
