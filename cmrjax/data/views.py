"""What a series shows, from its description: a view's name, or that it is no cine at all.

The rules are anatomy words, chamber numbers and the field's abbreviations, in the spellings that
scanners and sites use. A description that says nothing gives nothing: geometry is asked next.
"""

import re

# What marks a series as something else than a plain cine, whatever view it was planned in.
_NOT_CINE = re.compile(
    r"""scout | survey | locali[sz] | \b(?:\dp|\d\ ?pl|\d\ plane) | \bloc\b | calib | timing
    | \blge\b | \bde\b | delayed | late\ ?(?:gad|enh) | psir | \bir\b | irp | cineir | tirfse | stir
    | \bti\b | \bti[=\d] | \btfi?ti\b | molli | shmolli | sasha | \bmap | t1\ ?map | map\b
    | \bt[12](?:\b|[*gw]) | t2\ ?prep | \btags?\b | tagging | grid | dense
    | perf | rest\ ?dyn | dynamic | first\ ?pass
    | flow | \bpc\b | fastpc | phase\ ?contrast | veloc | venc | \bv\ ?=?\ ?\d{2,3}\b | \b4df?\b
    | angio | \bmra\b | haste | ssfse | dirfse | \bfse\b | \btse\b | dixon | ideal
    | mfgre | gated\ \d+\ echo | multi\ ?echo | mr\ echo | \bme\b | \bfat\b | water | phase\b
    """,
    re.VERBOSE,
)
# A view of the right heart or a vessel is a cine, but none of the four views.
_OTHER_ANATOMY = re.compile(
    r"\brv|right vent|\bra\b|lvot|\baor?t?a?\b|\bao|\bpa\b|pulm|\bvsd|\basd|atri(?:al|um)\b.*stack"
)
_NUMBER = {"2": "2ch", "two": "2ch", "3": "3ch", "three": "3ch", "4": "4ch", "four": "4ch"}
_CHAMBER = re.compile(r"(?<!\d)(2|3|4|two|three|four) ?(?:ch|chamber|chmb|cham|cv|kammer)")
_SHORT_AXIS = re.compile(r"\bsax|\bshax|short ?ax|\bsa\b|\bsa ?stack|kurze achse|\bsax?\d|sax\b")
_HORIZONTAL = re.compile(r"\bhlax?\b|horizontal long")
_VERTICAL = re.compile(r"\bvla\b|vertical long")


def _plain(description: str) -> str:
    return " ".join(re.sub(r"[_\-:()\[\]/,.]+", " ", description.lower()).split())


def names_other_imaging(description: str) -> bool:
    """Whether a description names something that is not a cine.

    Example:
        >>> names_other_imaging('SAX_MOLLI_PRE'), names_other_imaging('SAX_FIESTA_BH')
        (True, False)
    """
    return bool(_NOT_CINE.search(_plain(description)))


def view_of(description: str) -> str | None:
    """The view that a description names: 'sax', '2ch', '3ch', '4ch', or 'unknown' for another.

    Returns:
        Nothing when the description names no anatomy at all.

    Example:
        >>> view_of('CINE_segmented_LAX_2Ch'), view_of('cine SA stack'), view_of('')
        ('2ch', 'sax', None)
    """
    text = _plain(description)
    if _OTHER_ANATOMY.search(text):
        return "unknown"
    chambers = {_NUMBER[number] for number in _CHAMBER.findall(text)}
    if len(chambers) == 1:
        return chambers.pop()
    if chambers:
        return "unknown"
    for pattern, view in ((_SHORT_AXIS, "sax"), (_HORIZONTAL, "4ch"), (_VERTICAL, "2ch")):
        if pattern.search(text):
            return view
    return None
