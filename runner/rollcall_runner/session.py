"""One exec request on a host: a launcher's or a stopper's text, carried out by the login user or the effective one.

As the login user the text is in the request; as another user it follows when the shell of that user is there (see
`elevation`). What the text reads follows in either case.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import asyncssh

from rollcall.outputs import Stream
from rollcall_runner.elevation import Attempt, Conversation, Elevation, at_terminal
from rollcall_runner.refusals import Refusal, Trouble
from rollcall_runner.script import command

_MAX_WINDOW_BYTES: Final = 131_072
_ALL_WINDOWS_BYTES: Final = 3_276_800
"""What all hosts together may send before the runner has taken it; as measured, it takes up to ten times the memory."""
_NO_CHARACTER: Final = 255
"""Disables a special character of a terminal (RFC 4254, section 8)."""
_TERMINAL_MODES: Final = {
    **dict.fromkeys(
        (asyncssh.PTY_ECHO, asyncssh.PTY_ISIG, asyncssh.PTY_IEXTEN, asyncssh.PTY_IXON, asyncssh.PTY_OPOST), 0
    ),
    **dict.fromkeys((asyncssh.PTY_VERASE, asyncssh.PTY_VKILL, asyncssh.PTY_VEOF), _NO_CHARACTER),
}
"""A terminal that shows and changes nothing; it still collects lines, for programs that read a password as one."""


@dataclass(frozen=True, slots=True)
class End:
    """How a script ended: by an exit code, or by a signal, or in a way that the host did not tell."""

    exit_code: int | None = None
    signal: str | None = None


def window_bytes(at_once: int) -> int:
    """What one host may send before the runner has taken it, when so many are at work: 32 KiB where there are 100."""
    return min(_MAX_WINDOW_BYTES, _ALL_WINDOWS_BYTES // max(at_once, 1))


class Session(asyncssh.SSHClientSession[bytes]):
    """Takes what comes of an exec request, in `take`."""

    def __init__(self) -> None:
        self._conversation: Conversation | None = None
        self._settled = asyncio.Event()
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.terminal = False
        """Whether stdout and stderr are one."""
        self.closed = asyncio.Event()
        self.end: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def take(self, stream: Stream, data: bytes) -> None:
        """Takes output."""
        raise NotImplementedError

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        stream = Stream.STDERR if datatype == asyncssh.EXTENDED_DATA_STDERR else Stream.STDOUT
        if self._conversation is not None:
            data = self._converse(self._conversation, stream, data)
        if data:
            self.take(stream, data)

    def exit_status_received(self, status: int) -> None:
        self._set_end(End(exit_code=status))

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        self._set_end(End(signal=signal))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._set_end(End())
        self.closed.set()
        self._settled.set()

    def write(self, data: bytes) -> None:
        """Sends what the shell text reads."""
        if self.channel is not None and not self.channel.is_closing():
            self.channel.write(data)

    def abandon(self) -> None:
        """Ends the session; what it ran has no stdin any more."""
        if self.channel is not None:
            self.channel.abort()

    def expect(self, attempt: Attempt) -> None:
        """Makes what is said until the shell of the effective user is there no output. Call it before opening."""
        self._conversation = Conversation(attempt)

    async def elevated(self, seconds: float) -> Refusal | None:
        """Waits for the shell of the effective user. Raises asyncssh.ConnectionLost."""
        conversation = self._conversation
        assert conversation is not None, "nothing is expected"
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            conversation.end(f"nothing came of it in {seconds:g} s", Trouble.OTHER)
        if conversation.ready:
            self._conversation = None
            return None
        if conversation.refusal is None:
            end = self.end.result()
            if end == End():
                raise asyncssh.ConnectionLost("the connection broke")
            conversation.end(f"it ended with {_described(end)} before the script was started")
        return conversation.refusal

    def _converse(self, conversation: Conversation, stream: Stream, data: bytes) -> bytes:
        output, answer = conversation.hear(stream, data)
        if answer:
            self.write(answer)
        if conversation.ready or conversation.refusal:
            self._settled.set()
        return output

    def _set_end(self, end: End) -> None:
        if not self.end.done():
            self.end.set_result(end)


def _described(end: End) -> str:
    return f"signal {end.signal}" if end.signal else f"exit code {end.exit_code}"


class TerminalError(Exception):
    """A terminal that was asked for is of no use; the text says what happened, and can follow 'it'."""


S = TypeVar("S", bound=Session)


class Shell:
    """Where shell texts are carried out: a host, by its login user, or by another one through an elevation."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        elevation: Elevation | None,
        *,
        seconds: float,
        window: int,
        tell: Callable[[str], None],
    ) -> None:
        """An elevation may take so many seconds; `window` is in bytes; `tell` is told what readers should know."""
        self._connection = connection
        self._elevation = elevation
        self._seconds = seconds
        self._window = window
        self._tell = tell
        # What was refused without a terminal: since then there is one.
        self._without_terminal: Refusal | None = None

    async def run(self, text: str, make_session: Callable[[], S], *, terminal: bool = False) -> S:
        """Starts a text, at a terminal if asked. Raises asyncssh.Error when the host refuses to, and ElevationError."""
        if self._elevation is None:
            return await self._run_directly(text, make_session, terminal=terminal)
        terminal = terminal or self._without_terminal is not None
        session, refusal = await self._elevate(self._elevation, make_session, terminal=terminal)
        if refusal and not terminal and self._elevation.wants_terminal(refusal):
            self._without_terminal = refusal
            self._tell(f"{self._elevation.program} wants a terminal, at which stdout and stderr are one")
            session, refusal = await self._elevate(self._elevation, make_session, terminal=True)
        if refusal:
            raise self._elevation.error(refusal)
        session.write(f"{text}\n".encode())
        return session

    async def _run_directly(self, text: str, make_session: Callable[[], S], *, terminal: bool) -> S:
        """A session in which the login user carries out a text."""
        session = make_session()
        if not terminal:
            await self._open(session, command(text), terminal=False)
            return session
        # What the text reads must not arrive before the terminal leaves it as it is.
        attempt = at_terminal()
        session.expect(attempt)
        await self._open(session, attempt.request, terminal=True)
        if refusal := await session.elevated(self._seconds):
            session.abandon()
            raise TerminalError(refusal.how)
        session.write(f"{text}\n".encode())
        return session

    async def _elevate(
        self, elevation: Elevation, make_session: Callable[[], S], *, terminal: bool
    ) -> tuple[S, Refusal | None]:
        """A session with a shell of the effective user, or with what was refused."""
        before = self._without_terminal
        session = make_session()
        attempt = elevation.attempt(terminal=terminal)
        session.expect(attempt)
        try:
            await self._open(session, attempt.request, terminal=attempt.terminal)
        except asyncssh.ChannelOpenError as error:
            if before is None or "PTY" not in error.reason:
                raise
            return session, Refusal(Trouble.TERMINAL, before.how, before.said)
        refusal = await session.elevated(self._seconds)
        if refusal:
            session.abandon()
        return session, refusal

    async def _open(self, session: Session, request: str, *, terminal: bool) -> None:
        session.terminal = terminal
        modes = {"term_type": "dumb", "term_modes": _TERMINAL_MODES} if terminal else {}
        await self._connection.create_session(
            lambda: session,
            request,
            encoding=None,
            window=self._window,
            **modes,  # type: ignore[arg-type]
        )
