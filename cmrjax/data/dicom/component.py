"""What an image's pixels are, from its ImageType: the magnitude of the signal, or something else.

Vendors spell it in their own ways (`M`, `M_FFE`, `MAGNITUDE`; `P`, `PHASE MAP`), and put it among
words that say nothing of it. An image that names no component is a magnitude.
"""

import re
from collections.abc import Sequence
from enum import StrEnum


class Component(StrEnum):
    """What a scan makes of its signal; the first four look as a cine does, the first best."""

    MAGNITUDE = "magnitude"
    IN_PHASE = "in_phase"
    WATER = "water"
    OUT_PHASE = "out_phase"
    FAT = "fat"
    REAL = "real"
    IMAGINARY = "imaginary"
    PHASE = "phase"
    VELOCITY = "velocity"
    REFORMAT = "reformat"


# A value's first word; of an image that has several of them the first of these is meant.
_WORDS = {
    Component.PHASE: "P PHASE",
    Component.REAL: "R REAL",
    Component.IMAGINARY: "I IMAGINARY",
    Component.FAT: "F FAT",
    Component.WATER: "W WATER",
}
# Of a scan that encodes velocities the magnitude is known too, and is no cine.
_VELOCITY = re.compile(r"\bVELOCITY\b|\bFLOW ENCODED\b|\bPCA\b|\bPHASE CONTRAST\b")
_IN_PHASE = re.compile(r"\bIN PHASE\b|\\IP\b")
_OUT_PHASE = re.compile(r"\b(?:OUT|OPP\w*) (?:OF )?PHASE\b|\\OP\b")
# DERIVED alone says little: filtered and normalised cines are that too. These are other planes,
# projections, and images made of several.
_REFORMAT = re.compile(
    r"""
    \b(?:MPR|CPR|REFORMAT\w*|RESAMPLED|COLLAPSED?|PJN|PROJECTION|MIP|M(?:AX|IN|N)?\ ?IP|MAXIMUM
    |MINIMUM|MEAN|AVERAGED?|STD\ ?DEV\w*|ADD(?:ITION)?|SUB(?:TRACT\w*)?|MULTIPLICATION|DIVISION)\b
    """,
    re.VERBOSE,
)


def component_of(image_type: Sequence[str]) -> Component:
    """What the pixels of an image are.

    Args:
        image_type: values of ImageType or FrameType, and of ComplexImageComponent.

    Example:
        >>> str(component_of(['ORIGINAL', 'PRIMARY', 'I_FFE', 'I', 'FFE']))
        'imaginary'
        >>> str(component_of(['DERIVED', 'PRIMARY', 'M', 'ND', 'NORM']))
        'magnitude'
    """
    values = [value.upper().replace("_", " ").strip() for value in image_type]
    text = "\\".join(["", *values[2:]])
    if values[:1] == ["DERIVED"] and _REFORMAT.search(text):
        return Component.REFORMAT
    if _VELOCITY.search(text):
        return Component.VELOCITY
    if _IN_PHASE.search(text):
        return Component.IN_PHASE
    if _OUT_PHASE.search(text):
        return Component.OUT_PHASE
    first = {value.split(" ")[0] for value in values[2:]}
    found = (component for component, words in _WORDS.items() if first & set(words.split()))
    return next(found, Component.MAGNITUDE)
