"""What may be printed: a terminal obeys the control characters of any text that it is given."""


def printable(text: str) -> str:
    r"""A text with all but its printable characters and line breaks spelled out.

    Example:
        >>> printable('DCM\x1b[31m')
        'DCM\\x1b[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
