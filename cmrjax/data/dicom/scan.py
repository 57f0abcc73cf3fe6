"""Which study a file belongs to, from its first bytes."""

import os

from cmrjax.data import files
from cmrjax.data.archives import is_archive
from cmrjax.data.dicom import tags
from cmrjax.data.dicom.alike import Reader
from cmrjax.data.dicom.header import read_header
from cmrjax.data.dicom.walk import Walk
from cmrjax.data.reasons import Reason, Rejected

_APPLEDOUBLE = "._"
_KEYS = Reader(Walk((tags.SOP_CLASS, tags.STUDY, tags.ACCESSION, tags.CHARSET)), tags.STUDY + 1)
_DICOMDIR = "1.2.840.10008.1.3.10"


def study_of(path: str) -> tuple[str, str]:
    """The StudyInstanceUID and the AccessionNumber of a file.

    Args:
        path: reference of the file, see `files`.

    Raises:
        Rejected: the file is not DICOM, or not readable, or of no study; with `Reason.ARCHIVE`, it
            is an archive.
    """
    # What macOS writes beside a file, under its name: never an image, whatever it looks like.
    if os.path.basename(path).startswith(_APPLEDOUBLE):
        raise Rejected(Reason.APPLEDOUBLE)
    try:
        header = read_header(path, _KEYS)
    except Rejected as rejected:
        if rejected.reason == Reason.NOT_DICOM and is_archive(files.read(path, 512)[0]):
            raise Rejected(Reason.ARCHIVE) from None
        raise
    study, accession, sop_class, charset = (
        header.values.get(tag, b"")
        for tag in (tags.STUDY, tags.ACCESSION, tags.SOP_CLASS, tags.CHARSET)
    )
    if not tags.text(study):
        directory = tags.text(sop_class) == _DICOMDIR
        raise Rejected(Reason.DICOMDIR if directory else Reason.NO_STUDY)
    return tags.text(study), tags.text(accession, charset)
