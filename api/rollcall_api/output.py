"""What the hosts of a job said: the stored chunks, and while a slice runs also its pod's log.

Both hold the same events, `(host, seq)` names each, and together they are shown in that order. While a slice runs,
only the events without a hole before them are shown: the missing ones may still come. Once it is done, a hole is
shown as one. Decoded chunks are kept within a fixed number of bytes; a live log is read at most twice a second,
however many readers ask, and only from where the chunks end.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rollcall.names import LABEL_SLICE, HostState, Kind, Reason
from rollcall.outputs import Event, Exit, Stream, parse_line, unpack
from rollcall_api.bounded import AgedCache, WeightedCache
from rollcall_api.cluster import Cluster, Object, custom
from rollcall_api.jobs import Member
from rollcall_api.problems import NotFound
from rollcall_api.records import Slice

logger = logging.getLogger(__name__)

RUNNER_CONTAINER: Final = "runner"
LIVE_SECONDS: Final = 0.4
"""How old the picture of a running slice may be."""
LIVE_BYTES: Final = 5 * 1024 * 1024
"""The most that is read of a pod's log at once: more than the operator ever holds before it stores a chunk."""
CHUNKS_BYTES: Final = 24 * 1024 * 1024
"""The most that decoded chunks may take."""
_EVENT_WEIGHT: Final = 250
"""What an event takes besides its data."""
_MARGIN_SECONDS: Final = 2
"""How far before the last stored event the live log is read: the two clocks and their rounding differ."""
_CONCURRENT_READS: Final = 8
_LIVE_PICTURES: Final = 4
_YIELD_EVERY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that a host said, or that is to be said about its output."""

    stream: Stream
    text: str
    time: float


@dataclass(frozen=True, slots=True)
class HostOutput:
    """The output of one host so far; `end` is set when the host has ended and nothing more will come."""

    pieces: tuple[Piece, ...] = ()
    end: Exit | None = None
    end_time: float | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A stored chunk: where it belongs, and who is in it."""

    name: str
    uid: str
    sequence: int
    hosts: frozenset[str]
    last_time: float


@dataclass(frozen=True, slots=True)
class _Picture:
    """A slice's output at one moment: its chunks in order, and the newer events by host."""

    chunks: tuple[_Chunk, ...]
    live: Mapping[str, tuple[Event, ...]]


class Outputs:
    """Reads output, of hosts that have ended and of those at work alike."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._events: WeightedCache[tuple[str, str], tuple[Event, ...]] = WeightedCache(CHUNKS_BYTES)
        self._chunks: WeightedCache[str, _Chunk] = WeightedCache(8 * 1024 * 1024)
        self._finished: WeightedCache[str, _Picture] = WeightedCache(4 * 1024 * 1024)
        self._running: AgedCache[str, _Picture] = AgedCache(LIVE_SECONDS, entries=_LIVE_PICTURES)
        self._reads: AgedCache[str, _Chunk] = AgedCache(0, entries=0)
        self._slots = asyncio.Semaphore(_CONCURRENT_READS)

    async def read(self, member: Member, finished: bool) -> HostOutput:
        """The output of a host; `finished` says that its job has ended. Raises Unavailable."""
        slice_ = member.slice
        if slice_ is None:
            return HostOutput(complete=finished)
        # Done is read before the chunks are: the operator stores all chunks first, so none is missed.
        done = slice_.done
        picture = await (self._picture_done(slice_) if done else self._picture_running(slice_))
        events: dict[int, Event] = {}
        for chunk in picture.chunks:
            if member.name in chunk.hosts:
                events |= {event.seq: event for event in await self._chunk_events(chunk, member.name)}
        for event in picture.live.get(member.name, ()):
            events.setdefault(event.seq, event)
        return assemble(events, member, done)

    async def _picture_done(self, slice_: Slice) -> _Picture:
        known = self._finished.get(slice_.uid)
        if known is None:
            known = _Picture(await self._stored(slice_), {})
            self._finished.put(slice_.uid, known, 200 + sum(map(_chunk_weight, known.chunks)))
        return known

    async def _picture_running(self, slice_: Slice) -> _Picture:
        return await self._running.get(slice_.uid, lambda: self._look(slice_))

    async def _look(self, slice_: Slice) -> _Picture:
        chunks = await self._stored(slice_)
        last = max((chunk.last_time for chunk in chunks), default=None)
        since = None if last is None else datetime.fromtimestamp(int(last) - _MARGIN_SECONDS, UTC)
        text = since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else None
        async with self._slots:
            log = await self._cluster.pod_log(self._namespace, slice_.name, RUNNER_CONTAINER, text, LIVE_BYTES)
            return _Picture(chunks, await _parse_log(log, frozenset(slice_.hosts)))

    async def _stored(self, slice_: Slice) -> tuple[_Chunk, ...]:
        """The slice's chunks in order; those not seen before are read and decoded."""
        path = custom(Kind.JOB_OUTPUT, self._namespace)
        names: list[tuple[str, str]] = []
        async for page in self._cluster.list_metadata(path, labelSelector=f"{LABEL_SLICE}={slice_.name}"):
            names += [(item["metadata"]["name"], item["metadata"]["uid"]) for item in page["items"] or ()]
        chunks = await asyncio.gather(*(self._chunk(name, uid) for name, uid in names))
        return tuple(sorted((chunk for chunk in chunks if chunk is not None), key=lambda chunk: chunk.sequence))

    async def _chunk(self, name: str, uid: str) -> _Chunk | None:
        """What a chunk holds; None when it has been deleted in the meantime."""
        known = self._chunks.get(uid)
        if known is not None:
            return known
        try:
            return await self._reads.get(uid, lambda: self._read_chunk(name))
        except NotFound:
            return None

    async def _chunk_events(self, chunk: _Chunk, host: str) -> tuple[Event, ...]:
        events = self._events.get((chunk.uid, host))
        if events is not None:
            return events
        # Not kept, or no longer: a chunk that outweighs the memory is read again for each reader.
        raw = await self._fetch_chunk(chunk.name)
        return (await self._decode(raw)).get(host, ()) if raw else ()

    async def _fetch_chunk(self, name: str) -> Object | None:
        async with self._slots:
            try:
                return await self._cluster.get(custom(Kind.JOB_OUTPUT, self._namespace, name))
            except NotFound:
                return None

    async def _read_chunk(self, name: str) -> _Chunk:
        raw = await self._fetch_chunk(name)
        if raw is None:
            raise NotFound(name)
        events = await self._decode(raw)
        times = [event.time for of_host in events.values() for event in of_host]
        chunk = _Chunk(
            name=name,
            uid=raw["metadata"]["uid"],
            sequence=int(raw["spec"]["sequence"]),
            hosts=frozenset(events),
            last_time=max(times, default=0.0),
        )
        self._chunks.put(chunk.uid, chunk, _chunk_weight(chunk))
        return chunk

    async def _decode(self, raw: Object) -> dict[str, tuple[Event, ...]]:
        """The chunk's events by host, which are also kept. A chunk that somebody damaged counts as empty."""
        events: dict[str, list[Event]] = {}
        try:
            for event in await asyncio.to_thread(_unpack, raw.get("data") or ""):
                events.setdefault(event.host, []).append(event)
        except ValueError as error:
            logger.warning("output %s cannot be read: %s", raw["metadata"]["name"], type(error).__name__)
            return {}
        kept = {host: tuple(of_host) for host, of_host in events.items()}
        for host, of_host in kept.items():
            self._events.put((raw["metadata"]["uid"], host), of_host, sum(map(_weight, of_host)))
        return kept


def _unpack(data: str) -> list[Event]:
    try:
        packed = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    return list(unpack(packed))


def _weight(event: Event) -> int:
    return _EVENT_WEIGHT + (len(event.data) if isinstance(event.data, bytes) else 0)


def _chunk_weight(chunk: _Chunk) -> int:
    return 300 + 80 * len(chunk.hosts)


async def _parse_log(log: bytes, hosts: frozenset[str]) -> dict[str, tuple[Event, ...]]:
    """The events in a pod's log by host; other lines, and one cut off by the limit, are skipped."""
    events: dict[str, list[Event]] = {}
    for number, line in enumerate(log.split(b"\n")):
        if number % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)  # lets other requests through
        try:
            event = parse_line(line)
        except ValueError:
            continue
        if event.host in hosts:
            events.setdefault(event.host, []).append(event)
    return {host: tuple(of_host) for host, of_host in events.items()}


def assemble(events: Mapping[int, Event], member: Member, done: bool) -> HostOutput:
    """The output that the events of a host make; `done` says that no more will come."""
    pieces: list[Piece] = []
    end: Exit | None = None
    end_time: float | None = None
    expected, time = 0, 0.0
    for seq in sorted(events):
        event = events[seq]
        if seq > expected:
            if not done:
                break
            pieces.append(Piece(Stream.DEBUG, f"[{seq - expected} events of output are missing here]\n", event.time))
        expected, time = seq + 1, event.time
        if isinstance(event.data, Exit):
            end, end_time = event.data, event.time
            break
        pieces.append(_piece(event))
    if end is None and done:
        end, end_time = _end_by_status(member), member.end.time if member.end else None
        end_time = max(end_time or 0.0, time)
    return HostOutput(tuple(pieces), end, end_time, complete=done or end is not None)


def _piece(event: Event) -> Piece:
    if isinstance(event.data, bytes):
        return Piece(event.stream, event.data.decode(errors="replace"), event.time)
    return Piece(Stream.DEBUG, f"[{event.data} bytes of output were cut here]\n", event.time)


def _end_by_status(member: Member) -> Exit | None:
    """How the host ended according to its slice, for one whose runner was gone before it could say so."""
    state, end = member.state, member.end
    if state is None or not state.ended:
        return None
    if end is None:
        return Exit(state, exit_code=0 if state is HostState.SUCCEEDED else None)
    return Exit(
        state,
        exit_code=end.exit_code,
        reason=_reason(end.reason),
        message=end.message,
        start_time=end.time if end.started else None,
    )


def _reason(text: str | None) -> Reason | None:
    try:
        return Reason(text) if text is not None else None
    except ValueError:  # a word of a newer operator
        return None
