"""The events that a runner writes, and the chunks that they are stored in.

A runner prints one JSON object per line:
`{"host": name, "seq": n, "time": epoch seconds, "stream": ..., "data": ...}`. `seq` grows by one per host from 0, so
that `(host, seq)` names an event for ever: an event that is read twice is the same event, and a missing number is a
hole that can be shown. Streams are `stdout`, `stderr` and `debug` (text, or base64 with `"b64": true` where the bytes
are not UTF-8), `cut` (how many bytes were said but not kept at this place) and `exit`, always a host's last event.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rollcall.names import HostState, Reason

MAX_LINE_BYTES: Final = 15_000
"""The most bytes of a line: the container runtime splits lines over 16 KiB."""
MAX_DATA_BYTES: Final = 8_192
"""The most bytes of output that an event carries; as base64 they still fit into a line."""
MAX_CHUNK_BYTES: Final = 180_000
"""The most compressed bytes of a stored chunk; in base64 they stay below 256 KiB."""

_END_OF_TIME: Final = 253_402_300_800  # the year 10000
_GZIP: Final = 31  # zlib's wbits for a gzip container with the largest window
_UNFLUSHED_BYTES: Final = 60_000  # more than deflate holds back until it is flushed
_MAX_UNPACKED_BYTES: Final = 4_194_304  # bounds what a reader of one chunk must hold


class Stream(StrEnum):
    """Where an event's data comes from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    DEBUG = "debug"
    CUT = "cut"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a host ended: its state, the script's exit code if it has one, and why it did not succeed."""

    state: HostState
    exit_code: int | None = None
    reason: Reason | None = None
    message: str | None = None
    start_time: float | None = None

    def document(self) -> dict[str, Any]:
        """The JSON object in an exit event's `data`."""
        fields = {
            "state": self.state.value,
            "exitCode": self.exit_code,
            "reason": self.reason.value if self.reason else None,
            "message": self.message,
            "startTime": self.start_time,
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
            state, code, None if reason is None else Reason(reason), message, None if start is None else _time(start)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on a host; `data` is bytes for output, a count for `cut`, an Exit for `exit`."""

    host: str
    seq: int
    time: float
    stream: Stream
    data: bytes | int | Exit

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
            case Exit():
                document["data"] = self.data.document()
            case int():
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


def parse_line(line: bytes) -> Event:
    """The event in a line. Raises ValueError for a line that is not one."""
    try:
        document = json.loads(line)
        stream = Stream(document["stream"])
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


def _parse_data(stream: Stream, document: dict[str, Any]) -> bytes | int | Exit:
    data = document["data"]
    match stream:
        case Stream.EXIT:
            return Exit.parse(data)
        case Stream.CUT:
            return int(data)
        case _ if document.get("b64"):
            return base64.b64decode(data, validate=True)
        case _:
            return str(data).encode()


@dataclass(slots=True)
class Span:
    """Which events of one host a chunk holds: sequence numbers, and times in epoch seconds."""

    first_seq: int
    last_seq: int
    first_time: float
    last_time: float


class Chunk:
    """A chunk in the making: lines go in, compressed at once, so that a waiting chunk costs little memory."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._packed = bytearray()
        self._line_bytes = 0
        self.hosts: dict[str, Span] = {}

    def add(self, event: Event) -> None:
        """Take in an event; the events of a host come in their order."""
        line = event.line()
        self._packed += self._compressor.compress(line)
        self._line_bytes += len(line)
        span = self.hosts.get(event.host)
        if span is None:
            self.hosts[event.host] = Span(event.seq, event.seq, event.time, event.time)
        else:
            span.last_seq, span.last_time = event.seq, event.time

    @property
    def full(self) -> bool:
        """Whether another event might make it larger than MAX_CHUNK_BYTES."""
        return len(self._packed) >= MAX_CHUNK_BYTES - _UNFLUSHED_BYTES or self._line_bytes >= _MAX_UNPACKED_BYTES

    def finish(self) -> bytes:
        """The compressed bytes: JSON lines in gzip (RFC 1952). The chunk takes no more events."""
        self._packed += self._compressor.flush()
        return bytes(self._packed)


def unpack(data: bytes) -> Iterator[Event]:
    """The events of a chunk. Raises ValueError when the bytes are not a chunk."""
    try:
        lines = zlib.decompress(data, _GZIP)
    except zlib.error as error:
        raise ValueError(f"not a chunk: {error}") from error
    return (parse_line(line) for line in lines.splitlines() if line)


def exit_summary(exits: Iterable[Exit]) -> str:
    """The termination message of a runner, a JSON object of counts by state, well below 4,096 bytes."""
    counts: dict[str, int] = {}
    for exit_ in exits:
        counts[exit_.state.value.lower()] = counts.get(exit_.state.value.lower(), 0) + 1
    return json.dumps({"hosts": sum(counts.values()), **counts})
