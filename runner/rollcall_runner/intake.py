"""What a script says, on its way into events: read as fast as they can be written, and for a while after its end."""

import asyncio
from collections.abc import Callable
from typing import Final

from rollcall.outputs import Stream
from rollcall_runner.emitter import Emitter
from rollcall_runner.lines import LineWriter

FLUSH_SECONDS: Final = 0.05
"""How long output waits for more to share an event with."""
QUIET_SECONDS: Final = 2.0
"""How long a silent script's output may stay open after its end."""


class Intake:
    """Takes the output of a script; pauses whoever brings it while the writer is congested."""

    def __init__(
        self, emitter: Emitter, writer: LineWriter, closed: asyncio.Event, pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:  # fmt: skip
        """`closed` is set when no more output can come."""
        self._loop = asyncio.get_running_loop()
        self._emitter = emitter
        self._writer = writer
        self._closed = closed
        self._pause = pause
        self._resume_reading = resume
        self._flush: asyncio.TimerHandle | None = None
        self._paused = False
        self._grace: asyncio.Timeout | None = None
        self._grace_end = 0.0
        self.exceeded = asyncio.Event()

    def take(self, stream: Stream, data: bytes) -> None:
        """Takes output."""
        self._emitter.output(stream, data)
        if self._emitter.exceeded:
            self.exceeded.set()
        if self._flush is None:
            self._flush = self._loop.call_later(FLUSH_SECONDS, self._flush_now)
        if self._writer.congested and not self._paused:
            self._paused = True
            self._pause()
            self._writer.on_relief(self._resume)
        self._reschedule()

    async def drain(self, seconds: float) -> bool:
        """Waits for the rest of the output of a script that has ended; False when it was still open.

        A process that the script leaves behind can hold its stdout for ever, so the wait is bounded. The time in which
        the runner itself does not read, because its own reader is slow, does not count.
        """
        try:
            async with asyncio.timeout(None) as self._grace:
                self._grace_end = self._loop.time() + seconds
                self._reschedule()
                await self._closed.wait()
        except TimeoutError:
            return False
        finally:
            self._grace = None
        return True

    def detach(self) -> None:
        """Makes what has been taken visible by nobody's timer any more."""
        if self._flush is not None:
            self._flush.cancel()

    def _flush_now(self) -> None:
        self._flush = None
        self._emitter.flush()

    def _resume(self) -> None:
        self._paused = False
        self._grace_end = max(self._grace_end, self._loop.time() + QUIET_SECONDS)
        self._reschedule()
        self._resume_reading()

    def _reschedule(self) -> None:
        if self._grace is not None and not self._grace.expired():
            when = None if self._paused else min(self._loop.time() + QUIET_SECONDS, self._grace_end)
            self._grace.reschedule(when)
