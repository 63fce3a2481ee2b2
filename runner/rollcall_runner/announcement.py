"""The line by which a launcher announces a script that has no file, taken out of what the host says on stderr.

A login may print something first, so the line is looked for wherever it is. Its name is random: nothing else looks like
it. What cannot be the line is output at once; no more than one line's length is ever held back.
"""

import asyncio
import re
from typing import Final

_MAX_REST_BYTES: Final = 64
"""The most that follows the name: a group, a process, a time in ticks."""


class Announcement:
    """What a launcher says of itself, once it is there."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._line = re.compile(re.escape(self._name) + rb"(?: ((?:-|[0-9]+) [0-9]+ ?[0-9]*))?\r?\n")
        self._held = b""
        self._over = False
        self.place: str | None = None
        """What the stopper must know, empty when it finds that itself; None as long as nothing was announced."""
        self.settled = asyncio.Event()
        """Set when the line has come, or cannot come any more."""

    def hear(self, data: bytes) -> bytes:
        """Takes what is said on stderr; gives what of it is output."""
        if self._over:
            return data
        heard = self._held + data
        if found := self._line.search(heard):
            self.place = (found[1] or b"").decode()
            self._over = True
            self._held = b""
            self.settled.set()
            return heard[: found.start()] + heard[found.end() :]
        held = self._possible(heard)
        self._held = heard[held:]
        return heard[:held]

    def end(self) -> bytes:
        """Notes that nothing more is said; gives what was held back."""
        self._over = True
        self.settled.set()
        rest, self._held = self._held, b""
        return rest

    def _possible(self, heard: bytes) -> int:
        """Where the line may begin that is not all there yet."""
        length = len(self._name) + _MAX_REST_BYTES
        for start in range(max(0, len(heard) - length), len(heard)):
            if heard[start : start + len(self._name)] == self._name[: len(heard) - start]:
                return start
        return len(heard)
