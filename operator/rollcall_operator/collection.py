"""What is known of one slice's output while it is collected. No I/O."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from rollcall.outputs import Chunk, Event, Exit, StepNews, Stream
from rollcall.plan.observed import Collected, HostProgress, StepProgress
from rollcall.resources.jobslice import TAIL_BYTES, JobSlice

_NOTHING: Final = Collected({}, complete=False)


@dataclass(slots=True)
class _Host:
    """What one host has said so far."""

    seq: int
    started: float
    last: float
    exit: Exit | None = None
    kept_bytes: int = 0
    cut_bytes: int = 0
    tail: bytes = b""
    steps: dict[str, StepProgress] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        self.seq, self.last = event.seq, event.time
        data = event.data
        if isinstance(data, bytes):
            if event.stream is not Stream.DEBUG:
                self.kept_bytes += len(data)
                self.tail = data[-TAIL_BYTES:] if len(data) >= TAIL_BYTES else (self.tail + data)[-TAIL_BYTES:]
        elif isinstance(data, Exit):
            self.exit = data
        elif isinstance(data, StepNews):
            self.steps[data.name] = StepProgress(data, event.time)
        elif isinstance(data, int):
            self.cut_bytes += data

    def progress(self) -> HostProgress:
        steps = tuple(self.steps.values())
        return HostProgress(
            self.started, self.last, self.exit, self.kept_bytes, self.cut_bytes, _tail(self.tail), steps
        )


def _tail(data: bytes) -> str:
    """The last whole lines, or the end of the last line; without characters that JSON cannot carry."""
    text = data.decode(errors="replace").replace("\0", "\ufffd")
    if len(data) == TAIL_BYTES and "\n" in text.rstrip("\n"):
        text = text.partition("\n")[2]
    while len(text.encode()) > TAIL_BYTES:
        text = text[1:]
    return text


@dataclass
class Collection:
    """What is known of one slice's output, and the task that learns more."""

    slice: JobSlice
    hosts: dict[str, _Host] = field(default_factory=dict)
    complete: bool = False
    sequence: int = 0
    """The place of the chunk in the making."""
    chunk: Chunk | None = None
    chunk_begun: float = 0.0
    stored_bytes: int = 0
    """What the chunks before it take in the store."""
    output: bytes | None = None
    """All of the output, packed, when it is so little that it is kept in the slice."""
    place: str | None = None
    """Where the output is, in words, when it is stored elsewhere."""
    pod_over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing more will come from the pod."""
    task: asyncio.Task[None] | None = None
    _exited: int = 0
    _changed: set[str] = field(default_factory=set)
    """Hosts that have said something since the last snapshot."""
    _snapshot: Collected = _NOTHING

    def __post_init__(self) -> None:
        self._names = frozenset(self.slice.spec.hosts)

    def snapshot(self) -> Collected:
        """What a decision is made from. It costs what has changed since the last one."""
        if self._changed or self._snapshot.complete != self.complete:
            news = {name: self.hosts[name].progress() for name in self._changed}
            self._changed.clear()
            self._snapshot = Collected({**self._snapshot.hosts, **news}, self.complete, self.output, self.place)
        return self._snapshot

    @property
    def all_exited(self) -> bool:
        return self._exited == len(self._names)

    @property
    def kept_bytes(self) -> int:
        """How much of stdout and stderr is kept."""
        return sum(host.kept_bytes for host in self.hosts.values())

    def is_new(self, event: Event) -> bool:
        """Whether the event is of this slice and was not taken in before."""
        host = self.hosts.get(event.host)
        return event.host in self._names if host is None else event.seq > host.seq

    def take(self, event: Event) -> bool:
        """Take in an event that is new; True when it is its host's first or last, or a step begins or ends with it."""
        host = self.hosts.get(event.host)
        first = host is None
        if host is None:
            host = self.hosts[event.host] = _Host(event.seq, event.time, event.time)
        had_exited = host.exit is not None
        host.take(event)
        self._changed.add(event.host)
        exited = host.exit is not None and not had_exited
        self._exited += exited
        return first or exited or event.stream is Stream.STEP

    def forget(self) -> None:
        """Know nothing of any host, to begin again."""
        self.hosts.clear()
        self._changed.clear()
        self._exited = 0
        self._snapshot = _NOTHING

    def resume_time(self) -> str | None:
        """From when on to read again: before the last event of the host that has been silent longest."""
        if len(self.hosts) < len(self._names):
            return None  # a host that has not been heard yet may have spoken at any time
        silent = min((host.last for host in self.hosts.values() if host.exit is None), default=None)
        return None if silent is None else datetime.fromtimestamp(silent - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
