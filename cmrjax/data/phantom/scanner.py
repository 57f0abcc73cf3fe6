"""Scanners: everything about a study that says nothing about the patient's heart.

All of it is drawn from a stream of its own, so no header, file count, noise level or intensity
scale can carry a finding. Slices are planned at fixed distances from the mitral plane, and images
centred on a fixed point of the heart, for the same reason.
"""

from dataclasses import dataclass

import numpy as np

VENDORS = ("siemens", "ge", "philips")

# Image centre in the heart frame, and the directions of rising columns and rows, per view.
CENTRE = (-15.0, 0.0, -30.0)
_S = float(np.sqrt(0.5))
VIEWS = {
    "sax": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "4ch": ((0.985, -0.174, 0.0), (0.0, 0.0, 1.0)),
    "2ch": ((0.0, 0.0, 1.0), (0.12, 0.993, 0.0)),
    "3ch": ((0.0, 0.0, 1.0), (_S, _S, 0.0)),
}
# Columns are u, v, w in the patient (x left, y posterior, z superior), after a real stack.
MEAN_AXES = np.array([[0.71, -0.31, -0.63], [0.70, 0.27, 0.66], [-0.03, -0.91, 0.41]])


@dataclass(frozen=True)
class Profile:
    """How large the studies are.

    Args:
        name: 'demo' or 'full'.
        sax_slices: fewest and most short-axis slices.
        phases: fewest and most phases of a cine.
        matrix: image sizes in pixels to draw from.
        field_mm: smallest and largest field of view.
        gap_mm: smallest and largest distance between short-axis slices.
        three_chamber: chance that a 3CH cine was taken.
        subslices: planes averaged across the slice thickness.
        late_enhancement: whether a single-phase inversion-recovery stack was taken.
    """

    name: str
    sax_slices: tuple[int, int]
    phases: tuple[int, int]
    matrix: tuple[int, ...]
    field_mm: tuple[float, float]
    gap_mm: tuple[float, float]
    three_chamber: float
    subslices: int
    late_enhancement: bool


DEMO = Profile("demo", (2, 3), (12, 14), (64, 72, 80, 88), (165, 200), (16, 19), 0.25, 1, False)
FULL = Profile("full", (8, 12), (20, 30), (160, 192, 208, 224), (300, 360), (8, 10), 1.0, 2, True)


@dataclass(frozen=True)
class Plane:
    """An image plane in the heart frame.

    Args:
        view: 'sax', '2ch', '3ch', '4ch' or 'scout'.
        centre: [3] middle of the image, mm.
        row: [3] direction of rising columns.
        column: [3] direction of rising rows.
        size: rows and columns.
        spacing: mm a pixel.
        slice_index: number of the slice within its stack, base first.
        shift: [3] where the heart sat at this breath-hold, mm.
    """

    view: str
    centre: np.ndarray
    row: np.ndarray
    column: np.ndarray
    size: int
    spacing: float
    slice_index: int
    shift: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """One examination: scanner, geometry, timing and image quality."""

    vendor: str
    field_strength: float
    heart_rate: float
    phases: int
    phase_offset: float
    thickness_mm: float
    gap_mm: float
    axes: np.ndarray
    origin: np.ndarray
    planes: tuple[Plane, ...]
    scouts: tuple[Plane, ...]
    late: tuple[Plane, ...]
    contrast: "Contrast"


@dataclass(frozen=True)
class Contrast:
    """Signal of each tissue relative to blood, and what the scanner does to it."""

    myocardium: float
    fat: float
    lung: float
    liver: float
    muscle: float
    fluid: float
    spleen: float
    noise: float
    scale: float
    coil: np.ndarray
    band_period: float
    band_angle: float
    band_phase: float
    band_depth: float
    flow_void: float


def sample_protocol(rng: np.random.Generator, profile: Profile) -> Protocol:
    """Draws an examination; takes nothing of the patient, which is the point."""
    size = int(rng.choice(profile.matrix))
    spacing = round(float(rng.uniform(*profile.field_mm)) / size, 4)
    gap = round(float(rng.uniform(*profile.gap_mm)), 1)
    views = ["sax"] * int(rng.integers(profile.sax_slices[0], profile.sax_slices[1] + 1))
    turn = rng.normal(0.0, 0.22)
    centre = np.array(CENTRE) + rng.normal(0.0, 5.0, 3)
    top = rng.uniform(-29.0, -22.0) if profile.name == "demo" else rng.uniform(-4.0, 4.0)
    first = top if len(views) != 2 else top - 0.5 * gap
    planes = [
        _plane(rng, "sax", centre[:2], turn, size, spacing, k, first - k * gap)
        for k in range(len(views))
    ]
    long_axis = ["4ch", "2ch"] + ["3ch"] * bool(rng.random() < profile.three_chamber)
    for view in long_axis:
        planes.append(_plane(rng, view, centre, rng.normal(0, 0.22), size, spacing, 0, 0.0))
    order = [0, 1] if rng.random() < 0.5 else [1, 0]
    blocks = [planes[: len(views)], planes[len(views) :]]
    planes = [plane for k in order for plane in blocks[k]]
    axes = _orthonormal(MEAN_AXES + rng.normal(0.0, 0.09, (3, 3)))
    scouts = tuple(_scout(rng, k, size, spacing, axes) for k in range(3))
    late = tuple(p for p in planes if p.view == "sax") if profile.late_enhancement else ()
    return Protocol(
        vendor=VENDORS[int(rng.integers(3))],
        field_strength=float(rng.choice((1.5, 3.0))),
        heart_rate=float(np.clip(rng.normal(69.0, 11.0), 46.0, 105.0).round(0)),
        phases=int(rng.integers(profile.phases[0], profile.phases[1] + 1)),
        phase_offset=float(rng.choice((0.0, 0.25, 0.5))),
        thickness_mm=float(rng.choice((6.0, 7.0, 8.0))),
        gap_mm=gap,
        axes=axes,
        origin=np.array([20.0, -18.0, 12.0]) + rng.normal(0.0, 6.0, 3),
        planes=tuple(planes),
        scouts=scouts,
        late=late,
        contrast=_sample_contrast(rng),
    )


def _plane(rng, view, centre, turn, size, spacing, index, position) -> Plane:
    row, column = (np.array(axis) for axis in VIEWS[view])
    row, column = (
        np.cos(turn) * row + np.sin(turn) * column,
        np.cos(turn) * column - np.sin(turn) * row,
    )
    if view == "sax":
        middle = np.array([centre[0], centre[1], position])
    else:  # through the LV axis, slid within the plane only
        middle = row * float(row @ centre) + column * float(column @ centre)
        middle = middle + np.cross(row, column) * rng.normal(0.0, 1.5)
    breath = rng.normal(0.0, 1.0, 3) * np.array([1.2, 1.8, 1.2])
    return Plane(view, middle, row, column, size, spacing, index, breath)


def _scout(rng, number, size, spacing, axes) -> Plane:
    """A localiser: axial, coronal or sagittal in the patient."""
    rows = ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))[number]
    columns = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (0.0, 0.0, -1.0))[number]
    middle = np.array([0.0, 0.0, 0.0]) + rng.normal(0.0, 8.0, 3)
    side = min(size, 96)
    wide = spacing * size / side * 1.8
    row, column = axes.T @ np.array(rows), axes.T @ np.array(columns)
    return Plane("scout", middle, row, column, side, round(wide, 4), number, np.zeros(3))


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    """The nearest right-handed rotation."""
    left, _, right = np.linalg.svd(axes)
    rotation = left @ right
    return rotation if np.linalg.det(rotation) > 0 else -rotation


def _sample_contrast(rng: np.random.Generator) -> Contrast:
    uniform = rng.uniform
    return Contrast(
        myocardium=float(uniform(0.22, 0.36)),
        fat=float(uniform(0.70, 1.05)),
        lung=float(uniform(0.03, 0.09)),
        liver=float(uniform(0.30, 0.48)),
        muscle=float(uniform(0.22, 0.36)),
        fluid=float(uniform(0.92, 1.12)),
        spleen=float(uniform(0.35, 0.6)),
        noise=float(uniform(0.015, 0.05)),
        scale=float(np.exp(uniform(np.log(300.0), np.log(1500.0)))),
        coil=rng.normal(0.0, (0.25, 0.25, 0.12, 0.12, 0.12)),
        band_period=float(uniform(170.0, 320.0)),
        band_angle=float(uniform(0.0, np.pi)),
        band_phase=float(uniform(0.75 * np.pi, 1.25 * np.pi)),
        band_depth=float(uniform(0.3, 0.9)),
        flow_void=float(uniform(0.0, 0.25)),
    )
