"""DICOM files: which study they belong to, what their images show, their pixels.

Uncompressed little-endian files, nearly all of an MR archive, are read here by a walk that knows
little and so is fast. All others go to a general parser and to decoders in a process of its own
with limits (`guard`), so that no file can crash, hang or bloat the one that asks.
"""

from cmrjax.data.dicom.image import Image, people_of, read_images
from cmrjax.data.dicom.pixels import read_pixels, read_stored, rescale
from cmrjax.data.dicom.scan import study_of
from cmrjax.data.reasons import Reason, Rejected

__all__ = [
    "Image",
    "Reason",
    "Rejected",
    "people_of",
    "read_images",
    "read_pixels",
    "read_stored",
    "rescale",
    "study_of",
]
