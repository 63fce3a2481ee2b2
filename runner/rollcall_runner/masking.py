"""Secret values in what hosts say, replaced before anybody sees them.

A `Mask` knows the values in every form in which programs commonly print them: as they are, in base64 at each of the
three alignments that surrounding bytes give, percent-encoded, and quoted for JSON and for a shell. A value of several
lines counts line by line. What is shorter than MIN_CHARACTERS without the white space around it is not masked: it would
be found everywhere, and guessed as easily.

In base64, in either alphabet, a line may end between any two characters of a value (`wrapping.py` says how). One mask
replaces the value with the line ends within it, so that its lines become one. Where a line ends after a value's first
character, that character stays.

A `MaskedStream` masks a stream whose reads may tear a value anywhere. It gives bytes on as soon as they cannot begin a
value any more; the rest waits for more, at most for the end. That is never more than 22 times the longest value in
base64, if each of its characters had the longest break after it. What it gives does not depend on how the stream was
torn: always the leftmost value is replaced, and of several at one place the longest.

Not found are values that a program tears otherwise, say by base64 in lines of one character, or with empty lines or a
mark before each line; nor in base64 twice, or otherwise transformed. A value that begins or ends with `*` can seem to
stand beside a mask.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final
from urllib.parse import quote

from rollcall.work import Credentials
from rollcall_runner.wrapping import BEGUN_BREAK, BREAK, MAX_BREAK_BYTES, View, last_run, unwrapped, without_begun_break

MASK: Final = b"********"
MIN_CHARACTERS: Final = 4
_ANCHOR_BYTES: Final = 4
_SHORTEST: Final = 4
"""No form is shorter: the shortest is the base64 of four bytes that begin in the middle of a group of three."""
_BACKSLASHED: Final = frozenset(" \t!\"$&'()*,;<>?[\\]^`{|}")
"""The characters that bash's `printf %q` and completion put a backslash before."""

_Span = tuple[int, int]


class _Plain:
    """A form that is found only as it is."""

    def __init__(self, form: bytes) -> None:
        self.key = form

    def start(self, _data: bytes, position: int, at: int) -> int | None:
        """Where the form begins whose key is at `at`; None if it does not, from `position` on."""
        return at if at >= position else None


class _Wrapped:
    """A form in base64, found also in lines: its key is all but the first two characters.

    A line's end after the first character alone would make every line wait that ends with such a character. So there
    the form is found without it, unless it is too short for that.
    """

    def __init__(self, form: bytes) -> None:
        self.key = form[2:]
        first, second = re.escape(form[:1]), re.escape(form[1:2])
        if len(form) > _SHORTEST:
            head = b"(?:%b%b%b?|%b)" % (first, second, BREAK, second)
            self.begun_head = b"(?:%b(?:%b%b?)?|%b)" % (first, second, BEGUN_BREAK, second)
        else:
            head = b"%b%b?%b%b?" % (first, BREAK, second, BREAK)
            self.begun_head = b"%b(?:%b?%b)?%b?" % (first, BREAK, second, BEGUN_BREAK)
        self._head = re.compile(head + rb"\Z")

    def start(self, data: bytes, position: int, at: int) -> int | None:
        """Where the form begins whose key is at `at`; None if it does not, from `position` on."""
        match = self._head.search(data, max(position, at - _HEAD_BYTES), at)
        return match.start() if match else None


_HEAD_BYTES: Final = 2 * (1 + MAX_BREAK_BYTES)
_Needle = _Plain | _Wrapped


class _Family:
    """Needles whose keys begin with the same _ANCHOR_BYTES, so that looking for one prefix rules all of them out."""

    def __init__(self, needles: tuple[_Needle, ...]) -> None:
        self.needles = needles
        first, last = needles[0].key, needles[-1].key
        unlike = (index for index, bytes_ in enumerate(zip(first, last, strict=False)) if bytes_[0] != bytes_[1])
        self.prefix = first[: next(unlike, min(len(first), len(last)))]
        self.anchor = self.prefix[:_ANCHOR_BYTES]


class _Needles:
    """All needles of one kind."""

    def __init__(self, needles: Iterable[_Needle]) -> None:
        ordered = sorted(needles, key=lambda needle: needle.key)
        self._families = tuple(
            _Family(tuple(family)) for _, family in groupby(ordered, lambda needle: needle.key[:_ANCHOR_BYTES])
        )
        self.longest = max((len(needle.key) for needle in ordered), default=0)
        self._beginnings: dict[bytes, list[_Needle]] = {}
        for needle in ordered:
            for length in range(1, min(_ANCHOR_BYTES, len(needle.key))):
                self._beginnings.setdefault(needle.key[:length], []).append(needle)

    def find(self, view: View) -> Iterator[tuple["_Found", _Span]]:
        """Where each needle is found first."""
        for family in self._families:
            if (first := view.text.find(family.prefix)) >= 0:
                for needle in family.needles:
                    found = _Found(view, needle)
                    if span := found.next(0, first):
                        yield found, span

    def beginning(self, view: View, text: bytes, position: int) -> int:
        """Where in the view's data, from `position` on, the first form begins of which the text ends with less than
        all of the key; the end of the data if there is none."""
        first = len(view.data)
        for needle, index in self._begun(text):
            start = needle.start(view.data, position, view.origin(index))
            if start is not None and start < first:
                first = start
        return first

    def _begun(self, text: bytes) -> Iterator[tuple[_Needle, int]]:
        """Each needle whose key begins at the text's end, and where."""
        for length in range(1, min(_ANCHOR_BYTES, len(text) + 1)):
            for needle in self._beginnings.get(text[-length:], ()):
                yield needle, len(text) - length
        for family in self._families:
            index = text.find(family.anchor)
            while index >= 0:
                rest = text[index:]
                for needle in family.needles:
                    if len(needle.key) > len(rest) and needle.key.startswith(rest):
                        yield needle, index
                index = text.find(family.anchor, index + 1)


class _Found:
    """One needle in one view."""

    def __init__(self, view: View, needle: _Needle) -> None:
        self._view = view
        self._needle = needle

    def next(self, position: int, index: int | None = None) -> _Span | None:
        """Where it is found first from `position` of the data on, and where that ends."""
        view, key = self._view, self._needle.key
        at = view.text.find(key, view.index(position) if index is None else index)
        while at >= 0:
            start = self._needle.start(view.data, position, view.origin(at))
            if start is not None:
                return start, view.origin(at + len(key) - 1) + 1
            at = view.text.find(key, at + 1)
        return None


class Mask:
    """Values to be replaced, as bytes to look for."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line for value in values for line in _lines(value)}
        plain = [_Plain(form) for form in {form for line in lines for form in _forms(line)}]
        wrapped = [_Wrapped(form) for form in {form for line in lines for form in _base64_forms(line)}]
        self._plain, self._wrapped = _Needles(plain), _Needles(wrapped)
        self._begun_head = re.compile(b"(?:" + b"|".join(needle.begun_head for needle in wrapped) + rb")\Z")
        self._forms = len(plain) + len(wrapped)
        self._reach = max(self._plain.longest, (self._wrapped.longest + 2) * (1 + MAX_BREAK_BYTES))

    def __repr__(self) -> str:
        return f"Mask({self._forms} forms)"

    def __bool__(self) -> bool:
        return self._forms > 0

    def text(self, text: str) -> str:
        """A whole text with the values replaced."""
        return self.split(text.encode(errors="surrogatepass"), final=True)[0].decode(errors="replace")

    def split(self, data: bytes, *, final: bool) -> tuple[bytes, bytes]:
        """The bytes that are certain, with the values in them replaced, and those that more bytes may yet turn into a
        value; without any of these when `final`."""
        if not self:
            return data, b""
        found = {**dict(self._plain.find(View(data))), **dict(self._wrapped.find(unwrapped(data)))}
        position, certain = 0, len(data) if final else self._beginning(data, 0)
        parts: list[bytes] = []
        while found:
            start, end = min(found.values(), key=lambda span: (span[0], -span[1]))
            if start >= certain:
                break
            parts += (data[position:start], MASK)
            position = end
            if position > certain:
                certain = self._beginning(data, position)
            found = {
                needle: later
                for needle, span in found.items()
                if (later := span if span[0] >= position else needle.next(position))
            }
        if not parts:
            return data[:certain], data[certain:]
        parts.append(data[position:certain])
        return b"".join(parts), data[certain:]

    def _beginning(self, data: bytes, position: int) -> int:
        """Where the first value begins of which `data` ends with less than all; the end of `data` if there is none."""
        plain = max(position, len(data) - self._plain.longest + 1)
        torn = View(data[plain:])
        first = plain + self._plain.beginning(torn, torn.text, 0)
        run = max(position, last_run(data, self._reach))
        if run < len(data):
            view = unwrapped(data[run:])
            first = min(first, run + self._wrapped.beginning(view, without_begun_break(view.text), 0))
            if match := self._begun_head.search(view.data, max(0, len(view.data) - _HEAD_BYTES)):
                first = min(first, run + match.start())
        return first


NOTHING: Final = Mask()


class MaskedStream:
    """One stream of bytes, with the values of a mask replaced."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        """Takes bytes; gives those that are certain."""
        certain, self._waiting = self._mask.split(self._waiting + data, final=False)
        return certain

    def finish(self) -> bytes:
        """Gives what waits, when nothing more comes."""
        certain, self._waiting = self._mask.split(self._waiting, final=True)
        return certain


def secrets_of(credentials: Credentials) -> tuple[str, ...]:
    """The values in credentials that somebody might print. The lines of a private key are on no host."""
    values = (credentials.passphrase, credentials.password, credentials.become_password)
    return tuple(value for value in values if value)


def _lines(value: str) -> Iterator[str]:
    for line in value.splitlines():
        stripped = line.strip()
        # Of a value that consists of the mask's own characters, nothing can be seen beside a mask.
        if len(stripped) >= MIN_CHARACTERS and stripped not in MASK.decode():
            yield stripped


def _forms(line: str) -> Iterator[bytes]:
    raw = line.encode(errors="surrogatepass")
    yield raw
    for safe in ("", "/", "!*'()"):  # as most libraries do, as paths are written, as browsers do
        percent = quote(raw, safe=safe)
        for text in (percent, _lower_hex(percent)):
            yield text.encode()
            yield text.replace("%20", "+").encode()
    for ascii_only in (True, False):
        yield json.dumps(line, ensure_ascii=ascii_only)[1:-1].encode(errors="surrogatepass")
    for text in (
        line.replace("'", "'\\''"),
        line.replace("'", "'\"'\"'"),
        "".join(f"\\{character}" if character in _BACKSLASHED else character for character in line),
    ):
        yield text.encode(errors="surrogatepass")


def _lower_hex(percent: str) -> str:
    head, *rest = percent.split("%")
    return "%".join((head, *(part[:2].lower() + part[2:] for part in rest)))


def _base64_forms(line: str) -> Iterator[bytes]:
    raw = line.encode(errors="surrogatepass")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        # The characters at either end hold bits of the neighbours too.
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")
