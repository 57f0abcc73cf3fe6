"""The embedded phantom as a source: DICOM files, reports and labels that `dicom` then reads."""

import json
import shutil
from pathlib import Path

from cmrjax.core.clock import progress
from cmrjax.data.phantom.generate import DEMO, FULL, write_phantom

PROFILES = {"demo": DEMO, "full": FULL}


def ensure_phantom(folder: Path, *, patients: int, seed: int, profile: str, workers: int) -> None:
    """Writes the phantom's export below a folder, unless a whole one of this kind is there."""
    wanted = json.dumps({"patients": patients, "seed": seed, "profile": profile}, sort_keys=True)
    mark = folder.with_suffix(".done")
    if mark.is_file() and mark.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with progress(total=patients, unit="patient", description="phantom") as bar:

        def show(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        write_phantom(
            folder,
            patients=patients,
            seed=seed,
            profile=PROFILES[profile],
            workers=workers,
            progress=show,
        )
    mark.write_text(wanted)
