"""Sections of a config, plain data, into frozen dataclasses."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from cmrjax.core.errors import UserError

T = TypeVar("T")


def to_dataclass(kind: type[T], section: Mapping[str, Any], *, where: str) -> T:
    """Builds a frozen dataclass from a config section; every wrong key is named at once.

    Raises:
        UserError: a key is not a field, or a field without a default is missing.
    """
    where = f"config.{where}" if where else "config"
    if not isinstance(section, Mapping):
        raise UserError("not a section with keys", where=where, fix="give a dict")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(section) - set(fields))
    missing = sorted(
        name
        for name, f in fields.items()
        if name not in section
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    )
    if unknown or missing:
        words = [f"unknown keys {unknown}" if unknown else "", f"missing {missing}" * bool(missing)]
        known = f"known keys: {', '.join(fields)}"
        raise UserError(" and ".join(w for w in words if w), where=where, fix=known)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
    return kind(**values)
