"""Puts output into its store, for as long as it takes, and reads back what earlier lives of the operator have stored.

New output goes to one store; what there is already may be in any of those that are read, also when the setting was
changed in the middle of a run. Where a chunk is in two of them, or was written twice, `(host, seq)` tells.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from rollcall.names import Reason
from rollcall.outputkeys import Contents
from rollcall.outputs import Event, Span, parse_line, unpack_lines
from rollcall.plan.observed import Note
from rollcall.resources.jobslice import JobSlice
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError
from rollcall_operator.output_store import OutputError, OutputStore, Stored, TakenError, UnwantedError

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = (0.5, 1, 2, 5)
"""How long to wait after the first, second, ... failure in a row."""
TELL_AFTER: Final = 4
"""After how many failures in a row people are told, by an Event."""
_READ_AT_ONCE: Final = 4
"""How many chunks may be in memory, unpacked, when the operator starts."""


class Keeper:
    """Keeps output in the first of its stores, and finds it in any. `identity` is who its Events come from."""

    def __init__(self, cluster: Cluster, stores: Sequence[OutputStore], identity: str) -> None:
        self._cluster = cluster
        self._stores = stores
        self._identity = identity
        self._slots = asyncio.Semaphore(_READ_AT_ONCE)

    def fits_into(self, slice_: JobSlice, size: int) -> bool:
        """Whether so many bytes are kept in the slice, if they are all of its output, rather than in the store.

        Whoever keeps output outside of the cluster wants all of it there.
        """
        return size <= slice_.most_output and self._stores[0].follows_owner

    def place(self, slice_: JobSlice, count: int) -> str:
        """Where a slice's output is, in words, that takes so many chunks."""
        return self._stores[0].place(slice_, count)

    async def put(self, slice_: JobSlice, contents: Contents, spans: Mapping[str, Span], data: bytes) -> None:
        """Store a chunk, however often that has to be tried. Raises TakenError when another has its place."""

        async def once() -> None:
            await self._stores[0].put(slice_, contents, spans, data)

        try:
            await self._insist(slice_, once)
        except UnwantedError as error:
            logger.info("output of %s is not wanted any more: %s", slice_.metadata.name, error)

    async def stored(self, slice_: JobSlice) -> list[tuple[OutputStore, Stored]]:
        """What is stored of a slice, by its place; where stores differ, all of it."""
        found: list[tuple[OutputStore, Stored]] = []

        async def once() -> None:
            found[:] = [(store, stored) for store in self._stores for stored in await store.stored(slice_)]

        await self._insist(slice_, once)
        return sorted(found, key=lambda entry: entry[1].contents)

    async def events(self, slice_: JobSlice, entry: tuple[OutputStore, Stored]) -> Sequence[Event]:
        """The events of a stored chunk. One that cannot be read is a hole, which readers are shown."""
        store, stored = entry
        raw: list[bytes | None] = []

        async def once() -> None:
            raw.append(await store.get(slice_, stored))

        async with self._slots:
            await self._insist(slice_, once)
            if raw[-1] is None:
                return ()
            try:
                return await asyncio.to_thread(_decode, raw[-1])
            except ValueError as error:
                logger.error("chunk %s cannot be read: %s", stored.name, error)
                return ()

    async def _insist(self, slice_: JobSlice, once: Callable[[], Awaitable[None]]) -> None:
        """Do something until the store has done it."""
        failures = 0
        while True:
            try:
                return await once()
            except (TakenError, UnwantedError):
                raise
            except OutputError as error:
                failures += 1
                logger.warning("output of %s has to wait: %s", slice_.metadata.name, error)
                if failures == TELL_AFTER:
                    await self._tell(slice_, str(error))
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])

    async def _tell(self, slice_: JobSlice, message: str) -> None:
        note = Note(Reason.OUTPUT_NOT_STORED, message, warning=True)
        try:
            await self._cluster.create("events", manifests.event(slice_, note, self._identity, datetime.now(UTC)))
        except ClusterError as error:
            logger.warning("no event about %s: %s", slice_.metadata.name, error)


def _decode(packed: bytes) -> list[Event]:
    return [parse_line(line, orjson.loads) for line in unpack_lines(packed)]
