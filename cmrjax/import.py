"""`cmrjax import`: weights of another network as a model folder.

A statement cannot import a module of this name: the command line starts it by `importlib`, and
`python -m cmrjax.import` by its path. The work is in `cmrjax.importing`.
"""

# ruff: noqa: N999
import sys

from cmrjax.importing import main

if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("import", sys.argv[1:]))

__all__ = ["main"]
