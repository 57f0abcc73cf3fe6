"""Who prepares the studies: processes of this machine, or Apache Beam."""

import argparse
import contextlib
import logging
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data import engine


def open_workers(
    args: argparse.Namespace, partial: Path
) -> contextlib.AbstractContextManager[engine.Workers]:
    """The engine that the flags name; none of its workers is started yet.

    Args:
        args: the flags of `prepare`.
        partial: where the run keeps what is done.

    Raises:
        UserError: Beam is not installed, or refuses its options.
    """
    if args.runner == "local":
        return engine.pool(args.workers)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of clients that Beam looks for and nobody needs here
    try:
        from cmrjax.data import beam_engine
    except ImportError as error:
        if (error.name or "").split(".")[0] != "apache_beam":
            raise
        raise UserError(
            "Apache Beam is not installed",
            where="--runner beam",
            fix="run pip install 'cmrjax[beam]', in an environment of its own",
        ) from None
    finally:
        logging.disable(before)
    options = beam_engine.parse_options(args.beam_options or "")
    key_file = args.deid_key_file
    if key_file is not None and not key_file.is_file():  # each worker reads it, a pipe has an end
        raise UserError("is no file that workers can read", where=str(key_file))
    return beam_engine.open_runner(options, partial / "beam", key_file and key_file.resolve())
