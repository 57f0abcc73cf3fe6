"""Reading as an installation without the extra `codecs` does, whatever is installed here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmrjax.data.dicom import guard

_HIDE = """import sys
sys.modules.update(
    dict.fromkeys(("imagecodecs", "jpeg_ls", "pylibjpeg", "openjpeg", "rle", "libjpeg"))
)
"""


@contextmanager
def without_codecs(folder: Path) -> Iterator[None]:
    """Guards that start in it find none of the modules that the extras bring.

    Args:
        folder: an empty one; Python loads `sitecustomize` from there when a guard starts.
    """
    (folder / "sitecustomize.py").write_text(_HIDE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    guard.close()
    try:
        yield
    finally:
        guard.close()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
