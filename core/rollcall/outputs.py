"""The events that a runner writes, and the chunks that they are stored in.

A runner prints one JSON object per line:
`{"host": name, "seq": n, "time": epoch seconds, "stream": ..., "data": ...}`. `seq` grows by one per host from 0, so
that `(host, seq)` names an event for ever: an event that is read twice is the same event, and a missing number is a
hole that can be shown. Streams are `stdout`, `stderr` and `debug` (text, or base64 with `"b64": true` where the bytes
are not UTF-8), `record` (a JSON object: what happened, for programs; the text beside it says the same to people), `cut`
(how many bytes were said but not kept at this place), `step` (a step begins or ends: `StepNews`) and `exit`, always a
host's last event.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from rollcall.names import HostState, Reason, StepState

MAX_LINE_BYTES: Final = 15_000
"""The most bytes of a line: the container runtime splits lines over 16 KiB."""
MAX_DATA_BYTES: Final = 8_192
"""The most bytes of output that an event carries; as base64 they still fit into a line."""
MAX_CHUNK_BYTES: Final = 180_000
"""The most compressed bytes of a stored chunk; in base64 they stay below 256 KiB."""

MAX_UNPACKED_BYTES: Final = 4_194_304
"""How many bytes of lines make a chunk full; it bounds what a reader of one chunk must hold."""

GZIP: Final = 31
"""What zlib calls a gzip container with the largest window."""

MAX_STEP_NAME: Final = 63
"""The most characters of a step's name."""

_END_OF_TIME: Final = 253_402_300_800  # the year 10000
_LEVEL: Final = 1  # four times as fast as zlib's default, for a sixth more space
_UNFLUSHED_BYTES: Final = 60_000  # more than deflate holds back until it is flushed
_BLOCK_BYTES: Final = 65_536  # what is compressed at once
_SMALL_BYTES: Final = 8_192  # what is compressed in less time than it takes to ask another thread


class Stream(StrEnum):
    """Where an event's data comes from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    DEBUG = "debug"
    RECORD = "record"
    CUT = "cut"
    STEP = "step"
    EXIT = "exit"


_STREAMS: Final = {stream.value: stream for stream in Stream}


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """A host key that was accepted because none was known: which Host showed it, and where."""

    host: str
    address: str
    port: int
    key: str
    """As in a `known_hosts` line without the host part."""

    @classmethod
    def parse(cls, document: Any) -> "AcceptedKey":
        """The key in a JSON object. Raises ValueError for anything else."""
        try:
            return cls(str(document["host"]), str(document["address"]), int(document["port"]), str(document["key"]))
        except (KeyError, TypeError) as error:
            raise ValueError("not an accepted key") from error


@dataclass(frozen=True, slots=True)
class Exit:
    """How a host ended: its state, the script's exit code if it has one, and why it did not succeed."""

    state: HostState
    exit_code: int | None = None
    reason: Reason | None = None
    message: str | None = None
    start_time: float | None = None
    accepted_keys: tuple[AcceptedKey, ...] = ()
    """Of the host, and of the jump hosts on the way to it."""

    def document(self) -> dict[str, Any]:
        """The JSON object in an exit event's `data`."""
        fields = {
            "state": self.state.value,
            "exitCode": self.exit_code,
            "reason": self.reason.value if self.reason else None,
            "message": self.message,
            "startTime": self.start_time,
            "acceptedKeys": [asdict(accepted) for accepted in self.accepted_keys] or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @classmethod
    def parse(cls, document: Any) -> "Exit":
        """The inverse of `document`. Raises ValueError for anything else."""
        if not isinstance(document, dict):
            raise ValueError("an exit event carries an object")
        state, reason = HostState(document["state"]), document.get("reason")
        code, message, start = document.get("exitCode"), document.get("message"), document.get("startTime")
        if not state.ended or not isinstance(code, int | None) or not isinstance(message, str | None):
            raise ValueError("not the end of a host")
        return cls(
            state,
            code,
            None if reason is None else Reason(reason),
            message,
            None if start is None else _time(start),
            tuple(AcceptedKey.parse(accepted) for accepted in document.get("acceptedKeys", ())),
        )


Record = dict[str, Any]
"""What a `record` event carries: a JSON object, so small that the event fits into a line."""


@dataclass(frozen=True, slots=True)
class StepNews:
    """That a step begins, has ended, or is not run; the event's time is the moment."""

    name: str
    state: StepState
    exit_code: int | None = None
    reason: Reason | None = None
    start_time: float | None = None
    """When it began, for one that has ended."""

    def document(self) -> dict[str, Any]:
        """The JSON object in a step event's `data`."""
        fields = {
            "name": self.name,
            "state": self.state.value,
            "exitCode": self.exit_code,
            "reason": self.reason.value if self.reason else None,
            "startTime": self.start_time,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @classmethod
    def parse(cls, document: Any) -> "StepNews":
        """The inverse of `document`. Raises ValueError for anything else."""
        if not isinstance(document, dict):
            raise ValueError("a step event carries an object")
        name, code = document["name"], document.get("exitCode")
        reason, start = document.get("reason"), document.get("startTime")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_STEP_NAME or not isinstance(code, int | None):
            raise ValueError("not the state of a step")
        return cls(
            name,
            StepState(document["state"]),
            code,
            None if reason is None else Reason(reason),
            None if start is None else _time(start),
        )

    @property
    def sentence(self) -> str:
        """What people are told of it, a line."""
        match self.state:
            case StepState.RUNNING:
                return f"Step {self.name} begins"
            case StepState.SKIPPED:
                return f"Step {self.name} is skipped"
            case StepState.NOT_STARTED:
                return f"Step {self.name} is not started"
        ended = f"Step {self.name} has ended: {self.state.value}"
        code = [] if self.exit_code is None else [f"exit code {self.exit_code}"]
        reason = [] if self.reason is None or code else [self.reason.value]
        return ", ".join([ended, *code, *reason])


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on a host; `data` is bytes for output, a count for `cut`, else the stream's object."""

    host: str
    seq: int
    time: float
    stream: Stream
    data: bytes | int | Record | Exit | StepNews

    def line(self) -> bytes:
        """The JSON line, with its line end, at most MAX_LINE_BYTES long for at most MAX_DATA_BYTES of output."""
        document: dict[str, Any] = {
            "host": self.host,
            "seq": self.seq,
            "time": round(self.time, 6),
            "stream": self.stream.value,
        }
        match self.data:
            case bytes():
                document |= _text_or_base64(self.data)
            case Exit() | StepNews():
                document["data"] = self.data.document()
            case int() | dict():
                document["data"] = self.data
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _text_or_base64(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        # Control characters take six bytes each in JSON: base64 is shorter when there are many.
        if len(json.dumps(text, ensure_ascii=False).encode()) <= MAX_LINE_BYTES - 1_000:
            return {"data": text}
    return {"data": base64.b64encode(data).decode("ascii"), "b64": True}


def parse_line(line: bytes, loads: Callable[[bytes], Any] = json.loads) -> Event:
    """The event in a line. Raises ValueError for a line that is not one. `loads` reads JSON, some do so faster."""
    try:
        document = loads(line)
        stream = _STREAMS[document["stream"]]
        return Event(
            host=str(document["host"]),
            seq=int(document["seq"]),
            time=_time(document["time"]),
            stream=stream,
            data=_parse_data(stream, document),
        )
    except (KeyError, TypeError, OverflowError, RecursionError, binascii.Error, UnicodeError) as error:
        raise ValueError(f"not an event: {error!r}") from error


def _time(value: Any) -> float:
    """Epoch seconds that a calendar has a date for."""
    seconds = float(value)
    if not 0 <= seconds < _END_OF_TIME:
        raise ValueError(f"not a time: {seconds}")
    return seconds


def _parse_data(stream: Stream, document: dict[str, Any]) -> bytes | int | Record | Exit | StepNews:
    data = document["data"]
    if stream is Stream.EXIT:
        return Exit.parse(data)
    if stream is Stream.STEP:
        return StepNews.parse(data)
    if stream is Stream.RECORD:
        return dict(data)
    if stream is Stream.CUT:
        return int(data)
    if document.get("b64"):
        return base64.b64decode(data, validate=True)
    return str(data).encode()


@dataclass(slots=True)
class Span:
    """Which events of one host a chunk holds: sequence numbers, and times in epoch seconds."""

    first_seq: int
    last_seq: int
    first_time: float
    last_time: float


class Chunk:
    """A chunk in the making: lines go in, and are compressed a block at a time.

    Whoever has other things to do calls `pack` in another thread whenever the chunk is `ripe`: it is the compression
    that takes time. A chunk that waits costs its compressed size, and less than a block.
    """

    def __init__(self) -> None:
        self._compressor: Any = None  # takes 256 KiB, which most chunks of a quiet slice never need
        self._packed = bytearray()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._line_bytes = 0
        self._ripe_at = _BLOCK_BYTES - MAX_LINE_BYTES
        self.hosts: dict[str, Span] = {}

    def add(self, event: Event, line: bytes | None = None) -> None:
        """Take in an event, and its line as it was read; the events of a host come in their order."""
        if self.ripe:
            self.pack()
        if line is None:
            line = event.line()
        elif not line.endswith(b"\n"):
            line += b"\n"
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self._line_bytes += len(line)
        span = self.hosts.get(event.host)
        if span is None:
            self.hosts[event.host] = Span(event.seq, event.seq, event.time, event.time)
        else:
            span.last_seq, span.last_time = event.seq, event.time

    @property
    def _room(self) -> int:
        return MAX_CHUNK_BYTES - _UNFLUSHED_BYTES - len(self._packed)

    @property
    def ripe(self) -> bool:
        """Whether what waits is to be packed before more comes."""
        return self._waiting_bytes > self._ripe_at

    @property
    def full(self) -> bool:
        """Whether another event might make it larger than MAX_CHUNK_BYTES, or it holds MAX_UNPACKED_BYTES already."""
        return self._room < MAX_LINE_BYTES or self._line_bytes >= MAX_UNPACKED_BYTES

    @property
    def small(self) -> bool:
        """Whether to ask another thread to finish it takes longer than to finish it."""
        return self._line_bytes <= _SMALL_BYTES

    def pack(self) -> None:
        """Compress what waits. Nothing may be added meanwhile."""
        if self._compressor is None:
            self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, GZIP)
        self._packed += self._compressor.compress(b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0
        self._ripe_at = min(_BLOCK_BYTES, self._room) - MAX_LINE_BYTES

    def finish(self) -> bytes:
        """The compressed bytes: JSON lines in gzip (RFC 1952). The chunk takes no more events."""
        self.pack()
        self._packed += self._compressor.flush()
        return bytes(self._packed)


def unpack_lines(data: bytes, most: int = MAX_UNPACKED_BYTES + MAX_LINE_BYTES) -> list[bytes]:
    """The lines of a chunk, at most so many bytes of them. Raises ValueError when the bytes are not such a chunk."""
    unpacker = zlib.decompressobj(GZIP)
    try:
        lines = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"not a chunk: {error}") from error
    if not unpacker.eof:
        raise ValueError("not a chunk: it is too long, or was cut off")
    return [line for line in lines.split(b"\n") if line]


def unpack(data: bytes) -> Iterator[Event]:
    """The events of a chunk. Raises ValueError when the bytes are not a chunk."""
    return map(parse_line, unpack_lines(data))
