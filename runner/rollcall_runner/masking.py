"""Secret values in what hosts say, replaced before anybody sees them.

A `Mask` knows the values in every form in which programs commonly print them: as they are, in base64 at each of the
three alignments that surrounding bytes give, percent-encoded, and quoted for JSON and for a shell. A value of several
lines counts line by line. What is shorter than MIN_CHARACTERS without the white space around it is not masked: it would
be found everywhere, and guessed as easily.

A `MaskedStream` masks a stream whose reads may tear a value anywhere. It gives bytes on as soon as they cannot begin a
value any more; the rest waits for more, at most for the end. What it gives does not depend on how the stream was torn:
always the leftmost value is replaced, and of several at one place the longest.

Not found are values that a program tears, say by base64 in lines of 76 characters, or otherwise transforms. A value
that begins or ends with `*` can seem to stand beside a mask.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final
from urllib.parse import quote

from rollcall.work import Credentials

MASK: Final = b"********"
MIN_CHARACTERS: Final = 4
_ANCHOR_BYTES: Final = 4
"""No form is shorter: the shortest is the base64 of four bytes that begin in the middle of a group of three."""
_BACKSLASHED: Final = frozenset(" \t!\"$&'()*,;<>?[\\]^`{|}")
"""The characters that bash's `printf %q` and completion put a backslash before."""


class _Family:
    """Forms that begin with the same _ANCHOR_BYTES, so that looking for one prefix rules all of them out."""

    def __init__(self, forms: tuple[bytes, ...]) -> None:
        self.forms = forms
        first, last = min(forms), max(forms)
        unlike = (index for index, bytes_ in enumerate(zip(first, last, strict=False)) if bytes_[0] != bytes_[1])
        self.prefix = first[: next(unlike, len(first))]
        self.longest = max(map(len, forms))

    def has_more_than(self, data: bytes) -> bool:
        """Whether a form begins with the data and goes on."""
        return any(len(form) > len(data) and form.startswith(data) for form in self.forms)


class Mask:
    """Values to be replaced, as bytes to look for."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = sorted({form for value in values for line in _lines(value) for form in _forms(line)})
        self._families = tuple(
            _Family(tuple(family)) for _, family in groupby(forms, lambda form: form[:_ANCHOR_BYTES])
        )
        self._beginnings = frozenset(form[:length] for form in forms for length in range(1, _ANCHOR_BYTES))

    def __repr__(self) -> str:
        return f"Mask({sum(len(family.forms) for family in self._families)} forms)"

    def __bool__(self) -> bool:
        return bool(self._families)

    def text(self, text: str) -> str:
        """A whole text with the values replaced."""
        return self.split(text.encode(errors="surrogatepass"), final=True)[0].decode(errors="replace")

    def split(self, data: bytes, *, final: bool) -> tuple[bytes, bytes]:
        """The bytes that are certain, with the values in them replaced, and those that more bytes may yet turn into a
        value; without any of these when `final`."""
        found = self._find(data)
        position, certain = 0, len(data) if final else self._beginning(data, 0)
        parts: list[bytes] = []
        while found:
            start, form = min(((start, form) for form, start in found.items()), key=lambda at: (at[0], -len(at[1])))
            if start >= certain:
                break
            parts += (data[position:start], MASK)
            position = start + len(form)
            if position > certain:
                certain = self._beginning(data, position)
            found = {
                form: later
                for form, start in found.items()
                if (later := start if start >= position else data.find(form, position)) >= 0
            }
        if not parts:
            return data[:certain], data[certain:]
        parts.append(data[position:certain])
        return b"".join(parts), data[certain:]

    def _find(self, data: bytes) -> dict[bytes, int]:
        """Where each form is found first."""
        found: dict[bytes, int] = {}
        for family in self._families:
            if (first := data.find(family.prefix)) >= 0:
                found |= {form: start for form in family.forms if (start := data.find(form, first)) >= 0}
        return found

    def _beginning(self, data: bytes, position: int) -> int:
        """Where the first value begins of which `data` ends with less than all; the end of `data` if there is none."""
        end = first = len(data)
        for length in range(1, _ANCHOR_BYTES):
            if end - length >= position and data[end - length :] in self._beginnings:
                first = end - length
        for family in self._families:
            anchor, earliest = family.prefix[:_ANCHOR_BYTES], max(position, end - family.longest + 1)
            start = data.find(anchor, earliest, first + _ANCHOR_BYTES - 1)
            while start >= 0:
                if family.has_more_than(data[start:]):
                    first = start
                    break
                start = data.find(anchor, start + 1, first + _ANCHOR_BYTES - 1)
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
        if len(stripped) >= MIN_CHARACTERS:
            yield stripped


def _forms(line: str) -> Iterator[bytes]:
    raw = line.encode(errors="surrogatepass")
    # Of a value that consists of the mask's own characters, nothing can be seen beside a mask.
    if raw in MASK:
        return
    yield raw
    yield from _base64_forms(raw)
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


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        # The characters at either end hold bits of the neighbours too.
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")
