"""cmrjax: foundation models for cardiac MRI in JAX."""

__version__ = "0.1.0"
