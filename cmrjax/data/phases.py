"""The images of one slice position as the phases of a cycle, in order, each once.

Scanners say when an image was taken in several ways, and not every export keeps all of them. The
first that tells all images apart gives the order; what was scanned twice counts once.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from cmrjax.data import views
from cmrjax.data.components import MIN_PHASES, picture_of, shared_by, why_no_picture
from cmrjax.data.dicom.image import Image
from cmrjax.data.dicom.shared import Shared
from cmrjax.data.reasons import CineReason

_SHORTEST_CYCLE_MS, _LONGEST_CYCLE_MS = 200.0, 3000.0
# Frames are taken to be evenly spread: a hole of this share of the cycle would bend its time.
_HOLE = 0.25
_UNEVEN = 1.5
# Times that run on for longer than this share of a beat are of several beats.
_ONE_BEAT = 1.3
_SLOW_BEAT_MS = 1500.0
_TIMES: tuple[Callable[[Image], float], ...] = (
    lambda image: image.trigger,
    lambda image: image.phase,
    lambda image: image.temporal,
)


def cycle_of(images: Sequence[Image], rejected: Counter[str]) -> tuple[Image, ...]:
    """The phases of a slice position, in order.

    Args:
        images: all images of one series there.
        rejected: counts what is left out, by reason.

    Returns:
        Nothing where they are no cine.
    """
    shared = shared_by(images)
    if (reason := _why_other_imaging(shared)) is not None:
        rejected[reason] += 1
        return ()
    picture, others = picture_of(images, shared)
    beat = _beat_of(shared)
    ordered, repeated = in_order(_last_round(picture, beat))
    phases = _first_beat(ordered, beat)
    if (reason := _why_no_cycle(ordered, phases)) is not None:
        rejected[reason] += 1
        return ()
    if others:
        rejected[CineReason.OTHER_COMPONENT] += others
    rejected[CineReason.REPEATED_PHASES] += repeated or len(ordered) < len(picture)
    if len(phases) < len(ordered):
        rejected[CineReason.SEVERAL_BEATS] += 1
    return phases


def _why_other_imaging(shared: Sequence[Shared]) -> CineReason | None:
    """Why images are no cine, whatever their times."""
    if views.names_other_imaging(shared[0].series_description):
        return CineReason.NAMED
    if (reason := why_no_picture(shared)) is not None:
        return reason
    inversions = {said.inversion_time for said in shared if not math.isnan(said.inversion_time)}
    return CineReason.VARYING_INVERSION if len(inversions) > 1 else None


def _why_no_cycle(ordered: Sequence[Image], phases: Sequence[Image]) -> CineReason | None:
    """Why phases, those of one beat among all that are in order, are no cycle."""
    if len(ordered) < MIN_PHASES:
        return CineReason.ONE_PHASE if len(ordered) == 1 else CineReason.FEW_PHASES
    if len(phases) < MIN_PHASES:
        return CineReason.SEVERAL_BEATS
    times = [i.trigger for i in phases if not math.isnan(i.trigger)]
    if times and not _SHORTEST_CYCLE_MS <= max(times) - min(times) <= _LONGEST_CYCLE_MS:
        return CineReason.NO_CYCLE
    return CineReason.MISSING_PHASES if any(_has_hole(phases, time) for time in _TIMES) else None


def _has_hole(phases: Sequence[Image], time: Callable[[Image], float]) -> bool:
    """Whether a part of the cycle is missing between two phases."""
    times = [time(image) for image in phases]
    if any(map(math.isnan, times)) or any(b <= a for a, b in pairwise(times)):
        return False
    steps = [b - a for a, b in pairwise(times)]
    return max(steps) > _HOLE * (times[-1] - times[0] + median(steps))


def _beat_of(shared: Sequence[Shared]) -> float:
    """From one R wave to the next at a position, ms: what most of its images say; NaN if none."""
    known = [said.beat for said in shared if not math.isnan(said.beat)]
    return median(known) if known else math.nan


def _first_beat(phases: tuple[Image, ...], beat: float) -> tuple[Image, ...]:
    """Of phases whose times run on over several beats, the first beat: it begins at its R wave."""
    times = sorted(image.trigger for image in phases)
    if any(map(math.isnan, times)) or not times[-1] - times[0] > _ONE_BEAT * beat:
        return phases
    end = times[0] + beat - median(b - a for a, b in pairwise(times)) / 2
    return tuple(phase for phase in phases if phase.trigger < end)


def _last_round(images: Sequence[Image], beat: float) -> Sequence[Image]:
    """Of a position scanned several times in one series, the last whole time."""
    rounds: dict[float, list[Image]] = defaultdict(list)
    for image in images:
        rounds[image.shared.acquisition].append(image)
    sizes = {len(members) for members in rounds.values()}
    if len(rounds) == 1 or len(sizes) > 1 or min(sizes) < MIN_PHASES or math.nan in rounds:
        return images
    return images if _fit_together(images, beat) else rounds[max(rounds)]


def _fit_together(images: Sequence[Image], beat: float) -> bool:
    """Whether the times of all rounds are those of one cycle, each scanned in one of the rounds."""
    for time in _TIMES:
        times = sorted(time(image) for image in images)
        if any(map(math.isnan, times)) or times[0] == times[-1]:
            continue
        if len(set(times)) < len(times) or not _even(times):
            return False
        longest = _SLOW_BEAT_MS if math.isnan(beat) else _ONE_BEAT * beat
        return time is not _TIMES[0] or times[-1] - times[0] <= longest
    return False


def scan_order(image: Image) -> tuple[float, int, str]:
    """The key that sorts images as they were scanned, or numbered."""
    instance = -1.0 if math.isnan(image.instance) else image.instance
    return instance, image.frame, image.sop_uid


def in_order(images: Sequence[Image]) -> tuple[tuple[Image, ...], bool]:
    """Sorts images by when in the cycle they were taken.

    1. TriggerTime, a vendor's CardiacPhase, TemporalPosition: the first that is known of all
       images and different between them.
    2. The first of these by which every time of an evenly spaced cycle is there, some more than
       once: the image with the highest InstanceNumber stays.
    3. All of these and InstanceNumber together, unknown ones first.

    Returns:
        The images, and whether some were left out.
    """
    known = [time for time in _TIMES if not any(math.isnan(time(image)) for image in images)]
    for time in known:
        if len({time(image) for image in images}) == len(images):
            return tuple(sorted(images, key=time)), False
    for time in known:
        latest = {time(image): image for image in sorted(images, key=scan_order)}
        if len(latest) >= MIN_PHASES and _even(sorted(latest)):
            return tuple(latest[key] for key in sorted(latest)), True

    def every_key(image: Image) -> tuple[float | str, ...]:
        times = (-1.0 if math.isnan(time(image)) else time(image) for time in _TIMES)
        return (*times, *scan_order(image))

    return tuple(sorted(images, key=every_key)), False


def _even(times: Sequence[float]) -> bool:
    steps = [b - a for a, b in pairwise(times)]
    return max(steps) <= _UNEVEN * median(steps)


def covered_ms(phases: Sequence[Image]) -> float:
    """How much of a cycle phases cover; NaN where not all of their times are known."""
    times = sorted(image.trigger for image in phases)
    if any(map(math.isnan, times)):
        return math.nan
    return times[-1] - times[0] + median(b - a for a, b in pairwise(times))
