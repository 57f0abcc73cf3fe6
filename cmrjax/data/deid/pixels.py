"""Which images may carry text in their pixels, from header values alone, and what is cut off.

Nobody reads pixels here: a name burned in without any mark of it in the header passes. An image
that the header gives reason to doubt is left out, and counted by its reason.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

# Images as a scanner makes them: plain, enhanced, legacy converted. Everything else under the
# storage root is a capture, a colour picture, a document or another modality.
_SCANNED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{leaf}" for leaf in ("4", "4.1", "4.4")
)  # fmt: skip
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_STANDARD = "1.2.840.10008."
_SCREEN = ("SCREEN", "CAPTURE", "SNAPSHOT", "SAVE", "REPORT", "DOCUMENT", "PDF")
_SCREEN_NAMES = ("screen save", "screensave", "screenshot", "screen shot", "screen capture")
# Rows of an overlay and dimensions of a curve: each is there whenever its group is.
OVERLAYS = frozenset(0x60000010 + (group << 16) for group in range(0, 0x20, 2))
CURVES = frozenset(0x50000005 + (group << 16) for group in range(0, 0x20, 2))


def text_in_pixels(
    *,
    sop_class: str,
    image_type: Sequence[str],
    burned_in: str,
    conversion_type: str,
    series_description: str,
) -> str | None:
    """Why an image is quarantined, or nothing when the header gives no reason to.

    Args:
        sop_class: SOPClassUID; empty where the file has none.
        image_type: values of ImageType.
        burned_in: BurnedInAnnotation.
        conversion_type: ConversionType.
        series_description: SeriesDescription.

    Returns:
        'burned_in_text', 'secondary_capture', 'screenshot', 'derived_secondary' or
        'not_an_mr_image'.

    Example:
        >>> text_in_pixels(sop_class='1.2.840.10008.5.1.4.1.1.7', image_type=(), burned_in='',
        ...                conversion_type='', series_description='')
        'secondary_capture'
    """
    # Only NO and nothing are taken for no: some write Y, 1 or TRUE.
    if burned_in.strip().upper() not in ("", "NO"):
        return "burned_in_text"
    if sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}."):
        return "secondary_capture"
    # The type of a conversion is a secondary capture's attribute: a scanner writes none.
    if conversion_type.strip():
        return "secondary_capture"
    types = [value.strip().upper() for value in image_type]
    if any(word in value for value in types for word in _SCREEN):
        return "screenshot"
    named = " ".join(series_description.lower().replace("_", " ").replace("-", " ").split())
    if any(name in named for name in _SCREEN_NAMES):
        return "screenshot"
    if types[:2] == ["DERIVED", "SECONDARY"]:
        return "derived_secondary"
    # Vendors' own classes are outside the standard's root, and are decided by the rules above.
    if sop_class.startswith(_STANDARD) and sop_class not in _SCANNED:
        return "not_an_mr_image"
    return None


def dropped_planes(tags: Collection[int] | Iterable[int]) -> tuple[str, ...]:
    """Names what an image carries beside its pixels, which is never read: 'overlay', 'curve'."""
    there = set(tags)
    kinds = (("overlay", OVERLAYS), ("curve", CURVES))
    return tuple(name for name, wanted in kinds if wanted & there)


def mask_unused_bits(stored: np.ndarray, *, bits_stored: int) -> np.ndarray:
    """Cuts off what lies in the bits above a pixel's value: old overlays hide there.

    Args:
        stored: integers as they lie in the file, 8 or 16 bits each.
        bits_stored: BitsStored; HighBit is one less.

    Returns:
        The same array when all bits are used; otherwise a new one, signs extended where the type
        is signed. pydicom's `pixel_array` does the same.

    Example:
        >>> mask_unused_bits(np.array([0x8FFF], np.uint16), bits_stored=12)
        array([4095], dtype=uint16)
    """
    shift = stored.dtype.itemsize * 8 - bits_stored
    if shift <= 0 or bits_stored <= 0:
        return stored
    return np.right_shift(np.left_shift(stored, shift), shift)
