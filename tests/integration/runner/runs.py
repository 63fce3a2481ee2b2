"""A runner process and what it has said."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from integration.runner.sshd import PATIENCE_SECONDS
from rollcall.outputs import Event, Exit, Stream, parse_line
from rollcall.work import StopOrder, Work
from rollcall_runner.connection import Patience
from rollcall_runner.fleet import run_fleet
from rollcall_runner.lines import LineWriter
from rollcall_runner.orders import Orders

RUNNER = Path(sys.executable).with_name("rollcall-runner")


@dataclass
class Run:
    """A runner process and what it has said."""

    process: asyncio.subprocess.Process
    directory: Path
    events: list[Event] = field(default_factory=list)

    async def until(self, condition: Callable[[Event], bool]) -> Event:
        """Reads on until an event fits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self._read():
                if condition(event):
                    return event
        raise AssertionError(f"the runner ended first: {self.events}")

    async def finish(self) -> "Run":
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for _ in self._read():
                pass
            await self.process.wait()
        return self

    async def _read(self) -> AsyncIterator[Event]:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.events.append(parse_line(line))
            yield self.events[-1]

    def order(self, order: StopOrder) -> None:
        """Tells the runner which hosts to stop, as the kubelet does: at one stroke."""
        new = self.directory / "new"
        new.write_text(order.dump())
        new.rename(self.directory / "stop")

    async def stderr(self) -> bytes:
        assert self.process.stderr is not None
        return await self.process.stderr.read()

    @property
    def last_words(self) -> str:
        """The termination message."""
        return (self.directory / "termination-log").read_text()

    @property
    def summary(self) -> object:
        """The last words without the output."""
        return {key: value for key, value in json.loads(self.last_words).items() if key != "output"}

    def exit(self, host: str = "web-1") -> Exit:
        """The host's exit event, which must be its only one and its last."""
        events = [event for event in self.events if event.host == host]
        assert [event.seq for event in events] == list(range(len(events)))
        times = [event.time for event in events]
        assert times == sorted(set(times))
        assert [event.stream for event in events].count(Stream.EXIT) == 1
        assert isinstance(events[-1].data, Exit)
        return events[-1].data

    def text(self, stream: Stream, host: str = "web-1") -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if event.stream is stream and event.host == host and isinstance(event.data, bytes)
        )

    @property
    def stdout(self) -> bytes:
        return self.text(Stream.STDOUT)

    @property
    def debug(self) -> str:
        return self.text(Stream.DEBUG).decode()


RunWork = Callable[[Work], Awaitable[Run]]


class Lines(LineWriter):
    """Keeps the lines of a fleet that runs in this process."""

    def __init__(self, on_hello: Callable[[], None]) -> None:
        super().__init__(-1)
        self.events: list[Event] = []
        self._on_hello = on_hello

    def write(self, line: bytes) -> None:
        self.events.append(parse_line(line))
        if b"hello" in line:
            self._on_hello()


async def run_here(
    work: Work, patience: Patience, on_hello: Callable[[], None] = lambda: None, orders: Orders | None = None
) -> Run:
    """Runs a work in this process, with less patience than a runner has."""
    lines = Lines(on_hello)
    await run_fleet(work, lines, orders or Orders(host.name for host in work.hosts), patience)
    return Run(None, Path(), lines.events)  # type: ignore[arg-type]
