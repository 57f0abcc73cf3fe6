"""Images of a phantom heart: every frame of a cine at once, from the surfaces of `geometry`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmrjax.data.phantom.chest import chest, paint, ramp
from cmrjax.data.phantom.findings import Truth
from cmrjax.data.phantom.geometry import (
    ATRIUM_KAPPA,
    KAPPA,
    RV_APEX,
    Heart,
    alignment,
    angle_terms,
    atrium_scale,
    la_half_length,
    lv_base,
    lv_level,
    lv_radii,
    lv_stretch,
    mean_lv_radii,
    rv_base,
    rv_ellipse,
)
from cmrjax.data.phantom.motion import contraction, smoothstep
from cmrjax.data.phantom.scanner import Plane, Profile, Protocol, sample_protocol

RV_WALL_MM = 3.0
TRABECULAE_MM = 4.0
EDGE = 1.15  # pixels over which an edge fades: partial volume and the point spread
BACKGROUND, RV, MYOCARDIUM, LV = 0, 1, 2, 3
# The heart and its sac lie within these bounds (u, v, w): outside them nothing moves.
BOUNDS = ((-125.0, 66.0), (-72.0, 72.0), (-130.0, 82.0))
MAX_12_BIT = 4095


@dataclass(frozen=True)
class Cine:
    """Rendered images of one plane.

    Args:
        plane: where.
        pixels: [t, h, w] uint16, 12 bits used.
        mask: [t, h, w] uint8 (0 background, 1 RV, 2 myocardium, 3 LV) or None.
        phase: [t] fraction of the RR interval.
    """

    plane: Plane
    pixels: np.ndarray
    mask: np.ndarray | None
    phase: np.ndarray


@dataclass(frozen=True)
class Study:
    """An examination: the protocol and its images."""

    protocol: Protocol
    cines: tuple[Cine, ...]
    scouts: tuple[Cine, ...]
    late: tuple[Cine, ...]


def render_study(truth: Truth, profile: Profile, *, masks: bool = False) -> Study:
    """Draws an examination of a patient and renders all of it.

    Args:
        truth: the patient, from `findings.truth`.
        profile: how large the study is.
        masks: whether the cines carry their true labels.

    Returns:
        The study; it depends on the truth's seed and index and on the profile alone.
    """
    protocol = sample_protocol(np.random.default_rng([truth.seed, truth.index, 1]), profile)
    noise = np.random.default_rng([truth.seed, truth.index, 2])
    phase = (np.arange(protocol.phases) + protocol.phase_offset) / protocol.phases
    still = np.array([0.72])

    def images(planes, phase, masks=False):
        return tuple(
            _render(truth, protocol, p, phase, noise, profile.subslices, masks) for p in planes
        )

    return Study(
        protocol=protocol,
        cines=images(protocol.planes, phase, masks),
        scouts=images(protocol.scouts, still),
        late=tuple(_inverted(c) for c in images(protocol.late, still)),
    )


def _render(truth, protocol, plane, phase, rng, subslices, masks) -> Cine:
    c = contraction(phase, heart_rate=protocol.heart_rate)[:, None, None]
    normal = np.cross(plane.row, plane.column)
    offsets = (np.arange(subslices) - 0.5 * (subslices - 1)) / subslices * protocol.thickness_mm
    parts = [_signal(truth, protocol, plane, plane.centre + o * normal, c) for o in offsets]
    signal = sum(parts[1:], parts[0]) / np.float32(subslices)
    mask = None
    if masks:
        mask = label_mask(truth.patient.heart, _grid(plane, plane.centre - plane.shift), c)
    return Cine(plane, _acquire(signal, protocol, plane, rng), mask, phase)


def _grid(plane: Plane, centre: np.ndarray) -> list[np.ndarray]:
    """The pixels' u, v, w [h, w]; [1, 1] for one that is the same everywhere."""
    steps = ((np.arange(plane.size) - 0.5 * (plane.size - 1)) * plane.spacing).astype(np.float32)
    axes = []
    for k in range(3):
        right, down = plane.row[k].item(), plane.column[k].item()
        if abs(right) + abs(down) < 1e-9:
            axes.append(np.full((1, 1), centre[k], np.float32))
        else:
            axes.append(centre[k].item() + right * steps[None, :] + down * steps[:, None])
    return axes


def _signal(truth: Truth, protocol: Protocol, plane: Plane, centre, c) -> np.ndarray:
    """Noiseless signal [t, h, w] of a plane, blood being 1."""
    width = EDGE * plane.spacing
    grid = _grid(plane, centre - plane.shift)
    full = [np.broadcast_to(g, (plane.size, plane.size)) for g in grid]
    still = chest(
        protocol, heart=tuple(full), body_scale=truth.patient.body_scale, width=1.3 * width
    )
    signal = np.repeat(still[None], c.shape[0], axis=0)
    inside = np.ones(still.shape, bool)
    for axis, (low, high) in zip(full, BOUNDS, strict=True):
        inside &= (axis > low) & (axis < high)
    if not inside.any():
        return signal
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = [g if g.shape == (1, 1) else np.ascontiguousarray(g[box]) for g in grid]
    canvas = np.ascontiguousarray(signal[:, *box])
    _paint_heart(canvas, truth.patient.heart, protocol, part, c, plane.spacing)
    signal[:, *box] = canvas
    return signal


def _polar(u, v):
    r = np.sqrt(u * u + v * v)
    safe = np.maximum(r, 1e-3)
    return r, u / safe, v / safe


def _lv_distances(heart: Heart, grid, c):
    """Distances to the cavity, to the wall's outside, and to that continued above the base."""
    u, v, w = grid
    r, cos, sin = _polar(u, v)
    endo, epi = lv_radii(heart, angle_terms(heart, cos, sin), lv_level(heart, w, c), c)
    above = w - lv_base(heart, c)
    apex = -heart.lv_length - w
    outer_apex = apex - 0.7 * heart.wall * lv_stretch(heart, c)
    cavity = np.maximum(r - endo, np.maximum(above, apex))
    # Beyond the apex the nearest point is the apex itself: fat and fluid cap it as a dome.
    column = np.where(outer_apex > 0, np.hypot(r, outer_apex), r - epi)
    return cavity, np.maximum(column, above), column


def _rounded(heart: Heart, grid, c, outer):
    """Distance to the LV's outside, true to mm around the apex too, for what coats the heart."""
    u, v, w = grid
    stretch = lv_stretch(heart, c)
    middle = 1.0 / (1.0 + KAPPA)
    below = w + heart.lv_length * (1.0 - stretch * middle)
    length = stretch * (middle * heart.lv_length + 0.7 * heart.wall)
    _, radius = mean_lv_radii(heart, middle, c)
    square = u * u + v * v
    k = np.sqrt(square / radius**2 + (below / length) ** 2)
    slope = np.sqrt(square / radius**4 + (below / length**2) ** 2)
    return np.where(below < 0, k * (k - 1.0) / np.maximum(slope, 1e-6), outer)


def _rv_distances(heart: Heart, grid, c):
    """Distances to the RV cavity (the LV not yet taken out) and to the outside of its wall."""
    u, v, w = grid
    shape = rv_ellipse(heart, w, c)
    k = ((u - shape.centre_u) / shape.half_u) ** 2
    k = k + ((v - shape.centre_v) / shape.half_v) ** 2
    around = (np.sqrt(k) - 1.0) * (0.5 * (shape.half_u + shape.half_v))
    above = w - rv_base(heart, c)
    beyond = -RV_APEX * heart.lv_length - w
    ends = np.maximum(above, beyond)
    wall = np.maximum(around - RV_WALL_MM * shape.opening, ends - 1.0)
    return np.maximum(around, ends), wall


def _paint_heart(image, heart: Heart, protocol: Protocol, grid, c, spacing) -> None:
    """Paints the moving heart over a still canvas [t, h, w], from outside to inside."""
    tissue, width = protocol.contrast, EDGE * spacing
    w = grid[2]
    cavity, outer, _ = _lv_distances(heart, grid, c)
    rv_cavity, rv_outer = _rv_distances(heart, grid, c)
    sac = np.minimum(_rounded(heart, grid, c, outer), rv_outer)
    _paint_sac(image, heart, protocol, grid, sac, width)
    if w.shape != (1, 1):
        cavity, outer = _true(cavity, spacing), _true(outer, spacing)
        rv_cavity, rv_outer = _true(rv_cavity, spacing), _true(rv_outer, spacing)
    blood = 1.0 - tissue.flow_void * 2.0 * c * (1.0 - c)
    if float(np.max(w)) > -25.0:
        _paint_right_vessels(image, heart, tissue, grid, c, width)
    paint(image, ramp(rv_outer, width), tissue.myocardium)
    paint(image, ramp(rv_cavity, width), 0.97 * blood)
    if float(np.max(w)) > -25.0:
        _paint_left_vessels(image, heart, tissue, grid, c, width)
    paint(image, ramp(outer, width), tissue.myocardium)
    paint(image, ramp(cavity, width), blood)
    _paint_inside_lv(image, heart, tissue.myocardium, grid, c, cavity, width)


def _true(distance: np.ndarray, spacing: float) -> np.ndarray:
    """A level function scaled to mm across its zero, where its slope within the plane exceeds 1."""
    slope = np.ones_like(distance)
    slope[:, :-1] += (np.diff(distance, axis=1) / spacing) ** 2
    slope[:, :, :-1] += (np.diff(distance, axis=2) / spacing) ** 2
    slope -= 1.0
    return distance / np.sqrt(np.clip(slope, 1.0, 25.0, out=slope))


def _paint_sac(image, heart: Heart, protocol: Protocol, grid, distance, width) -> None:
    """Epicardial fat, then pericardial fluid between the fat and the wall."""
    tissue = protocol.contrast
    u, v, _ = grid
    _, cos, sin = _polar(u, v)

    def lean(angle, low):
        return low + (1.0 - low) * 0.5 * (1.0 + alignment(angle, cos, sin))

    fluid = heart.effusion * lean(heart.effusion_angle, 0.4)
    fat = heart.fat * lean(heart.fat_angle, 0.3)
    cover = ramp(distance - fluid - fat, width)
    paint(image, cover, tissue.fat)
    # Where fat and water share a pixel their signals cancel: the dark line around fat.
    image *= 1.0 - 1.6 * cover * (1.0 - cover)
    paint(image, ramp(distance - fluid, width) * np.minimum(fluid, 1.0), tissue.fluid)


def _paint_right_vessels(image, heart: Heart, tissue, grid, c, width) -> None:
    """Right atrium and RV outflow tract, each with a thin wall."""
    u, v, w = grid
    base = rv_base(heart, c)
    size = heart.ra_radius * atrium_scale(heart, c)
    middle = base + ATRIUM_KAPPA * heart.ra_radius
    atrium = _ellipsoid(u + 26.0 + 0.9 * heart.ra_radius, v - 10.0, w - middle, size, 1.1 * size)
    atrium = np.maximum(atrium, base - w)
    outflow = _capsule(grid, (-34.0, -25.0, -14.0), (-8.0, -42.0, 40.0)) - 12.5
    outflow = np.maximum(outflow, base - w)
    both = np.minimum(atrium, outflow)
    paint(image, ramp(both - 2.0, width), tissue.myocardium)
    paint(image, ramp(both, width), 0.95)


def _paint_left_vessels(image, heart: Heart, tissue, grid, c, width) -> None:
    """Left atrium and ascending aorta, each with a thin wall."""
    u, v, w = grid
    base = lv_base(heart, c)
    length = la_half_length(heart, c)
    size = heart.la_radius * atrium_scale(heart, c)
    atrium = _ellipsoid(u - 4.0, v - 10.0, w - (base + ATRIUM_KAPPA * length), size, length)
    atrium = np.maximum(atrium, base - w)
    paint(image, ramp(atrium - 1.8, width), tissue.myocardium)
    paint(image, ramp(atrium, width), 0.97)
    root = (-0.45 * heart.lv_radius, -0.70 * heart.lv_radius, 0.0)
    aorta = _capsule(grid, root, (-26.0, -34.0, 75.0)) - heart.aorta_radius
    aorta = np.maximum(aorta, base - w)
    paint(image, ramp(aorta - 1.8, width), 0.25)
    paint(image, ramp(aorta, width), 1.0 - 0.3 * tissue.flow_void * c)


def _ellipsoid(x, y, z, radius, half_length):
    k = np.sqrt((x * x + y * y) / radius**2 + (z / half_length) ** 2)
    return (k - 1.0) * radius


def _capsule(grid, start, end):
    """Distance to a line segment."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    offset = [g - a for g, a in zip(grid, start, strict=True)]
    norm = sum(a * a for a in axis)
    along = np.clip(sum(o * a for o, a in zip(offset, axis, strict=True)) / norm, 0.0, 1.0)
    return np.sqrt(sum((o - along * a) ** 2 for o, a in zip(offset, axis, strict=True)))


def _paint_inside_lv(image, heart: Heart, signal, grid, c, cavity, width) -> None:
    """Trabeculae and two papillary muscles, which move with the wall and count as LV cavity."""
    u, v, w = grid
    level = lv_level(heart, w, c)
    within = ramp(cavity, width)
    # Blood and muscle share the innermost millimetres, more of it on the ridges.
    ridges = (0.28 + 0.22 * np.cos(11.0 * np.arctan2(v, u))) * smoothstep((0.85 - level) / 0.15)
    paint(image, within * ramp(-0.5 * TRABECULAE_MM - cavity, TRABECULAE_MM) * ridges, signal)
    endo, _ = mean_lv_radii(heart, level, c)
    here = smoothstep((level - 0.18) / 0.1) * smoothstep((0.66 - level) / 0.1)
    radius = heart.papillary_radius * here * (1.0 + 0.15 * c)
    for angle in (-0.55, 1.75):
        at = np.maximum(endo - 0.85 * radius, 0.55 * endo)
        du, dv = u - at * float(np.cos(angle)), v - at * float(np.sin(angle))
        distance = np.sqrt(du * du + dv * dv) - radius
        paint(image, ramp(distance, width) * within * here, signal)


def label_mask(heart: Heart, grid: Sequence[np.ndarray], c) -> np.ndarray:
    """True labels of points of the heart frame, without partial volume.

    Args:
        heart: the patient's.
        grid: u, v and w in mm, broadcastable to one another and to ``c``.
        c: contraction.

    Returns:
        uint8: 0 background, 1 RV, 2 myocardium, 3 LV with its papillary muscles.
    """
    cavity, outer, column = _lv_distances(heart, grid, c)
    rv_cavity, _ = _rv_distances(heart, grid, c)
    mask = np.zeros(np.broadcast_shapes(cavity.shape, rv_cavity.shape), np.uint8)
    mask[np.broadcast_to((rv_cavity < 0) & (column >= 0), mask.shape)] = RV
    mask[np.broadcast_to(outer < 0, mask.shape)] = MYOCARDIUM
    mask[np.broadcast_to(cavity < 0, mask.shape)] = LV
    return mask


def _acquire(signal: np.ndarray, protocol: Protocol, plane: Plane, rng) -> np.ndarray:
    """Coil shading, off-resonance bands, Rician noise and the scanner's arbitrary scale."""
    tissue = protocol.contrast
    steps = np.linspace(-1.0, 1.0, plane.size, dtype=np.float32)
    x, y = steps[None, :], steps[:, None]
    a = [k.item() for k in tissue.coil]
    gain = np.exp(a[0] * x + a[1] * y + a[2] * x * y + a[3] * x * x + a[4] * y * y)
    half = 0.5 * plane.size * plane.spacing
    along = half * (x * float(np.cos(tissue.band_angle)) + y * float(np.sin(tissue.band_angle)))
    turn = 2.0 * np.pi * along / tissue.band_period + tissue.band_phase
    gain *= 1.0 - tissue.band_depth * np.exp(-((np.cos(0.5 * turn + 0.5 * np.pi) / 0.12) ** 2))
    signal = signal * gain
    noise = rng.standard_normal((2, *signal.shape), np.float32)
    noise *= np.float32(tissue.noise)
    signal = np.hypot(signal + noise[0], noise[1])
    return np.clip(signal * np.float32(tissue.scale), 0, MAX_12_BIT).astype(np.uint16)


def _inverted(cine: Cine) -> Cine:
    """A crude inversion-recovery look: muscle nulled, so that a reader sees it is not a cine."""
    level = np.percentile(cine.pixels, 60)
    pixels = np.abs(cine.pixels.astype(np.float32) - level).astype(np.uint16)
    return Cine(cine.plane, pixels, None, cine.phase)
