"""The events of one host: numbered, timed, masked, within the host's output limit, and ended by exactly one exit event.

Values are masked first, in each stream as a whole, so that neither a limit nor an event's end leaves half of one to be
read. What counts against the limit, and what `cut` counts, is therefore the output as it is shown.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from rollcall.outputs import MAX_DATA_BYTES, Event, Exit, Record, StepNews, Stream
from rollcall.work import OnExcess
from rollcall_runner.masking import NOTHING, Mask, MaskedStream
from rollcall_runner.pieces import TAIL_BYTES, Allowance, Piece, Pieces
from rollcall_runner.records import MAX_RECORD_BYTES, MIN_RECORD_BYTES, fitted, masked

MAX_MESSAGE_LENGTH: Final = 1_000
"""The most characters of a message, so that an exit event fits into a line whatever the characters are."""


class Emitter:
    """Turns what happens on a host into lines for `write`."""

    def __init__(
        self,
        host: str,
        write: Callable[[bytes], None],
        limit: int,
        *,
        on_excess: OnExcess = OnExcess.CUT,
        mask: Mask = NOTHING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._write = write
        self._clock = clock
        self._fails = on_excess is OnExcess.FAIL
        # Whoever fails for saying too much has said nothing at the end that would be worth keeping.
        self._allowance = Allowance(limit, 0 if self._fails else TAIL_BYTES)
        self._mask = mask
        self._streams = {stream: MaskedStream(mask) for stream in (Stream.STDOUT, Stream.STDERR)} if mask else {}
        self._pieces = Pieces()
        self._record_bytes_left = limit
        self._seq = 0
        self._microseconds = 0

    @property
    def exceeded(self) -> bool:
        """Whether the host must fail for what it has said."""
        return self._fails and self._allowance.exceeded

    def output(self, stream: Stream, data: bytes) -> None:
        """Takes output of the script; `flush` makes it visible, when it does not fill an event by itself."""
        if self._streams:
            data = self._streams[stream].feed(data)
        self._admit(stream, data)

    def flush(self) -> None:
        """Emits the output so far, apart from torn characters, what may begin a masked value, and what may be cut."""
        self._emit_all(self._pieces.flush())

    def debug(self, text: str) -> None:
        """Emits a line about the host, after the output so far."""
        self.flush()
        self._emit_debug(self._mask.text(text))

    def record(self, record: Record) -> None:
        """Emits a structured record, after the output so far. When these take more than the host may say, what is long
        in them is left out."""
        self.flush()
        self._record_bytes_left -= len(str(record))
        limit = MAX_RECORD_BYTES if self._record_bytes_left > 0 else MIN_RECORD_BYTES
        self._emit(Stream.RECORD, fitted(masked(record, self._mask), limit))

    def step(self, news: StepNews) -> None:
        """Emits that a step begins or has ended, after the output so far, also that which it leaves torn."""
        self.finish()
        self._emit_all(self._pieces.finish())
        self._emit(Stream.STEP, news)

    def finish(self) -> None:
        """Takes in that no more output comes of a script; `step` and `end` do it too."""
        for stream, waiting in self._streams.items():
            self._admit(stream, waiting.finish())

    def end(self, exit_: Exit) -> None:
        """Emits the rest of the output, the exit's message for readers of the output, and the exit event, the last."""
        self._emit_rest()
        if exit_.message:
            exit_ = replace(exit_, message=self._mask.text(exit_.message)[:MAX_MESSAGE_LENGTH])
            self._emit_debug(str(exit_.message))
        self._emit(Stream.EXIT, exit_)

    def abandon(self, why: str) -> None:
        """Emits the rest of the output and a line about the host, of which no exit can be told."""
        self._emit_rest()
        self._emit_debug(self._mask.text(why))

    def now(self) -> float:
        """The time, later than any event's so far, in seconds since the epoch with whole microseconds."""
        self._microseconds = max(int(self._clock() * 1e6), self._microseconds + 1)
        return self._microseconds / 1e6

    def _emit_rest(self) -> None:
        self.finish()
        rest = self._allowance.rest()
        if rest.cut:
            self._emit_all(self._pieces.finish())
            self._emit(Stream.CUT, rest.cut)
        for stream, data in rest.tail:
            self._emit_all(self._pieces.add(stream, data))
        self._emit_all(self._pieces.finish())

    def _admit(self, stream: Stream, data: bytes) -> None:
        if data and (head := self._allowance.take(stream, data)):
            self._emit_all(self._pieces.add(stream, head))

    def _emit_debug(self, text: str) -> None:
        self._emit(Stream.DEBUG, f"{text}\n".encode(errors="replace")[:MAX_DATA_BYTES])

    def _emit_all(self, pieces: Iterable[Piece]) -> None:
        for stream, data in pieces:
            self._emit(stream, data)

    def _emit(self, stream: Stream, data: bytes | int | Record | Exit | StepNews) -> None:
        event = Event(self._host, self._seq, self.now(), stream, data)
        self._seq += 1
        self._write(event.line())
