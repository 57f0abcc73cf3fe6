"""Why a file or a slice position is left out: the words that are counted."""

from collections.abc import Iterable
from enum import StrEnum


class Reason(StrEnum):
    """One word for each rule that leaves a file out; `docs/prepare.md` explains them."""

    # What it is.
    APPLEDOUBLE = "appledouble"
    NOT_DICOM = "not_dicom"
    ARCHIVE = "archive"
    NESTED_ARCHIVE = "nested_archive"
    LINK = "link"
    ENCRYPTED = "encrypted"
    DICOMDIR = "dicomdir"
    NO_STUDY = "no_study"
    NOT_MR = "not_mr"
    NOT_GREY = "not_grey"
    NO_PIXELS = "no_pixels"
    FLOAT_PIXELS = "float_pixels"
    NO_FRAMES = "no_frame_positions"
    NO_GEOMETRY = "no_geometry"
    # What is broken.
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    BAD_SIZE = "bad_size"
    BAD_PIXELS = "bad_pixels"
    UNDECODABLE = "undecodable"
    # What would cost too much, or did.
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    CRASHED = "crashed"
    NO_SPACE = "no_space"
    # What this installation, or any, cannot decode.
    NEEDS_CODECS = "needs_extra_codecs"
    UNSUPPORTED = "unsupported_syntax"
    UNSUPPORTED_PACKING = "unsupported_packing"


class CineReason(StrEnum):
    """One word for each rule that leaves out a slice position, or a part of its images."""

    # What it is instead of a cine.
    NAMED = "named_other_imaging"
    FLOW = "flow"
    REFORMAT = "reformat"
    VARYING_INVERSION = "varying_inversion_time"
    ONE_PHASE = "one_phase"
    FEW_PHASES = "few_phases"
    NO_CYCLE = "no_cardiac_cycle"
    NO_GEOMETRY = "no_geometry"
    # A cine of which a part is missing.
    MISSING_PHASES = "missing_phases"
    INCOMPLETE = "incomplete"
    # What there is more of than one cine; the one stays.
    OTHER_COMPONENT = "other_component"
    SEVERAL_BEATS = "several_beats"
    REPEATED_PHASES = "repeated_phases"
    REPEATED = "repeated"


class Rejected(Exception):  # noqa: N818  (a verdict on a file, counted, not a failure)
    """A file that is left out; its one argument is the reason that is counted."""

    @property
    def reason(self) -> str:
        """The reason's word."""
        return str(self.args[0])


NO_CYCLE = "no_4d"  # of public datasets that name ED and ES
MEANINGS = "docs/prepare.md says what each reason means"


def advice(counted: Iterable[str]) -> str | None:
    """What would let more be read.

    Args:
        counted: reasons, with or without what they were counted of ('file.', 'cine.').

    Returns:
        Nothing where nothing would.

    Example:
        >>> advice(["file.not_mr"]) is None
        True
    """
    counted = list(counted)
    if any(reason.endswith(Reason.NEEDS_CODECS) for reason in counted):
        return (
            "pip install 'cmrjax[codecs]' reads what needs_extra_codecs counts "
            "(JPEG alone, under the GPL: 'cmrjax[codecs-gpl]')"
        )
    if any(reason.endswith(NO_CYCLE) for reason in counted):
        return "give the 4-D files of the whole cycle, or --frames 2 (or --fade between ED and ES)"
    return None
