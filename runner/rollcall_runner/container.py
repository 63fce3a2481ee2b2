"""The container beside the runner in which a script runs: told what to do, and heard, through FIFOs in a shared volume.

`rollcall.podscript` has the launcher at the other end, and what the two say to each other.
"""

import asyncio
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from rollcall.names import Reason
from rollcall.outputs import Exit, Stream
from rollcall.podscript import ORDERS, PULSE
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import describe, failed
from rollcall_runner.intake import Intake
from rollcall_runner.lines import LineWriter
from rollcall_runner.remote import DRAIN_SECONDS, KILL_SECONDS, STOP_SECONDS
from rollcall_runner.script import Stopped, interpreter
from rollcall_runner.session import End

T = TypeVar("T")

_LEAVE_SECONDS: Final = 3.0
"""How long a launcher may take to end, which ends all that is in its container."""
_MAX_WORD_BYTES: Final = 100
_SIGNALLED: Final = 128
"""A shell reports a process that a signal ended by an exit code this much above the signal's number."""


class ContainerLostError(Exception):
    """The container has ended. What ended it, nobody in the pod knows."""

    def __init__(self) -> None:
        super().__init__("the script's container has ended before its script")


@dataclass(frozen=True, slots=True)
class _End:
    """How a script ended: its exit code, and how many processes of the container lacked memory meanwhile."""

    code: int
    kills: int


class _Pipe(asyncio.Protocol):
    """Reads a FIFO: gives its bytes to `take`, and sets `closed` when nobody has it open for writing any more."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.closed = asyncio.Event()
        self.transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed.set()

    @classmethod
    async def open(cls, path: Path, take: Callable[[bytes], None]) -> "_Pipe":
        """Makes the FIFO and begins to read it."""
        os.mkfifo(path, 0o600)
        # Without waiting for a writer. Until there is one, the end of the file is not told.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
        _, pipe = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(take), file)
        return pipe

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Container:
    """The container with the template's image, as its launcher tells of it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0
        self._said = b""
        self._pulse: _Pipe | None = None
        self._orders = -1
        self._ready = asyncio.Event()
        self._ends: dict[int, asyncio.Future[_End]] = {}
        self._stopped: asyncio.Future[Stopped] | None = None

    async def open(self) -> None:
        """Makes the FIFOs that the launcher waits for."""
        self._pulse = await _Pipe.open(self._directory / PULSE, self._hear)
        fresh = self._directory / f"{ORDERS}.new"
        os.mkfifo(fresh, 0o600)
        # For both directions, because for one it would have to wait for the launcher.
        self._orders = os.open(fresh, os.O_RDWR | os.O_NONBLOCK)
        fresh.rename(self._directory / ORDERS)

    async def ready(self) -> None:
        """Waits until the launcher is there; for as long as the image takes to be pulled."""
        await self._unless_lost(self._ready.wait())

    async def start(
        self, script: str, environment: Mapping[str, str], emitter: Emitter, writer: LineWriter
    ) -> "ContainerScript":
        """Starts a script, whose output goes to `emitter`."""
        self._count += 1
        folder = self._directory / str(self._count)
        folder.mkdir(mode=0o700)
        data = script.encode()
        _write(folder / "script", data)
        exports = (f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
        _write(folder / "environment", "".join(exports).encode())
        self._ends[self._count] = asyncio.get_running_loop().create_future()
        started = ContainerScript(self, self._count, emitter, writer)
        await started.open(folder)
        program, argument = interpreter(data)
        self._order(b"\n".join((b"run", str(self._count).encode(), program, argument)))
        return started

    async def end(self, number: int) -> "_End":
        """How a script ended. Raises ContainerLostError."""
        return await self._unless_lost(asyncio.shield(self._ends[number]))

    async def stop(self, grace_seconds: int, seconds: float) -> Stopped:
        """Ends all processes: SIGTERM, so many seconds, SIGKILL; else the container itself."""
        stopped: asyncio.Future[Stopped] = asyncio.get_running_loop().create_future()
        self._stopped = stopped
        self._order(f"stop\n{grace_seconds}".encode())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                with suppress(ContainerLostError):
                    if await self._unless_lost(asyncio.shield(stopped)) is Stopped.GONE:
                        return Stopped.GONE
        return await self.leave()

    async def leave(self) -> Stopped:
        """Lets the launcher go. With it all that runs in its container ends, which its FIFO then tells."""
        self._order(b"done")
        assert self._pulse is not None
        if not self._ready.is_set():
            return Stopped.ABSENT  # a launcher that comes later finds nobody, and ends
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._pulse.closed.wait()
                return Stopped.GONE
        return Stopped.UNKNOWN

    def _order(self, lines: bytes) -> None:
        with suppress(BlockingIOError):  # a launcher that reads nothing any more is waited for in vain elsewhere
            os.write(self._orders, lines + b"\n")

    def _hear(self, data: bytes) -> None:
        *lines, rest = (self._said + data).split(b"\n")
        self._said = rest[-_MAX_WORD_BYTES:]
        for line in lines:
            with suppress(KeyError, ValueError):  # scripts can write into the volume too
                self._take_word(line.decode(errors="replace").split())

    def _take_word(self, words: list[str]) -> None:
        """Takes in what the launcher says. Raises KeyError and ValueError for what it would not say."""
        match words:
            case ["ready"]:
                self._ready.set()
            case ["end", number, code, kills]:
                _settle(self._ends[int(number)], _End(int(code), int(kills)))
            case ["stopped", state] if self._stopped is not None:
                _settle(self._stopped, Stopped(state))

    async def _unless_lost(self, wanted: Awaitable[T]) -> T:
        """What is waited for. Raises ContainerLostError when the container ends before."""
        assert self._pulse is not None
        task = asyncio.ensure_future(wanted)
        lost = asyncio.ensure_future(self._pulse.closed.wait())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ContainerLostError
            return task.result()
        finally:
            lost.cancel()
            task.cancel()


class ContainerScript:
    """A script at work in the container."""

    def __init__(self, container: Container, number: int, emitter: Emitter, writer: LineWriter) -> None:
        self._container = container
        self._number = number
        self._closed = asyncio.Event()
        self._pipes: list[_Pipe] = []
        self._kills = 0
        self._intake = Intake(emitter, writer, self._closed, self._pause, self._resume)

    async def open(self, folder: Path) -> None:
        """Makes the FIFOs for what the script says."""
        for name, stream in (("out", Stream.STDOUT), ("err", Stream.STDERR)):
            self._pipes.append(await _Pipe.open(folder / name, partial(self._intake.take, stream)))
        self._closing = asyncio.create_task(self._close())

    async def ended(self) -> End:
        """Waits until the script has ended. Raises ContainerLostError."""
        end = await self._container.end(self._number)
        self._kills = end.kills
        return End(exit_code=end.code)

    async def exceeded(self) -> None:
        """Waits until the script has said more than it may."""
        await self._intake.exceeded.wait()

    async def stop(self, grace_seconds: int, forced: asyncio.Event) -> Stopped:
        """Ends the script's processes, and all others in the container. Once `forced` is set, without grace."""
        if forced.is_set():
            return await self._container.stop(0, KILL_SECONDS)
        gentle = asyncio.ensure_future(self._container.stop(grace_seconds, STOP_SECONDS + grace_seconds))
        force = asyncio.ensure_future(forced.wait())
        try:
            await asyncio.wait({gentle, force}, return_when=asyncio.FIRST_COMPLETED)
            return gentle.result() if gentle.done() else await self._container.stop(0, KILL_SECONDS)
        finally:
            force.cancel()
            gentle.cancel()
            await asyncio.wait({force, gentle})

    async def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Waits for the rest of the output; False when something in the container still holds it open."""
        drained = await self._intake.drain(seconds)
        self.detach()
        return drained

    def detach(self) -> None:
        """Makes later output count for nothing."""
        self._intake.detach()
        self._closing.cancel()
        for pipe in self._pipes:
            pipe.close()

    def describe(self, end: End) -> Exit:
        """What that end means for the host."""
        code = end.exit_code or 0
        if code and self._kills:
            return failed(
                Reason.OOM_KILLED,
                "the script used more memory than its container may, and the kernel killed a process of it; raise"
                " spec.runner.resources.limits of the template",
                code,
            )
        name = _signal_name(code - _SIGNALLED)
        if name is not None:
            return failed(Reason.SIGNAL, f"signal {name} ended the script (exit code {code})", code)
        return describe(end)

    async def _close(self) -> None:
        for pipe in self._pipes:
            await pipe.closed.wait()
        self._closed.set()

    def _pause(self) -> None:
        for pipe in self._pipes:
            if pipe.transport is not None:
                pipe.transport.pause_reading()

    def _resume(self) -> None:
        for pipe in self._pipes:
            if pipe.transport is not None:
                pipe.transport.resume_reading()


def _settle(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)


def _signal_name(number: int) -> str | None:
    """KILL for 9; None for what is no signal."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return None


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
