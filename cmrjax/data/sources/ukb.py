"""UK Biobank's heart MRI: fields 20208 (long axes) and 20209 (short axis), a zip each.

    1234567_20208_2_0.zip, 1234567_20209_2_0.zip; 1234567_20209_3_0.zip at the second imaging visit

A name is the participant (EID), the field, the visit ("instance") and a number. A zip holds DICOM
files side by side and `manifest.csv`, or `manifest.cvs` as most are spelled, with the columns
`filename` and `series discription` and dates whose commas nobody quoted. The stack is many series,
`CINE_segmented_SAX_b1` to b13 and more; the scanner's own results (InlineVF) have drawings in their
pixels and are left out. One visit is one study; a participant's visits share the patient.

There are no labels here: give `--labels` a table whose `study_instance_uid` is EID_VISIT, such as
1234567_2. EIDs are pseudonyms of an application: with `--deid-key-file` nobody can try them out.

Reference:
    Petersen et al. UK Biobank's cardiovascular magnetic resonance protocol. JCMR 2016; showcase
    fields 20208, 20209; for approved applications. The layout as public code reads it:
    baiwenjia/ukbb_cardiac `data/download_data_ukbb_general.py`, `data/biobank_utils.py`.
"""

import csv
import re
import tempfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.dicom import Image
from cmrjax.data.sources import public
from cmrjax.data.sources.dicom_cines import raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask

_ZIP = re.compile(r"(\d+)_(20208|20209)_(\d+)_(\d+)\.zip")
_DATE = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}), (20\d\d)")
_RESULT = re.compile("inline", re.IGNORECASE)
_MAX_MEMBERS, _MAX_BYTES = 20_000, 4 << 30


def plan(root: Path) -> public.Plan:
    """One task for each participant and visit.

    Raises:
        UserError: the folder is missing or holds no such zip.
    """
    zips: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in public.find_files(root, "*_2020[89]_*.zip"):
        if match := _ZIP.fullmatch(path.name):
            zips[match[1], match[3]].append(str(path))
    if not zips:
        raise UserError(
            "no EID_20208_2_0.zip or EID_20209_2_0.zip below it",
            where=root.name,
            fix="give the folder that ukbfetch or the research platform wrote the zips to",
        )
    return public.make_plan(
        StudyTask(f"{eid}_{visit}", tuple(sorted(paths)), "", {}, facts={"eid": eid})
        for (eid, visit), paths in zips.items()
    )


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One visit's cines."""
    rejected: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        images = [
            image
            for number, path in enumerate(task.paths)
            for image in _read_zip(Path(path), Path(folder, str(number)), rejected)
        ]
        cines, left_out = raw_cines(images, settings)
    return public.finish(
        task,
        settings,
        cines,
        labels={},
        patient=task.facts["eid"],
        rejected=rejected + left_out,
    )


def _read_zip(path: Path, folder: Path, rejected: Counter[str]) -> list[Image]:
    """The images of a zip, unpacked for a while; without the scanner's own results."""
    try:
        names = unpack(path, folder)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        rejected["archive.unreadable"] += 1
        return []
    listed = read_manifest(folder)
    rejected["file.missing"] += len(listed.keys() - names)
    images, wrong = read_headers(
        str(folder / name) for name in sorted(names) if not name.startswith("manifest.")
    )
    rejected += wrong
    kept = []
    for image in images:
        series = image.series_description or listed.get(Path(image.path).name, "")
        if _RESULT.search(series):
            rejected["file.scanner_result"] += 1
        else:
            kept.append(replace(image, series_description=series))
    return kept


def unpack(path: Path, folder: Path) -> set[str]:
    """Unpacks the files of a zip side by side, by their names alone.

    Returns:
        The names.

    Raises:
        ValueError: it would unpack to more than the limits.
        zipfile.BadZipFile, OSError, RuntimeError: it is damaged, or locked with a password.
    """
    folder.mkdir(parents=True)
    names = set()
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) > _MAX_MEMBERS or sum(info.file_size for info in members) > _MAX_BYTES:
            raise ValueError("too large")
        for info in members:
            name = Path(info.filename.replace("\\", "/")).name
            if name and not name.startswith("."):
                (folder / name).write_bytes(archive.read(info))
                names.add(name)
    return names


def read_manifest(folder: Path) -> dict[str, str]:
    """File name -> series description, from the manifest if there is one."""
    for name in ("manifest.csv", "manifest.cvs"):
        if (path := folder / name).is_file():
            text = _DATE.sub(r"\1 \2 \3", path.read_text(encoding="utf-8", errors="replace"))
            rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
            return {
                row["filename"]: row.get("series discription") or ""
                for row in rows
                if row.get("filename")
            }
    return {}


SOURCE = public.PublicSource(
    plan,
    process,
    {},
    "UK Biobank's material transfer agreement: your application alone; cite Petersen et al. 2016",
    masks=False,
)
