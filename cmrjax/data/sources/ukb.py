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
import os
import re
import zipfile
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data import files
from cmrjax.data.dicom import Image, Rejected, guard
from cmrjax.data.sources import public
from cmrjax.data.sources.dicom_cines import raw_cines, read_headers
from cmrjax.data.study import Settings, StudyResult, StudyTask

_ZIP = re.compile(r"(\d+)_(20208|20209)_(\d+)_(\d+)\.zip")
_DATE = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}), (20\d\d)")
_RESULT = re.compile("inline", re.IGNORECASE)
_MANIFESTS = frozenset(("manifest.csv", "manifest.cvs"))
_MAX_MANIFEST = 16 << 20


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
            where="--input",
            fix="give the folder that ukbfetch or the research platform wrote the zips to",
        )
    return public.make_plan(
        StudyTask(f"{eid}_{visit}", tuple(sorted(paths)), "", {}, facts={"eid": eid})
        for (eid, visit), paths in zips.items()
    )


def process(task: StudyTask, settings: Settings) -> StudyResult:
    """One visit's cines."""
    rejected: Counter[str] = Counter()
    images = [image for path in task.paths for image in _read_zip(path, rejected)]
    cines, left_out = raw_cines(images, settings)
    return public.finish(
        task,
        settings,
        cines,
        labels={},
        patient=task.facts["eid"],
        rejected=rejected + left_out,
        images=images,
    )


def _read_zip(path: str, rejected: Counter[str]) -> list[Image]:
    """The images of a zip, which stays packed; without the scanner's own results."""
    try:
        if not zipfile.is_zipfile(path):
            raise Rejected("unreadable")
        references, left_out = guard.members(path, scratch=os.devnull)  # a zip needs none
        names = _member_names(path, references)
        manifest = [ref for ref, name in names.items() if name in _MANIFESTS]
        listed = read_manifest(files.read(manifest[0], _MAX_MANIFEST)[0]) if manifest else {}
    except Rejected as reason:
        rejected[f"archive.{reason.reason}"] += 1
        return []
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        rejected["archive.unreadable"] += 1
        return []
    rejected += Counter(left_out)
    rejected["file.missing"] += len(listed.keys() - set(names.values()))
    images, wrong = read_headers(ref for ref in names if ref not in manifest)
    rejected += wrong
    kept = []
    for image in images:
        series = image.shared.series_description or listed.get(names[image.path], "")
        if _RESULT.search(series):
            rejected["file.scanner_result"] += 1
        else:
            kept.append(image.in_series(series_description=series))
    return kept


def _member_names(path: str, references: Iterable[str]) -> dict[str, str]:
    """What each member of a zip is called, to be looked up in the manifest and then forgotten."""
    with zipfile.ZipFile(path) as archive:
        entries = sorted((entry.header_offset, entry.filename) for entry in archive.infolist())
    starts = [start for start, _ in entries]
    out = {}
    for reference in references:
        _, member = files.split(reference)
        if member is not None:  # its bytes come after its own header and before the next one
            out[reference] = Path(entries[bisect(starts, member.offset) - 1][1]).name
    return out


def read_manifest(content: bytes) -> dict[str, str]:
    """File name -> series description."""
    text = _DATE.sub(r"\1 \2 \3", content.decode("utf-8", "replace"))
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    return {
        row["filename"]: row.get("series discription") or "" for row in rows if row.get("filename")
    }


SOURCE = public.PublicSource(
    plan,
    process,
    {},
    "UK Biobank's material transfer agreement: your application alone; cite Petersen et al. 2016",
    masks=False,
)
