"""Reports as HTML or RTF, made plain: their marks hide names from every rule."""

import codecs
import html
import re

_LAYERS = 3  # "&amp;uuml;" was written twice
_INLINE = r"a|abbr|b|big|em|font|i|mark|s|small|span|strike|strong|sub|sup|tt|u"
_BLOCK = (
    r"address|article|blockquote|body|br|caption|center|code|col|colgroup|dd|div|dl|dt"
    r"|footer|form|h[1-6]|head|header|hr|html|img|li|link|main|meta|nav|o:p|ol|p|pre|section"
    r"|table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_UNSEEN = tuple(
    (re.compile(first, re.IGNORECASE), re.compile(last, re.IGNORECASE))
    for first, last in (
        ("<!--", "-->"),
        (r"<script\b", r"</script\s*>"),
        (r"<style\b", r"</style\s*>"),
    )
)
# "a<b and b>c" is no tag: what it has to say holds an equals sign, or is one of these words.
_SAID = r"(?:\s[^<>=]*=[^<>]*|\s+(?:nowrap|noshade))?\s?/?"
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE}){_SAID}>", re.IGNORECASE)
_DOCTYPE = re.compile(r"<(?:!doctype|\?xml)\b[^<>]*>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK}){_SAID}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")

_RTF = re.compile(r"\{\s*\\rtf(?![a-z])")
# A control word with its number, a byte, a control symbol, a brace, or text.
_TOKEN = re.compile(
    r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-f]{2})|\\(.)|([{}])|([^\\{}]+)",
    re.IGNORECASE | re.DOTALL,
)
_BREAKS = frozenset(("par", "line", "page", "sect", "row", "softline"))
_SIGNS = {
    **dict.fromkeys(("tab", "cell", "emspace", "enspace", "qmspace"), " "),
    "emdash": "\u2014",
    "endash": "\u2013",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
}
# Groups that hold no text of the report.
_ASIDE = frozenset(
    """fonttbl colortbl stylesheet info pict object themedata colorschememapping latentstyles
    datastore listtable listoverridetable rsidtbl generator xmlnstbl fldinst filetbl""".split()  # noqa: SIM905
)


class Unreadable(Exception):  # noqa: N818
    """A text whose marks cannot be read: what it says is not known."""


def plain_text(text: str) -> str:
    r"""A text without HTML and RTF; another one as it is.

    Raises:
        Unreadable: it has RTF that does not end, or in an unknown encoding.

    Example:
        >>> plain_text('<p>M&uuml;ller: T1 &lt; 1000 ms</p>').strip()
        'Müller: T1 < 1000 ms'
        >>> plain_text(r"{\rtf1\ansi Herr M\'fcller\par LVEF 55 %}")
        'Herr Müller\nLVEF 55 %'
    """
    parts, at = [], 0
    while start := _RTF.search(text, at):
        said, end = _of_rtf(text, start.start())
        parts += [text[at : start.start()], said]
        at = end
    text = "".join((*parts, text[at:]))
    for _ in range(_LAYERS):
        before = text
        text = _ENTITY.sub(lambda m: html.unescape(m[0]), _without_tags(text))
        if text == before:
            break
    return text


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    for first, last in _UNSEEN:
        text = _without(text, first, last)
    return _INLINE_TAG.sub(_between, _BLOCK_TAG.sub("\n", _DOCTYPE.sub(" ", text)))


def _without(text: str, first: re.Pattern[str], last: re.Pattern[str]) -> str:
    """A text without what stands between two marks; what is not closed stays."""
    parts, at = [], 0
    while (start := first.search(text, at)) and (end := last.search(text, start.end())):
        parts += [text[at : start.start()], " "]
        at = end.end()
    return "".join((*parts, text[at:]))


def _between(tag: re.Match[str]) -> str:
    """What an inline tag leaves: nothing within a word, a space between two."""
    text = tag.string
    before = text[tag.start() - 1 : tag.start()]
    after = text[tag.end() : tag.end() + 1]
    return " " if before.islower() and after.isupper() else ""


def _of_rtf(text: str, start: int) -> tuple[str, int]:
    """The text of a document of RTF, and where it ends."""
    out, at = [], start
    # Of each open group: whether it is left out, and how many characters stand in for one of `\u`.
    groups: list[tuple[bool, int]] = []
    aside, stand_in, skip, encoding, held = False, 1, 0, "cp1252", bytearray()
    while token := _TOKEN.match(text, at):
        at = token.end()
        word, number, byte, symbol, brace, run = token.groups()
        if byte and skip:
            skip -= 1
            continue
        if byte:
            held += b"" if aside else bytes.fromhex(byte)
            continue
        if held:
            out.append(held.decode(encoding, "replace"))
            held.clear()
        if brace == "{":
            groups.append((aside, stand_in))
        elif brace:
            aside, stand_in = groups.pop()
            if not groups:
                return "".join(out), at
        elif word:
            value = int(number or 0)
            aside = aside or word in _ASIDE
            if word == "ansicpg":
                encoding = _encoding(value)
            elif word == "uc":
                stand_in = value
            elif word == "u" and number:
                out.append("" if aside else _character(value))
                skip = stand_in
                continue
            elif not aside:
                out.append("\n" if word in _BREAKS else _SIGNS.get(word, ""))
        elif symbol == "*":
            aside = True
        elif symbol and not aside:
            out.append({"~": " ", "_": "-", "-": "", "\n": "\n"}.get(symbol, symbol))
        elif run:
            run = run.replace("\r", "").replace("\n", "")
            out.append("" if aside else run[skip:])
        skip = 0
    raise Unreadable


def _encoding(page: int) -> str:
    try:
        return codecs.lookup("utf-8" if page == 65001 else f"cp{page}").name
    except LookupError:
        raise Unreadable from None


def _character(value: int) -> str:
    point = value % (1 << 16)
    return "\ufffd" if 0xD800 <= point < 0xE000 else chr(point)
