"""Reads a header by comparing it with others of its kind.

The files of a scanner have the same elements in the same order, and most of the values too. A
`Kind` knows the bytes that all its files so far share, and between which of them lie the elements
that differ. A file with those very bytes has those very elements, so its values are known without
walking it: a dozen comparisons of long runs do. A file that fits none is walked, and teaches the
kind that comes closest what else may differ.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cmrjax.data.dicom.walk import UNDEFINED, Unusual, Values, Walk, head_of

_SYNTAX = 0x00020010
_MOST_KINDS = 8
# Learning costs several walks: a kind must pay for it.
_FREE_LESSONS, _HITS_A_LESSON = 64, 16


class _Element(NamedTuple):
    """Where an element lies in the bytes of its file."""

    tag: int
    head: int
    length: int  # where its length stands; -1 when it cannot be told from there
    value: int
    end: int


def _elements(data: bytes, at: int, walk: Walk, *, explicit: bool, stop: int) -> list[_Element]:
    """The elements from a place on, before a tag, of a data set that was walked already."""
    found = []
    while at < len(data):
        tag, length, _ = head_of(data[at : at + 8], explicit=explicit)
        if tag >= stop:
            break
        long = length < 0
        if long:
            length = int.from_bytes(data[at + 8 : at + 12], "little")
        value = at + (12 if long else 8)
        width = 4 if long or not explicit else 2
        if length == UNDEFINED or tag in walk.entered:
            end, place = walk.end_of(data, at, explicit=explicit), -1
        else:
            end, place = value + length, value - width
        found.append(_Element(tag, at, place, value, end))
        at = end
    return found


class Kind:
    """Files of the same elements in the same order.

    Args:
        data: one of them, up to the end of the last element.
        start: where what they share begins.
        elements: its elements, from there on.
        varying: numbers of the elements that differ between files.
        values: the wanted values of this file.
        syntax: their transfer syntax.
        explicit: whether elements say their value representation.
    """

    def __init__(
        self,
        data: bytes,
        start: int,
        elements: Sequence[_Element],
        varying: Iterable[int],
        values: Values,
        *,
        syntax: str,
        explicit: bool,
    ):
        self.data, self.elements, self.varying = data, elements, frozenset(varying)
        self.syntax, self.explicit = syntax, explicit
        self._start, self._values = start, dict(values)
        self._parts: list[tuple[bytes, int, int, int]] = []
        at = start
        for element in (elements[i] for i in sorted(self.varying)):
            run = data[at : element.length]
            tag = element.tag if element.tag in values else 0
            self._parts.append((run, len(run), element.value - element.length, tag))
            at = element.end
        self._last = data[at:]

    def match(self, data: bytes) -> tuple[Values, int] | None:
        """The wanted values of a file and where its elements end; nothing if it is another kind."""
        at, values, begins = self._start, self._values.copy(), data.startswith
        try:
            for run, size, width, tag in self._parts:
                if not begins(run, at):
                    return None
                at += size
                if width == 2:
                    length = data[at] | data[at + 1] << 8
                else:
                    length = int.from_bytes(data[at : at + 4], "little")
                at += width
                if tag:
                    values[tag] = data[at : at + length]
                at += length
        except IndexError:  # the bytes end here
            return None
        return (values, at + len(self._last)) if begins(self._last, at) else None

    def differences(self, data: bytes, elements: Sequence[_Element]) -> set[int] | None:
        """Numbers of the elements that this and another file differ in; nothing if too much.

        The transfer syntax never differs within a kind: it says how to read all that follows.
        """
        if len(elements) != len(self.elements):
            return None
        out = set()
        for i, (ours, theirs) in enumerate(zip(self.elements, elements, strict=True)):
            mine, other = self.data[ours.head : ours.end], data[theirs.head : theirs.end]
            if mine != other:
                if ours.tag == _SYNTAX:
                    return None
                known = ours.length - ours.head, theirs.length - theirs.head
                if known[0] != known[1] or known[0] <= 0 or mine[: known[0]] != other[: known[0]]:
                    return None
                out.add(i)
        return out


class Reader:
    """Reads the front of data sets, and learns what they have in common.

    Args:
        walk: knows the wanted tags.
        stop: the first tag that is not read.
    """

    def __init__(self, walk: Walk, stop: int):
        self.walk, self.stop = walk, stop
        self._kinds: tuple[Kind, ...] = ()
        self._hits = self._lessons = 0

    def match(self, data: bytes) -> tuple[Values, str, bool, int] | None:
        """Wanted values, transfer syntax, explicitness and end of a file of a kind that is known.

        Returns:
            Nothing for other files, and where the bytes end too soon to tell.
        """
        for i, kind in enumerate(self._kinds):
            if (found := kind.match(data)) is None:
                continue
            values, at = found
            try:  # a walk, too, looks at the head of the element that it stops before
                following = head_of(data[at : at + 8], explicit=kind.explicit)[0]
            except Unusual:
                continue
            if following < self.stop or at + 12 > len(data):
                continue
            self._hits += 1
            if i:  # the latest first
                self._kinds = (kind, *self._kinds[:i], *self._kinds[i + 1 :])
            return values, kind.syntax, kind.explicit, at
        return None

    def learn(self, data: bytes, at: int, values: Values, *, syntax: str, explicit: bool) -> None:
        """Adds a file, walked already, to the kind that it is of.

        Args:
            data: its bytes.
            at: where its data set begins.
            values: its wanted values.
            syntax: its transfer syntax.
            explicit: whether elements say their value representation.
        """
        if self._lessons > _FREE_LESSONS + self._hits / _HITS_A_LESSON:
            return
        self._lessons += 1
        start = 128
        try:
            meta = _elements(data[:at], start + 4, self.walk, explicit=True, stop=1 << 32)
            main = _elements(data, at, self.walk, explicit=explicit, stop=self.stop)
        except Unusual:
            return
        elements = [*meta, *main]
        front, varying, others = data[: elements[-1].end], frozenset(), self._kinds
        for kind in self._kinds:
            same = (kind.syntax, kind.explicit) == (syntax, explicit)
            if same and (found := kind.differences(front, elements)) is not None:
                varying = kind.varying | found
                others = tuple(other for other in self._kinds if other is not kind)
                break
        new = Kind(front, start, elements, varying, values, syntax=syntax, explicit=explicit)
        self._kinds = (new, *others[: _MOST_KINDS - 1])
