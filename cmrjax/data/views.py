"""What a series shows, from its description: a view's name, or that it is no cine at all.

The rules are anatomy words, chamber numbers, the field's abbreviations and the vendors' names of
sequences, in the spellings that scanners and sites use. A description is first brought to one form,
lower-case words and numbers apart (`2CH_b1` reads `2 ch b 1`), so that case, spacing, punctuation
and numbering change no answer. What says that it is no cine always wins. A description that says
nothing gives nothing: geometry is asked next (`planes`).
"""

import re
import unicodedata

# What a word of a description says is there instead of a plain cine, whatever view it is planned
# in. All of it is matched against `plain` text.
_PLANNING = r"""
    scout | survey | \bsurv\b | locali[sz] | locator | loc\b | \blocs\b | define | \bplan(?:ning)?\b
    | approx | overview | calib | \bcal\b | shim | \bref\b | interactive | i\ ?drive | timing
    | \b(?:3|three|tri|multi)\ ?pl(?:an\w*)?\b | \b3\ p\b
"""
_LATE_ENHANCEMENT = r"""
    (?<!bu)lge | \bdeh?\b | mdeh?\b | \bdhe\b | \bdme\b | delay | \blate\b | enhanc | viab | psir
    | \bps\ ir\b | \bmag\b | tardi[fov] | rehauss
"""
_INVERSION = r"""
    \b(?:\w*cine|ps|st|fla|[dqst]|mag|seg|[bd]b)?ir
        (?:p|m|rr|rage|prep|t?fse|tse|se|f?gre|tfe|epi|bffe|ssfp)?\b
    | inversion | look\ ?lock | \bll\b | \btis?\b | \btfi?ti\b
"""
# A field strength before a chamber's number ("1.5 T, 2CH") is no T2.
_MAPPING = r"""
    map | molli | sasha | stars?\b | relaxom
    | \b(?:long|short|native|pre|post|s)?[tr]\ ?[12](?!\d)(?!\ (?:ch|c\b|cham|kam|cav|cam))
"""
_TAGGING = r"\b\w{0,6}tag(?:s|ged|ging)?\b | grid | spamm | \bdense\b"
_PERFUSION = r"perf | (?:first|1\ ?st)\ ?pass | \bdyn | bolus"
# Of the words with "flow", the outflow tracts and the right ventricle's inflow are anatomy.
_FLOW = r"""
    (?<!out)(?<!out\ )(?<!\brv\ in)flow | outflow(?!\ tr) | \b(?:fast|cine|card)?pc(?:mri?|a)?\b
    | phase\ ?contrast | (?<!multi\ )(?<!\d\ )\bphase\b | \bphs\b | veloc | venc | \bcm\ s\b
    | \bv\ (?:[4-9]\d|\d{3})\b | \b4\ d(?:f\w*)?\b | \bquant
"""
_ANGIOGRAPHY = r"""
    angio | \b(?:ce)?mra\b | vibe | \blava | thrive | twist\b | tricks\b | mprage | coronar[yi]
    | mslab
"""
_MORPHOLOGY = r"""
    haste | \w*[ft]se\b | spin\ echo | \b[bd]b\b | (?:black|dark)\ ?blood | sang\ noir | dixon
    | ideal\b | \bs?fat | water | \b(?:in|out|opp\w*)\ ?phase | grase | \bepi\b | \bdwi\b | \badc\b
    | diffus | \bmf?gre\b | \bm\ ffe\b | \bm(?:ulti|r)?\ ?echo | \bme\b | \b\d+\ ec(?:ho(?:es)?)?\b
    | \bte\ \d | liver | spleen
"""
_DERIVED = r"""
    result | report | screen\ ?s?(?:hot|ave) | capture | summary | bull'?s?\ ?eye | \bmip\b
    | processed
"""
_OTHER_IMAGING = (
    *(_PLANNING, _LATE_ENHANCEMENT, _INVERSION, _MAPPING, _TAGGING, _PERFUSION),
    *(_FLOW, _ANGIOGRAPHY, _MORPHOLOGY, _DERIVED),
)
_NOT_CINE = re.compile("|".join(_OTHER_IMAGING), re.VERBOSE)
_CINE = re.compile(
    r"cine|fiesta|tru\w{0,3}fi|t\w{0,3}fisp|b ?t?ffe|b ?tfe|ssfp|fastcard|func?t|movie|retro|\bkt\b"
)
_VOLUME = re.compile(r"\b3 d\b")
# In a cine's name these are how fast it was scanned, and how many phases it has; alone they would
# be a relaxation rate and a phase image.
_OF_A_CINE = re.compile(
    r"\br\ \d\b(?!\ star) | (?<!\bin\ )(?<!\bout\ )(?<!\bopp\ )\bphase\ [1-9]\d\b(?!\ cm)",
    re.VERBOSE,
)
# The star of T2* and R2* is part of the name; all other punctuation is none.
_STAR = re.compile(r"(?<=[rt]2)\*|(?<=[rt] 2)\*")
# Cines of these are none of the views, or not of one alone.
_OTHER_ANATOMY = re.compile(
    r"""
    \brv | right\ vent | \bra\b | \bao\w{0,3}\b | \bav\b | aort | \b[lmr]?pa\b | \bpa(?:sub|sup)
    | pulm | valv | mitral | tricusp | \b[mt]vs?\b | \b[is]vc\b | cava | vein | \bp?[av]sd\b
    | atri(?:a|um)\b | \bmass\b | \barch\b | candy | outlet | orifice | conduit | baffle | fontan
    | shunt | thora | chest
    """,
    re.VERBOSE,
)
_BODY_PLANE = re.compile(r"\b(?:o?ax(?:ial)?s?|tra(?:ns\w*)?|o?cor(?:o\w*)?|o?sag(?:it\w*)?)\b")
_TWO, _THREE = r"2|two|zwei|deux|dos|due|dois|duas|twee", r"3|three|drei|trois|tres|tre|drie"
_FOUR = r"4|four|vier|quatre|cuatro|quattro|quatro"
_CHAMBER = re.compile(
    rf"\b(?:lv)?(?:(?P<two>{_TWO})|(?P<three>{_THREE})|(?P<four>{_FOUR}))"
    r"\ ?(?:ch(?!est|an)|cham|cavit|cv\b|c\b|kamm?er|kb\b|camara|camer)"
)
_SHORT_AXIS = re.compile(
    r"sh?ax(?!ia)|\bsh? ax\b|short ?ax(?:is|es)?|\bsa\b|\bsa(?=stack|cine)|kurz(?:e |er )?achs"
    r"|petit axe|eje corto|asse corto|eixo curto|korte as"
)
_LONG_AXIS = re.compile(
    r"\blax|long ?ax(?:is|es)?|lang(?:e )?achs|grand axe|eje largo|asse lungo|eixo longo|lange as"
)
_ONE_LONG_AXIS = (
    (re.compile(r"\bhla[xs]?\b|horizontal ?long"), "4ch"),
    (re.compile(r"\bvlas?\b|vertical ?long"), "2ch"),
    (re.compile(r"\bvlax\b|\bap(?:ical)? ?(?:long|lax)"), "3ch"),
)
_OUTFLOW = re.compile(r"\blvoto?\b|(?:\blv|left ventric\w*) ?out ?flow ?tr")
# Some sites' word for another view: of these readings the study's other series decide.
_READINGS = {"lvot": ("lvot", "3ch"), "vlax": ("3ch", "2ch")}


def plain(description: str) -> str:
    """A description in one form: lower-case words and numbers, a space between any two.

    Example:
        >>> plain('*2CH_FIESTA-BH (b12)'), plain('Zweikammerblick, Präkontrast')
        ('2 ch fiesta bh b 12', 'zweikammerblick prakontrast')
    """
    text = unicodedata.normalize("NFKD", description).lower()
    text = _STAR.sub(" star ", "".join(c for c in text if not unicodedata.combining(c)))
    return " ".join(re.findall(r"[^\W\d_]+|\d+", text))


def names_other_imaging(description: str) -> bool:
    """Whether a description names something that is not a cine.

    Example:
        >>> names_other_imaging('SAX_MOLLI_PRE'), names_other_imaging('SAX_FIESTA_BH')
        (True, False)
        >>> names_other_imaging('SAX R2'), names_other_imaging('SAX CINE GRAPPA R2')
        (True, False)
    """
    text = plain(description)
    if _CINE.search(text):
        text = _OF_A_CINE.sub(" ", text)
    volume = _VOLUME.search(text) and "cine" not in text
    return bool(volume or _NOT_CINE.search(text))


def names_cine(description: str) -> bool:
    """Whether a description names a cine, or a sequence that makes them.

    Example:
        >>> names_cine('2CH_FIESTA_BH'), names_cine('2 Chamber')
        (True, False)
    """
    return not names_other_imaging(description) and bool(_CINE.search(plain(description)))


def view_of(description: str) -> str | None:
    """The view that a description names, for a series that is a cine.

    Returns:
        'sax', '2ch', '3ch', '4ch' or 'lvot'; 'unknown' for another one or several at once; nothing
        when the description does not say.

    Example:
        >>> view_of('CINE_segmented_LAX_2Ch'), view_of('cine SA stack'), view_of('')
        ('2ch', 'sax', None)
    """
    text = plain(description)
    if _OTHER_ANATOMY.search(text):
        return "unknown"
    short, named = _SHORT_AXIS.search(text), _long_axis_views(text)
    if short:
        # A short axis and a long one: a series of several views, or planned on one.
        return "unknown" if named or _LONG_AXIS.search(text) else "sax"
    if len(named) > 1:
        return "unknown"
    # The outflow tract has coronal views; an axial slice that shows four chambers is no 4CH.
    if _BODY_PLANE.search(_LONG_AXIS.sub(" ", text)) and named != {"lvot"}:
        return "unknown"
    return named.pop() if named else None


def readings(description: str) -> tuple[str, ...]:
    """The views that a description may mean, likeliest first, where sites use one word for several.

    A three-chamber view shows the outflow tract, and is all that many sites call LVOT; others have
    both. VLAX is mostly the two-chamber view in books and the three-chamber one where we met it.

    Of a series of several views each plane may be any of those named; by the name alone it is none.

    Returns:
        Nothing when the description does not say, 'unknown' alone for another view, 'unknown' and
        all that are named for several.

    Example:
        >>> readings('LVOT cine'), readings('3CH LVOT'), readings('VLA')
        (('lvot', '3ch'), ('3ch',), ('2ch',))
        >>> readings('cine 2ch 4ch')
        ('unknown', '2ch', '4ch')
    """
    view = view_of(description)
    if view is None:
        return ()
    text = plain(description)
    if view == "unknown":
        return view, *_several_views(text)
    for word, views in _READINGS.items():
        if word in text and view == views[0] and not _CHAMBER.search(text):
            return views
    return (view,)


def _several_views(text: str) -> list[str]:
    """The views that a plain text names, where it is several and no other anatomy is among them."""
    named = _long_axis_views(text) | ({"sax"} if _SHORT_AXIS.search(text) else set())
    return sorted(named) if len(named) > 1 and not _OTHER_ANATOMY.search(text) else []


def _long_axis_views(text: str) -> set[str]:
    """The long-axis views that a plain text names; numbers of chambers before all other names."""
    numbers = {"two": "2ch", "three": "3ch", "four": "4ch"}
    named = {numbers[str(match.lastgroup)] for match in _CHAMBER.finditer(text)}
    named = named or {view for pattern, view in _ONE_LONG_AXIS if pattern.search(text)}
    return named or ({"lvot"} if _OUTFLOW.search(text) else set())
