"""Config files: Python functions that return plain data, with overrides from the command line.

A ConfigDict ends here: jobs get nested dicts and tuples, and turn them into dataclasses
(`core.sections`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from cmrjax.core.errors import UserError


def load_config(spec: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Evaluates a config file and applies `--config.a.b=value` overrides.

    Args:
        spec: `path/to/config.py` or `path/to/config.py:arguments`.
        overrides: command-line words such as `--config.steps=10`.

    Returns:
        The config as nested dicts.

    Raises:
        UserError: the file is missing, a key is unknown or a value has the wrong type.
    """
    path = Path(spec.split(":", 1)[0])
    if not path.is_file():
        raise UserError("no such config file", where=str(path), fix="give --config FILE.py[:args]")
    values = flags.FlagValues()
    words = ["cmrjax", f"--config={spec}", *overrides]
    # The library runs every file in a module of this name: the one before must leave nothing in it.
    sys.modules.pop("config_config", None)
    holder = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    try:
        values(words)
        config = holder.value
    except Exception as error:  # The file is the user's code: whatever it raises is theirs to read.
        if overrides and (key := _no_section(load_config(spec), overrides)):
            raise UserError(
                f"{key} is a value, no section with keys of its own",
                where=str(path),
                fix=f"give --{key}=VALUE",
            ) from None
        raise UserError(_first_line(error), where=str(path), fix="correct the config") from error
    if not isinstance(config, ConfigDict):
        raise UserError("get_config() does not return a ConfigDict", where=str(path))
    return config.to_dict()


def _no_section(config: dict[str, Any], overrides: Sequence[str]) -> str:
    """The first key that an override takes for a section and that is none; else nothing."""
    for word in overrides:
        at: Any = config
        names = word.split("=", 1)[0].split(".")[1:]
        for depth, name in enumerate(names[:-1], 1):
            at = at.get(name, {})
            if not isinstance(at, dict):
                return ".".join(("config", *names[:depth]))
    return ""


def _first_line(error: BaseException) -> str:
    # absl puts the traceback of get_config() into its own message, ml_collections quotes a KeyError
    # inside an AttributeError: the reason is at the root.
    wraps = isinstance(error, AttributeError) or "Error whilst parsing" in str(error)
    if wraps and error.__context__ is not None:
        return _first_line(error.__context__)
    if isinstance(error, KeyError):
        key, *hint = str(error.args[0]).splitlines()
        return ". ".join([f"unknown key {key.strip(chr(39))!r}", *hint])
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def split_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates `--config.a=b` words, which argparse does not know, from the others."""
    ours = [word for word in words if word.startswith("--config.")]
    return ours, [word for word in words if not word.startswith("--config.")]
