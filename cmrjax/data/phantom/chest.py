"""What surrounds the heart: chest wall, lungs, liver, spleen, spine and descending aorta."""

import numpy as np

from cmrjax.data.phantom.scanner import Contrast, Protocol

BODY_HALF_WIDTH_MM, BODY_HALF_DEPTH_MM = 170.0, 112.0


def chest(
    protocol: Protocol, *, heart: tuple[np.ndarray, ...], body_scale: float, width: float
) -> np.ndarray:
    """Signal around the heart, without the heart; it does not move.

    Args:
        protocol: scanner axes, origin and contrast.
        heart: three arrays [h, w], the pixels' u, v and w in mm.
        body_scale: size of the body relative to the mean.
        width: mm over which an edge fades.

    Returns:
        [h, w] float32, blood being 1.
    """
    u, v, _ = heart
    tissue = protocol.contrast
    x, y, z = (
        protocol.origin[k].item() + sum(protocol.axes[k, j].item() * heart[j] for j in range(3))
        for k in range(3)
    )
    image = _lungs(x, y, z, tissue)
    # Without the heart the mediastinum is fat; the heart and the vessels are painted over it.
    middle = (x + 5.0) ** 2 / 42.0**2 + (y - 12.0) ** 2 / 50.0**2
    paint(image, ramp(22.0 * (np.sqrt(middle) - 1.0), width), 0.75 * tissue.fat)
    dome = 45.0 + 0.010 * np.maximum(u - 25.0, 0.0) ** 2 - 0.12 * np.maximum(-u - 45.0, 0.0)
    under = ramp(dome - v, width)
    paint(image, under, _abdomen(x, y, z, tissue))
    spine = np.sqrt(x * x + (y - 66.0) ** 2)
    paint(image, ramp(spine - 21.0, width), 0.8 * tissue.muscle)
    aorta = np.sqrt((x - 26.0) ** 2 + (y - 42.0) ** 2)
    paint(image, ramp(aorta - 12.5, width), 0.15)
    paint(image, ramp(aorta - 11.0, width), 0.95)
    across = np.abs(x / (BODY_HALF_WIDTH_MM * body_scale)) ** 2.4
    along = np.abs(y / (BODY_HALF_DEPTH_MM * body_scale)) ** 2.4
    depth = BODY_HALF_DEPTH_MM * body_scale * (1.0 - (across + along) ** (1.0 / 2.4))
    ribs = 1.0 + 0.3 * np.sin(z * 0.24 + 0.01 * x)
    paint(image, ramp(depth - 27.0 * body_scale, width), tissue.muscle * ribs)
    paint(image, ramp(depth - 13.0 * body_scale**3, width), 1.15 * tissue.fat)
    paint(image, ramp(depth, width), 0.0)
    return image


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Coverage of a pixel by what has negative distance: 1 inside, 0 outside, a ramp between."""
    cover = distance * np.float32(-1.0 / width)
    cover += np.float32(0.5)
    return np.clip(cover, 0.0, 1.0, out=cover)


def paint(image: np.ndarray, cover: np.ndarray, value) -> None:
    """Lays a tissue over the image in place, as far as it covers each pixel."""
    image += cover * (value - image)


def _lungs(x, y, z, tissue: Contrast) -> np.ndarray:
    vessels = np.cos(0.31 * x + 0.12 * y) * np.cos(0.27 * y + 0.1 * z) * np.cos(0.29 * z - 0.11 * x)
    return (tissue.lung + 0.3 * np.clip(2.5 * np.abs(vessels) - 1.9, 0.0, 0.6)).astype(np.float32)


def _abdomen(x, y, z, tissue: Contrast) -> np.ndarray:
    """Liver on the patient's right, spleen and stomach on the left."""
    vessels = np.clip(np.cos(0.16 * x + 0.09 * y) * np.cos(0.17 * y - 0.13 * z) - 0.8, 0.0, 0.2)
    liver = tissue.liver * (1.0 + 2.0 * vessels)
    left = tissue.spleen * (1.0 + 0.4 * np.cos(0.07 * x) * np.cos(0.08 * z + 0.06 * y))
    share = np.clip((x - 30.0) / 14.0, 0.0, 1.0)
    return liver + share * (left - liver)
