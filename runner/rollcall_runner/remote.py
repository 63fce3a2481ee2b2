"""A script at work on a host: started, read, and stopped over one SSH connection."""

import asyncio
from typing import Final

import asyncssh

from rollcall.outputs import Exit, Stream
from rollcall_runner.announcement import Announcement
from rollcall_runner.elevation import ElevationError
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import describe
from rollcall_runner.intake import Intake
from rollcall_runner.lines import LineWriter
from rollcall_runner.script import LAUNCHER, STOPPER, Launch, Stopped
from rollcall_runner.session import End, Session, Shell

DRAIN_SECONDS: Final = 10.0
"""How long a channel that still speaks may stay open after the script's end."""
STOPPED_DRAIN_SECONDS: Final = 3.0
"""The same for a script that was stopped."""
STOP_SECONDS: Final = 18.0
"""How long stopping may take beyond the grace period. With what follows it, it stays below the 25 s by which the grace
period of a pod exceeds the script's."""
KILL_SECONDS: Final = 12.0
"""How long stopping may take when nobody wants to wait for it. With what follows it, it stays below the 20 s that the
pod has then; becoming another user once more took more than six of them on a busy host."""


class _ScriptSession(Session):
    """Takes the output of a script; pauses the channel while the writer is congested."""

    def __init__(self, emitter: Emitter, writer: LineWriter) -> None:
        super().__init__()
        self.intake = Intake(emitter, writer, self.closed, self._pause, self._resume)
        self.announcement: Announcement | None = None

    def take(self, stream: Stream, data: bytes) -> None:
        if stream is Stream.STDERR and self.announcement is not None:
            data = self.announcement.hear(data)
        if data:
            self.intake.take(stream, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    def detach(self) -> None:
        """Makes later output count for nothing, once the host's last event is due."""
        self._release()
        self.intake.detach()
        self.abandon()

    def _release(self) -> None:
        """Takes what was held back, in case it was the beginning of an announcement."""
        if self.announcement is not None and (rest := self.announcement.end()):
            self.intake.take(Stream.STDERR, rest)

    def _pause(self) -> None:
        if self.channel is not None:
            self.channel.pause_reading()

    def _resume(self) -> None:
        if self.channel is not None:
            self.channel.resume_reading()


class _AnswerSession(Session):
    """Keeps the last words of a stopper."""

    def __init__(self) -> None:
        super().__init__()
        self._said = b""

    def take(self, stream: Stream, data: bytes) -> None:
        if stream is Stream.STDOUT:
            self._said = (self._said + data)[-100:]

    @property
    def stopped(self) -> Stopped:
        """What the stopper said; a login shell may have printed more before it."""
        try:
            return Stopped(self._said.decode(errors="replace").split()[-1])
        except (IndexError, ValueError):
            return Stopped.UNKNOWN


class RemoteScript:
    """A script that has been sent to a host."""

    def __init__(self, shell: Shell, launch: Launch, session: _ScriptSession) -> None:
        self._shell = shell
        self._launch = launch
        self._session = session

    @classmethod
    async def start(
        cls, shell: Shell, launch: Launch, emitter: Emitter, writer: LineWriter, *, tty: bool
    ) -> "RemoteScript":
        """Sends the script, with a terminal if asked; its output goes to `emitter`. Raises asyncssh.Error when the host
        refuses, ElevationError and TerminalError."""
        session = await shell.run(LAUNCHER, lambda: _ScriptSession(emitter, writer), terminal=tty)
        # A terminal makes stdout and stderr one, and the line would have to be looked for in the script's output.
        announced = launch.announced and not session.terminal
        session.announcement = Announcement(launch.name) if announced else None
        session.write(launch.launcher_input(announced=announced))
        return cls(shell, launch, session)

    async def ended(self) -> End:
        """Waits until the script has ended or the connection has broken."""
        return await asyncio.shield(self._session.end)

    async def exceeded(self) -> None:
        """Waits until the script has said more than it may."""
        await self._session.intake.exceeded.wait()

    async def stop(self, grace_seconds: int, forced: asyncio.Event) -> Stopped:
        """Ends the script's processes: SIGTERM, a grace period, SIGKILL, and a look whether they are gone. Once
        `forced` is set, SIGKILL at once, and little patience."""
        if forced.is_set():
            return await self._stop_within(0, KILL_SECONDS)
        gentle = asyncio.ensure_future(self._stop_within(grace_seconds, STOP_SECONDS + grace_seconds))
        force = asyncio.ensure_future(forced.wait())
        try:
            await asyncio.wait({gentle, force}, return_when=asyncio.FIRST_COMPLETED)
            return gentle.result() if gentle.done() else await self._kill(gentle)
        finally:
            force.cancel()
            gentle.cancel()
            await asyncio.wait({force, gentle})

    async def _kill(self, gentle: "asyncio.Future[Stopped]") -> Stopped:
        """Ends what a gentle stop is still at. Whoever of the two comes later may find no trace of the script."""
        stopped = await self._stop_within(0, KILL_SECONDS)
        if stopped is Stopped.ABSENT:
            await asyncio.wait({gentle}, timeout=KILL_SECONDS)
        return gentle.result() if gentle.done() and gentle.result() is not Stopped.UNKNOWN else stopped

    async def _stop_within(self, grace_seconds: int, seconds: float) -> Stopped:
        try:
            async with asyncio.timeout(seconds):
                place = await self._place()
                if place is None:
                    return Stopped.UNKNOWN if await self.ended() == End() else Stopped.ABSENT
                session = await self._shell.run(STOPPER, _AnswerSession)
                session.write(self._launch.stopper_input(grace_seconds, place))
                await session.closed.wait()
                if session.stopped is Stopped.ABSENT:
                    await self.ended()
                return session.stopped
        except ElevationError:
            return Stopped.REFUSED
        except asyncssh.ChannelOpenError:
            return Stopped.BUSY
        except (TimeoutError, OSError, asyncssh.Error):
            return Stopped.UNKNOWN

    async def _place(self) -> str | None:
        """Where the stopper finds the script's processes, empty when it finds that itself; None when the launcher has
        ended, or cannot be heard any more, before it announced anything.

        Nothing can be called back: what the launcher reads is on its way before anybody wants to stop it.
        """
        announcement = self._session.announcement
        if announcement is None:
            return ""
        await announcement.settled.wait()
        return announcement.place

    async def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Waits for the rest of the output; False when something on the host still holds it open."""
        drained = await self._session.intake.drain(seconds)
        self.detach()
        return drained

    def detach(self) -> None:
        """Makes later output count for nothing."""
        self._session.detach()

    def describe(self, end: End) -> Exit:
        """What that end means for the host."""
        return describe(end)
