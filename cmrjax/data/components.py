"""Of what one scan made of its signal at a slice position: which images are the picture.

A scan may store the magnitude, the phase, both parts of the complex signal, water and fat, and all
of these at several echo times, in one series. They share their times in the cycle, so the order of
phases cannot tell them apart.
"""

import math
from collections.abc import Sequence

from cmrjax.data import views
from cmrjax.data.dicom.component import Component
from cmrjax.data.dicom.image import Image
from cmrjax.data.dicom.shared import Shared
from cmrjax.data.reasons import CineReason

MIN_PHASES = 6
# What looks as a cine does, the best first.
PICTURES = (Component.MAGNITUDE, Component.IN_PHASE, Component.WATER, Component.OUT_PHASE)
# Echo times closer than this are one: scanners round them, and choose the shortest anew.
_SAME_ECHO = 1.15
# Of the largest echo's images: an echo with fewer is no whole one.
_WHOLE_ECHO = 0.6


def shared_by(images: Sequence[Image]) -> list[Shared]:
    """What images say as their series does, each once."""
    return list({id(image.shared): image.shared for image in images}.values())


def why_no_picture(shared: Sequence[Shared]) -> CineReason | None:
    """Why none of a position's images is the picture of a cine; nothing where some are.

    A phase image beside the magnitude is mostly a flow scan's: then the name must say that it is a
    cine, or which view.

    Args:
        shared: of the images.
    """
    kinds = {said.component for said in shared}
    if Component.VELOCITY in kinds:
        return CineReason.FLOW
    if kinds.isdisjoint(PICTURES):
        if Component.PHASE in kinds:
            return CineReason.FLOW
        if Component.REFORMAT in kinds:
            return CineReason.REFORMAT
        return CineReason.OTHER_COMPONENT
    if Component.PHASE in kinds and not _names_cine(shared[0].series_description):
        return CineReason.FLOW
    return None


def picture_of(images: Sequence[Image], shared: Sequence[Shared]) -> tuple[Sequence[Image], int]:
    """The magnitude of the first echo, or what looks most like it.

    Args:
        images: of one position, some of them a picture (`why_no_picture`).
        shared: of the images.

    Returns:
        The images, and how many other components and echoes there are.
    """
    kinds = {said.component for said in shared}
    if len(kinds) > 1:
        best = next(kind for kind in PICTURES if kind in kinds)
        images = [image for image in images if image.shared.component is best]
    if len(shared) == 1:
        return images, 0
    kept, echoes = _first_echo(images)
    return kept, len(kinds) - 1 + echoes


def _names_cine(description: str) -> bool:
    return views.names_cine(description) or any(
        view != "unknown" for view in views.readings(description)
    )


def _first_echo(images: Sequence[Image]) -> tuple[Sequence[Image], int]:
    """The images of the lowest echo time that has all phases, and how many other echoes there are.

    Where no echo has as many images as a cine, echo times tell nothing.
    """
    echoes = _echoes(images)
    least = max(MIN_PHASES, _WHOLE_ECHO * max(map(len, echoes)))
    whole = [echo for echo in echoes if len(echo) >= least]
    return (whole[0], len(echoes) - 1) if whole else (images, 0)


def _echoes(images: Sequence[Image]) -> list[list[Image]]:
    """Images by their echo, the lowest first; together where the headers do not tell."""
    for known in (_echo_time, _echo_number):
        ordered = sorted(images, key=known)
        if any(math.isnan(known(image)) for image in images):
            continue
        echoes = [[ordered[0]]]
        for image in ordered[1:]:
            if known(image) > _SAME_ECHO * known(echoes[-1][0]):
                echoes.append([])
            echoes[-1].append(image)
        if len(echoes) > 1:
            return echoes
    return [list(images)]


def _echo_time(image: Image) -> float:
    return image.shared.echo_time


def _echo_number(image: Image) -> float:
    return image.shared.echo_number
