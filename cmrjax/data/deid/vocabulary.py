"""Header texts that may be stored, as one of a few words: what is in none of them says 'other'.

Manufacturer and the like are free text, into which sites write what they want.
"""

import math

VENDORS = ("siemens", "ge", "philips", "canon", "united_imaging", "other", "unknown")
FIELD_STRENGTHS = (0.35, 0.55, 1.0, 1.5, 3.0, 7.0)
_MARKS = {
    "siemens": ("siemens", "healthineers"),
    "ge": ("ge medical", "ge healthcare", "general electric", "gems", "ge "),
    "philips": ("philips", "marconi", "picker"),
    "canon": ("canon", "toshiba"),
    "united_imaging": ("uih", "united imaging", "united-imaging"),
}


def vendor_of(manufacturer: str) -> str:
    """The vendor that a Manufacturer names.

    Example:
        >>> vendor_of('SIEMENS Healthineers'), vendor_of('GE MEDICAL SYSTEMS'), vendor_of('Dr. X')
        ('siemens', 'ge', 'other')
    """
    text = " ".join(manufacturer.lower().split()) + " "
    if not text.strip():
        return "unknown"
    for vendor, marks in _MARKS.items():
        if text.startswith(marks):
            return vendor
    return "other"


def field_strength_of(tesla: float) -> float:
    """The nearest usual field strength, 0 where it is unknown or none of them.

    Some scanners write gauss (15000), some the exact field (1.494).

    Example:
        >>> field_strength_of(1.494), field_strength_of(30000.0), field_strength_of(float('nan'))
        (1.5, 3.0, 0.0)
    """
    if not math.isfinite(tesla) or tesla <= 0:
        return 0.0
    value = tesla / 10_000 if tesla > 100 else tesla
    nearest = min(FIELD_STRENGTHS, key=lambda usual: abs(usual - value))
    return nearest if abs(nearest - value) <= 0.1 * nearest else 0.0
