"""Walks the elements of a little-endian DICOM data set, and keeps the wanted ones.

An element's first eight bytes say, nearly always, where the next one begins. A scanner's files
have the same few of these heads over and over, so what a head means is looked up rather than
worked out: that makes the walk many times as fast as a parser that knows every tag. Whatever is
out of the ordinary raises `Unusual`, and a general parser decides.
"""

from collections.abc import Iterable
from typing import Any

UNDEFINED = 0xFFFFFFFF
END = 1 << 32  # above every tag
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_SHORT = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
_DEEPEST = 16
_REMEMBERED = 1 << 16

# What to do with an element, beside going on behind it.
_PASS, _KEEP, _LOOK = 0, 1, 2
# A head's meaning: its tag, the bytes from it to the next head, and what to do.
_Step = tuple[int, int, int]
Values = dict[int, Any]  # of an element, its bytes; of a sequence that was entered, its items


class Unusual(Exception):  # noqa: N818
    """The walk does not apply; the general parser decides."""


class Short(Exception):  # noqa: N818
    """The bytes end inside an element."""


def head_of(head: bytes, *, explicit: bool) -> tuple[int, int, bytes]:
    """Takes an element's first eight bytes apart.

    Returns:
        The tag, the value's length (-1 when four more bytes hold it), and the value
        representation, empty when it is not said.

    Raises:
        Unusual: they are no element's.
    """
    tag = int.from_bytes(head[0:2], "little") << 16 | int.from_bytes(head[2:4], "little")
    if not explicit or tag >> 16 == 0xFFFE:
        return tag, int.from_bytes(head[4:8], "little"), b""
    kind = head[4:6]
    if kind in _SHORT:
        return tag, int.from_bytes(head[6:8], "little"), kind
    if kind in _LONG:
        return tag, -1, kind
    raise Unusual


class Walk:
    """A walk for certain tags; what it learns of heads serves the next file.

    Args:
        wanted: tags whose values are kept; of a sequence, the bytes of its items.
        entered: tags of sequences whose items are walked too, for the same tags.
    """

    def __init__(self, wanted: Iterable[int], entered: Iterable[int] = ()):
        self.wanted, self.entered = frozenset(wanted), frozenset(entered)
        self._explicit: dict[bytes, _Step] = {}
        self._implicit: dict[bytes, _Step] = {}

    def _learn(self, head: bytes, explicit: bool) -> _Step:
        if len(head) < 8:
            raise Short
        tag, length, _ = head_of(head, explicit=explicit)
        if length in (-1, UNDEFINED) or tag in self.entered:
            step = tag, 8, _LOOK
        else:
            step = tag, 8 + length, _KEEP if tag in self.wanted else _PASS
        steps = self._explicit if explicit else self._implicit
        if len(steps) >= _REMEMBERED:  # damaged files: each has heads of its own
            steps.clear()
        steps[head] = step
        return step

    def __call__(
        self, data: bytes, at: int, *, explicit: bool, stop: int, end: int = -1, depth: int = 0
    ) -> tuple[Values, int]:
        """Keeps the wanted elements before a tag.

        Args:
            data: the file's bytes, or its first ones.
            at: where the first element begins.
            explicit: whether elements say their value representation.
            stop: the walk ends before the first tag that is not below this one.
            end: where the data set ends; negative for where the bytes end.
            depth: how many sequences are around.

        Returns:
            tag -> value, or items, of the wanted elements, and where the walk ended.

        Raises:
            Unusual: another parser must decide.
            Short: the bytes end inside an element.
        """
        values: Values = {}
        known = (self._explicit if explicit else self._implicit).get
        end, before = len(data) if end < 0 else end, -1
        while at < end:
            head = data[at : at + 8]
            tag, size, action = known(head) or self._learn(head, explicit)
            if not before < tag < stop:
                if tag >= stop:
                    break
                raise Unusual
            before = tag
            if action == _KEEP:
                values[tag] = data[at + 8 : at + size]
            elif action == _LOOK:
                at = self._look(data, at, values, explicit=explicit, end=end, depth=depth)
                continue
            at += size
        if at > end:
            raise Short
        return values, at

    def end_of(self, data: bytes, at: int, *, explicit: bool) -> int:
        """Where an element ends whose head does not say it."""
        return self._look(data, at, {}, explicit=explicit, end=len(data), depth=0)

    def _look(
        self, data: bytes, at: int, values: Values, *, explicit: bool, end: int, depth: int
    ) -> int:
        """Reads an element whose head does not say all; returns where the next one begins."""
        tag, length, kind = head_of(data[at : at + 8], explicit=explicit)
        at += 8
        if length < 0:
            length = int.from_bytes(data[at : at + 4], "little")
            at += 4
        if length != UNDEFINED and tag not in self.entered:
            if tag in self.wanted:
                values[tag] = data[at : at + length]
            return at + length
        until = end if length == UNDEFINED else at + length
        if depth >= _DEEPEST:
            raise Unusual
        if until > end:
            raise Short
        walk, begin = self if tag in self.entered else _NOTHING, at
        # What is unknown and of undefined length has implicit elements, whatever is around it.
        inner = explicit and kind != b"UN"
        items, at = walk._items(data, at, explicit=inner, end=until, depth=depth + 1)
        if tag in self.entered:
            values[tag] = items
        elif tag in self.wanted:
            values[tag] = data[begin:at]
        return at

    def _items(
        self, data: bytes, at: int, *, explicit: bool, end: int, depth: int
    ) -> tuple[list[Values], int]:
        """The items of a sequence, and where it ends."""
        found = []
        while at < end:
            if at + 8 > end:
                raise Short
            tag, length, _ = head_of(data[at : at + 8], explicit=False)
            at += 8
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise Unusual
            until = end if length == UNDEFINED else at + length
            if until > end:
                raise Short
            if length == UNDEFINED:
                values, at = self(
                    data, at, explicit=explicit, stop=_ITEM_END, end=until, depth=depth
                )
                if data[at : at + 4] != b"\xfe\xff\x0d\xe0":
                    raise Short
                at += 8
            elif self is _NOTHING:
                values, at = {}, until
            else:
                values, at = self(data, at, explicit=explicit, stop=END, end=until, depth=depth)
            found.append(values)
        return found, at


_NOTHING = Walk(())
