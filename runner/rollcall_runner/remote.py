"""A script at work on a host: started, read, and stopped over one SSH connection."""

import asyncio
from dataclasses import dataclass
from typing import Final

import asyncssh

from rollcall.outputs import Stream
from rollcall_runner.emitter import Emitter
from rollcall_runner.lines import LineWriter
from rollcall_runner.script import LAUNCHER, STOPPER, Launch, Stopped, command

WINDOW_BYTES: Final = 131_072
"""What a host may send before the runner has taken it: with 100 hosts that wait for a slow reader, 13 MB."""
FLUSH_SECONDS: Final = 0.05
"""How long output waits for more to share an event with."""
QUIET_SECONDS: Final = 2.0
"""How long a silent channel may stay open after the script's end."""
DRAIN_SECONDS: Final = 10.0
"""How long a channel that still speaks may stay open after the script's end."""
STOP_SECONDS: Final = 20.0
"""How long stopping may take; a pod that is deleted has 30 s."""


@dataclass(frozen=True, slots=True)
class End:
    """How a script ended: by an exit code, or by a signal, or in a way that the host did not tell."""

    exit_code: int | None = None
    signal: str | None = None


class _Session(asyncssh.SSHClientSession[bytes]):
    """Takes the output of a script; pauses the channel while the writer is congested."""

    def __init__(self, emitter: Emitter, writer: LineWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._emitter = emitter
        self._writer = writer
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._paused = False
        self._grace: asyncio.Timeout | None = None
        self._grace_end = 0.0
        self._closed = asyncio.Event()
        self.end: asyncio.Future[End] = self._loop.create_future()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        stream = Stream.STDERR if datatype == asyncssh.EXTENDED_DATA_STDERR else Stream.STDOUT
        self._emitter.output(stream, data)
        if self._flush is None:
            self._flush = self._loop.call_later(FLUSH_SECONDS, self._flush_now)
        if self._writer.congested and not self._paused and self._channel is not None:
            self._paused = True
            self._channel.pause_reading()
            self._writer.on_relief(self._resume)
        self._reschedule()

    def exit_status_received(self, status: int) -> None:
        self._set_end(End(exit_code=status))

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        self._set_end(End(signal=signal))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._set_end(End())
        self._closed.set()

    async def drain(self) -> bool:
        """Waits for the rest of the output of a script that has ended; False when the channel was still open.

        A process that the script leaves behind can hold its stdout for ever, so the wait is bounded. The time in which
        the runner itself does not read, because its own reader is slow, does not count.
        """
        try:
            async with asyncio.timeout(None) as self._grace:
                self._grace_end = self._loop.time() + DRAIN_SECONDS
                self._reschedule()
                await self._closed.wait()
        except TimeoutError:
            return False
        finally:
            self._grace = None
        return True

    def detach(self) -> None:
        """Makes later output count for nothing, once the host's last event is due."""
        if self._flush is not None:
            self._flush.cancel()
        if self._channel is not None:
            self._channel.abort()

    def _set_end(self, end: End) -> None:
        if not self.end.done():
            self.end.set_result(end)

    def _flush_now(self) -> None:
        self._flush = None
        self._emitter.flush()

    def _resume(self) -> None:
        self._paused = False
        self._grace_end = max(self._grace_end, self._loop.time() + QUIET_SECONDS)
        self._reschedule()
        if self._channel is not None:
            self._channel.resume_reading()

    def _reschedule(self) -> None:
        if self._grace is not None and not self._grace.expired():
            when = None if self._paused else min(self._loop.time() + QUIET_SECONDS, self._grace_end)
            self._grace.reschedule(when)


class RemoteScript:
    """A script that has been sent to a host."""

    def __init__(self, connection: asyncssh.SSHClientConnection, launch: Launch, session: _Session) -> None:
        self._connection = connection
        self._launch = launch
        self._session = session

    @classmethod
    async def start(
        cls, connection: asyncssh.SSHClientConnection, launch: Launch, emitter: Emitter, writer: LineWriter
    ) -> "RemoteScript":
        """Sends the script; its output goes to `emitter`. Raises asyncssh.ChannelOpenError when the host refuses."""
        session = _Session(emitter, writer)
        channel, _ = await connection.create_session(
            lambda: session, command(LAUNCHER), encoding=None, window=WINDOW_BYTES
        )
        channel.write(launch.launcher_input)
        return cls(connection, launch, session)

    async def ended(self) -> End:
        """Waits until the script has ended or the connection has broken."""
        return await asyncio.shield(self._session.end)

    async def stop(self) -> Stopped:
        """Ends the script's processes: SIGTERM, a grace period, SIGKILL, and a look whether they are gone."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                result = await self._connection.run(command(STOPPER), input=self._launch.stopper_input, encoding=None)
                stopped = _parse_answer(result.stdout)
                if stopped is Stopped.ABSENT:
                    await self.ended()
                return stopped
        except (TimeoutError, OSError, asyncssh.Error):
            return Stopped.UNKNOWN

    async def drain(self) -> bool:
        """Waits for the rest of the output; False when something on the host still holds it open."""
        drained = await self._session.drain()
        self._session.detach()
        return drained


def _parse_answer(stdout: object) -> Stopped:
    # A login shell may print more before it.
    words = stdout.decode(errors="replace").split() if isinstance(stdout, bytes) else []
    try:
        return Stopped(words[-1])
    except (IndexError, ValueError):
        return Stopped.UNKNOWN
