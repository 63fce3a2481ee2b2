"""Base64 in lines: where a line may be broken, and text from which the breaks are taken out.

A line is broken as programs do it (`base64` after 76 characters, `openssl` and PEM after 64, MIME with a carriage
return), as JSON, Python and Ansible write such text (`\\n`, also after an escaped carriage return), and where these
write it as a list of lines (`", "`). An indentation may follow. Of a break as it is, no byte is a letter of base64; of
an escaped one its letters are. So text without its breaks never hides a letter but those, and none of those but the
first of what is looked for: whoever looks begins with the third, and finds the two before it in the text as it is.
"""

import re
from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import accumulate
from typing import Final

BREAK: Final = (
    # The search is fast because it begins with a set.
    rb"""(?:[\r\n\\"'](?:(?:(?<=\n)|(?<=\r)\n|(?<=\\)(?:r\\)?n)[ \t]{0,16}|(?<=["']),[ \t\r\n]{0,18}["']))"""
)
MAX_BREAK_BYTES: Final = 21
"""A break has no more: the list's, with its quotes and comma."""
BEGUN_BREAK: Final = rb"""(?:""" + BREAK + rb"""|\r|\\(?:r\\?)?|["'](?:,[ \t\r\n]{0,18})?)"""
"""A break that nothing follows yet, of which all or only the beginning is there."""
_BETWEEN: Final = re.compile(BREAK + rb"(?=[A-Za-z0-9+/_-])")
_AT_THE_END: Final = re.compile(BEGUN_BREAK + rb"\Z")
_SIGNS: Final = ((b"\n", b"\n"), (b"\\", b"\\n"), (b"'", b"',"), (b'"', b'",'))
"""What is in every break, after a byte of it that is looked for much faster."""
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_OF_BREAKS: Final = b"\r\n\\\"', \t"


class View:
    """Bytes as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.text = data

    def origin(self, index: int) -> int:
        """Where in the data the byte of the text at `index` is."""
        return index

    def index(self, position: int) -> int:
        """Where in the text to look for what is in the data from `position` on; at most a little before it."""
        return position


class Unwrapped(View):
    """Bytes without the line breaks between letters of base64."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.text = _BETWEEN.sub(b"", data)

    def origin(self, index: int) -> int:
        _, removed, indexes = self._breaks
        return index + removed[bisect_right(indexes, index)]

    def index(self, position: int) -> int:
        if not position:
            return 0
        starts, removed, _ = self._breaks
        return max(0, position - removed[bisect_left(starts, position)])

    @cached_property
    def _breaks(self) -> tuple[list[int], list[int], list[int]]:
        """Where in the data each break begins, how many bytes were taken out before it, and where in the text it is."""
        spans = [match.span() for match in _BETWEEN.finditer(self.data)]
        removed = [0, *accumulate(end - start for start, end in spans)]
        indexes = [start - before for (start, _), before in zip(spans, removed, strict=False)]
        return [start for start, _ in spans], removed, indexes


def unwrapped(data: bytes) -> View:
    """The bytes without line breaks; as they are, at no cost, if there are none."""
    return Unwrapped(data) if any(byte in data and sign in data for byte, sign in _SIGNS) else View(data)


def without_begun_break(text: bytes) -> bytes:
    """The text without the break at its end of which more may come."""
    if match := _AT_THE_END.search(text, max(0, len(text) - MAX_BREAK_BYTES)):
        return text[: match.start()]
    return text


def last_run(data: bytes, reach: int) -> int:
    """Where the letters of base64 begin that end the data, with all that may be breaks between them; at most `reach`
    bytes before its end."""
    low = max(0, len(data) - reach)
    tail = data[low:]
    while tail:
        letters = tail.rstrip(_LETTERS)
        rest = letters.rstrip(_OF_BREAKS)
        gap = letters[len(rest) :]
        if not 0 < len(gap) <= MAX_BREAK_BYTES or not gap.strip(b" ,\t"):
            return low + len(letters)
        tail = rest
    return low
