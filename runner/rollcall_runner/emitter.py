"""The events of one host: numbered, timed, within the host's output limit, and ended by exactly one exit event."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from rollcall.outputs import MAX_DATA_BYTES, Event, Exit, Stream
from rollcall_runner.pieces import Allowance, Piece, Pieces

MAX_MESSAGE_LENGTH: Final = 1_000
"""The most characters of a message, so that an exit event fits into a line whatever the characters are."""


class Emitter:
    """Turns what happens on a host into lines for `write`."""

    def __init__(
        self, host: str, write: Callable[[bytes], None], limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._host = host
        self._write = write
        self._clock = clock
        self._allowance = Allowance(limit)
        self._pieces = Pieces()
        self._seq = 0
        self._microseconds = 0

    def output(self, stream: Stream, data: bytes) -> None:
        """Takes output of the script; `flush` makes it visible, when it does not fill an event by itself."""
        if head := self._allowance.take(stream, data):
            self._emit_all(self._pieces.add(stream, head))

    def flush(self) -> None:
        """Emits the output so far, apart from torn characters and what may yet be cut."""
        self._emit_all(self._pieces.flush())

    def debug(self, text: str) -> None:
        """Emits a line about the host, after the output so far."""
        self.flush()
        self._emit_debug(text)

    def end(self, exit_: Exit) -> None:
        """Emits the rest of the output, the exit's message for readers of the output, and the exit event, the last."""
        rest = self._allowance.rest()
        if rest.cut:
            self._emit_all(self._pieces.finish())
            self._emit(Stream.CUT, rest.cut)
        for stream, data in rest.tail:
            self._emit_all(self._pieces.add(stream, data))
        self._emit_all(self._pieces.finish())
        if exit_.message:
            self._emit_debug(exit_.message)
        self._emit(Stream.EXIT, exit_)

    def now(self) -> float:
        """The time, later than any event's so far, in seconds since the epoch with whole microseconds."""
        self._microseconds = max(int(self._clock() * 1e6), self._microseconds + 1)
        return self._microseconds / 1e6

    def _emit_debug(self, text: str) -> None:
        self._emit(Stream.DEBUG, f"{text}\n".encode(errors="replace")[:MAX_DATA_BYTES])

    def _emit_all(self, pieces: Iterable[Piece]) -> None:
        for stream, data in pieces:
            self._emit(stream, data)

    def _emit(self, stream: Stream, data: bytes | int | Exit) -> None:
        event = Event(self._host, self._seq, self.now(), stream, data)
        self._seq += 1
        self._write(event.line())
