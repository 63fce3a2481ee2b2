"""What the hosts of a job said: the stored chunks, and while a slice runs also its pod's log.

Both hold the same events, so together they are the output before, during and after the pod's life. Chunks are read one
by one, and only those that hold something of the host and of the time that is asked for. Decoded chunks are kept within
a fixed number of bytes; a live log is read at most twice a second, however many readers ask, and only from where the
chunks end. However much a host has said, no more than a chunk of it is held at a time by whoever reads it in parts.

Chunks are in a store, and a live log is at a node, which the API server asks. A node that does not answer takes nothing
from what is known already: the rest comes when it answers again, or when the operator has stored it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson

from rollcall.outputs import Event, Record, parse_line, unpack_lines
from rollcall_api.access import AWAY_SECONDS
from rollcall_api.bounded import AgedCache, WeightedCache
from rollcall_api.cluster import Cluster
from rollcall_api.jobs import Member
from rollcall_api.output_pieces import Assembly, HostOutput, join, last_bytes, last_lines, later_than, weight
from rollcall_api.output_store import OutputStore, SliceOutputs, Stored
from rollcall_api.problems import Away, Forbidden, Unavailable
from rollcall_api.records import Slice
from rollcall_api.room import Room

logger = logging.getLogger(__name__)

RUNNER_CONTAINER: Final = "runner"
LIVE_SECONDS: Final = 0.4
"""How old the picture of a running slice may be."""
FOLLOW_SECONDS: Final = 0.5
"""How often somebody who follows an output looks for more."""
LIVE_BYTES: Final = 5 * 1024 * 1024
"""The most that is read of a pod's log at once: more than the operator ever holds before it stores a chunk."""
CHUNKS_BYTES: Final = 24 * 1024 * 1024
"""The most that decoded chunks may take."""
WHOLE_BYTES: Final = 1024 * 1024
"""How much of a host's output is put into one piece of memory; what is longer is read in parts."""
_EVENT_WEIGHT: Final = 250
"""What an event takes besides its data."""
_MARGIN_SECONDS: Final = 2
"""How far before the last stored event the live log is read: the two clocks and their rounding differ."""
_CONCURRENT_READS: Final = 8
_CONCURRENT_LOGS: Final = 8
_CONCURRENT_DECODES: Final = 3
_LIVE_PICTURES: Final = 4
_YIELD_EVERY: Final = 2_000
_UNREAD: Final[Record] = {}
"""What is kept of every record, so that none weighs more than an event."""

Events = Mapping[str, tuple[Event, ...]]
"""By host."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A slice's output at one moment: its chunks in order, and the newer events by host."""

    chunks: tuple[Stored, ...]
    live: Events


class Outputs:
    """Reads output, of hosts that have ended and of those at work alike. Everything may raise Unavailable."""

    def __init__(self, cluster: Cluster, namespace: str, stores: Sequence[OutputStore]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._stores = stores
        self._slices = SliceOutputs(cluster, namespace)
        self._events: WeightedCache[tuple[str, str], tuple[Event, ...]] = WeightedCache(CHUNKS_BYTES)
        self._finished: WeightedCache[tuple[str, str], _Picture] = WeightedCache(4 * 1024 * 1024)
        self._running: AgedCache[tuple[str, str], _Picture] = AgedCache(
            LIVE_SECONDS, AWAY_SECONDS, _LIVE_PICTURES, Away
        )
        self._decoding: AgedCache[str, Events] = AgedCache(0, entries=0)
        self._slots = asyncio.Semaphore(_CONCURRENT_READS)
        self._logs = asyncio.Semaphore(_CONCURRENT_LOGS)
        self._decodes = asyncio.Semaphore(_CONCURRENT_DECODES)
        self.room = Room()

    async def read(self, member: Member, finished: bool, since: float | None = None) -> HostOutput:
        """The output of a host, all of it in memory; `finished` says that its job has ended."""
        return join([part async for part in self.parts(member, finished, since)])

    async def whole(
        self, member: Member, finished: bool, since: float | None = None, most: int = WHOLE_BYTES
    ) -> HostOutput | None:
        """As `read` when the output takes no more than so many bytes of memory; None when it is long."""
        begun: list[HostOutput] = []
        size = 0
        async with self.room.reading():
            async for part in self.parts(member, finished, since):
                begun.append(part)
                size += weight(part)
                if size > most:
                    return None
        return join(begun)

    async def long(self, member: Member, finished: bool, since: float | None = None) -> AsyncIterator[HostOutput]:
        """As `parts`, once there is room for a long output; that is kept until the last part has been taken."""
        async with self.room.place():
            async for part in self.parts(member, finished, since):
                yield part

    async def parts(self, member: Member, finished: bool, since: float | None = None) -> AsyncIterator[HostOutput]:
        """The output of a host, a chunk at a time; the last part says how the host ended.

        With `since`, chunks that end before that moment are left out; a part may still begin before it.
        """
        if member.slice is None:
            yield HostOutput(complete=finished)
            return
        assembly = Assembly(0 if since is None else None)
        async for part in self._more(member, member.slice.done, assembly, since):
            yield part

    async def follow(
        self, look: Callable[[], tuple[Member | None, bool]], since: float | None = None
    ) -> AsyncIterator[HostOutput]:
        """The output of a host from before its pod runs to its end, each piece once and within about a second.

        `look` gives the member as it is now, None when it is gone, and whether its job has ended. The last part is
        the complete one. While a store is away, nothing comes.
        """
        assembly, at, begun = Assembly(0 if since is None else None), since, ""
        while True:
            member, finished = look()
            slice_ = member.slice if member else None
            if member is None or (slice_ is None and finished):
                yield HostOutput(complete=True)
                return
            if slice_ is not None and begun and slice_.uid != begun:
                assembly, at = Assembly(), None  # the host is tried again, in another slice
            if slice_ is not None:
                begun = slice_.uid
                async for part in self._patiently(self._more(member, slice_.done, assembly, at)):
                    new = part if since is None else later_than(part, since)
                    if new.pieces or new.complete:
                        yield new
                    if new.complete:
                        return
                at = assembly.time or at
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _patiently(self, parts: AsyncIterator[HostOutput]) -> AsyncIterator[HostOutput]:
        """The parts as far as they can be read now: who follows does not mind that a store is away for a moment."""
        try:
            async for part in parts:
                yield part
        except Unavailable as problem:
            logger.info("somebody who follows an output has to wait: %s", problem)

    async def tail(
        self, member: Member, finished: bool, lines: int | None = None, size: int | None = None
    ) -> HostOutput:
        """The end of a host's output so far: at most so many lines, and bytes of UTF-8."""
        if member.slice is None:
            return HostOutput(complete=finished)
        done = member.slice.done
        picture = await self._picture(member.slice, done)
        live = picture.live.get(member.name, ())
        batches: list[Sequence[Event]] = []
        said, ends = 0, 0
        for stored in reversed(_of(member, picture, None)):
            batches.insert(0, await self._chunk(stored, member.name))
            data = [event.data for event in batches[0] if isinstance(event.data, bytes)]
            said, ends = said + sum(map(len, data)), ends + sum(part.count(b"\n") for part in data)
            if (lines is not None and ends > lines) or (size is not None and said >= size):
                break
        assembly = Assembly(None)
        pieces = [piece for batch in (*batches, live) for piece in assembly.add(batch, done)]
        end = assembly.close(member, done)
        kept = tuple(pieces) if lines is None else last_lines(pieces, lines)
        kept = kept if size is None else last_bytes(kept, size)
        return HostOutput(kept, end.end, end.end_time, end.complete)

    async def _more(
        self, member: Member, done: bool, assembly: Assembly, since: float | None
    ) -> AsyncIterator[HostOutput]:
        """What has been said that is not in the assembly, a chunk at a time, and at last the end if it is known."""
        assert member.slice is not None
        # Done is known before the chunks are listed: the operator stores all of them first, so none is missed.
        picture = await self._picture(member.slice, done)
        for stored in _of(member, picture, since):
            yield HostOutput(assembly.add(await self._chunk(stored, member.name), done))
        if live := picture.live.get(member.name):
            yield HostOutput(assembly.add(live, done))
        yield assembly.close(member, done)

    async def _picture(self, slice_: Slice, done: bool) -> _Picture:
        if not done:
            return await self._running.get(slice_.key, lambda: self._look(slice_))
        known = self._finished.get(slice_.key)
        if known is None:
            known = _Picture(await self._stored(slice_), {})
            self._finished.put(slice_.key, known, 200 + 500 * len(known.chunks))
        return known

    async def _look(self, slice_: Slice) -> _Picture:
        chunks = await self._stored(slice_)
        last = max((stored.contents.last_time for stored in chunks), default=None)
        since = None if last is None else datetime.fromtimestamp(int(last) - _MARGIN_SECONDS, UTC)
        text = since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else None
        async with self._logs:
            try:
                log = await self._cluster.pod_log(self._namespace, slice_.name, RUNNER_CONTAINER, text, LIVE_BYTES)
            except (Unavailable, Forbidden) as problem:
                logger.info("the log of %s cannot be read: %s", slice_.name, problem)
                known = self._running.last(slice_.key)
                return _Picture(chunks, known.live if known else {})
            return _Picture(chunks, await _parse_log(log, frozenset(slice_.hosts)))

    async def _stored(self, slice_: Slice) -> tuple[Stored, ...]:
        """The slice's chunks in order: what it holds itself is all there is, else they are in the stores."""
        if slice_.holds_output:
            return (self._slices.stored(slice_),)
        found = await asyncio.gather(*(store.stored(slice_) for store in self._stores))
        return tuple(sorted((stored for of_store in found for stored in of_store), key=lambda stored: stored.contents))

    async def _chunk(self, stored: Stored, host: str) -> tuple[Event, ...]:
        """What a host said in a chunk. Not kept, or no longer: a chunk that outweighs the memory is read again."""
        events = self._events.get((stored.name, host))
        if events is not None:
            return events
        return (await self._decoding.get(stored.name, lambda: self._decode(stored))).get(host, ())

    async def _decode(self, stored: Stored) -> Events:
        """The chunk's events by host, which are also kept. A chunk that is gone or damaged counts as empty."""
        async with self._slots:
            packed = await stored.store.read(stored.place)
        if packed is None:
            return {}
        async with self._decodes:
            try:
                events = await asyncio.to_thread(_unpack, packed)
            except ValueError as error:
                logger.warning("output %s cannot be read: %s", stored.place, type(error).__name__)
                return {}
        for host, of_host in events.items():
            self._events.put((stored.name, host), of_host, sum(map(_weight, of_host)))
        return events


def _of(member: Member, picture: _Picture, since: float | None) -> list[Stored]:
    """The chunks that hold something of the host, those left out that end well before the moment.

    The last one is never left out: it tells whether the live log goes on from there.
    """
    assert member.slice is not None
    place = member.slice.hosts.index(member.name)
    mine = [stored for stored in picture.chunks if stored.contents.holds(place)]
    begin = 0.0 if since is None else since - _MARGIN_SECONDS
    return [stored for stored in mine if stored is mine[-1] or stored.contents.last_time >= begin]


def _unpack(packed: bytes) -> Events:
    events: dict[str, list[Event]] = {}
    for line in unpack_lines(packed):
        event = _parse(line)
        events.setdefault(event.host, []).append(event)
    return {host: tuple(of_host) for host, of_host in events.items()}


def _parse(line: bytes) -> Event:
    """The event in a line; of a record only that there is one, since output shows none. Raises ValueError."""
    event = parse_line(line, orjson.loads)
    return replace(event, data=_UNREAD) if isinstance(event.data, dict) else event


def _weight(event: Event) -> int:
    return _EVENT_WEIGHT + (len(event.data) if isinstance(event.data, bytes) else 0)


async def _parse_log(log: bytes, hosts: frozenset[str]) -> Events:
    """The events in a pod's log by host; other lines, and one cut off by the limit, are skipped."""
    events: dict[str, list[Event]] = {}
    for number, line in enumerate(log.split(b"\n")):
        if number % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)  # lets other requests through
        try:
            event = _parse(line)
        except ValueError:
            continue
        if event.host in hosts:
            events.setdefault(event.host, []).append(event)
    return {host: tuple(of_host) for host, of_host in events.items()}
