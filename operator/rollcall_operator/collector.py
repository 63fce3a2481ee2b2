"""Collecting: follow each runner pod's log, store it in chunks, and know what every host has said.

One task per slice at work. A log costs the API server more than most of them are worth: a pod that ends soon, and whose
last words hold all that it has said, is taken at those. Else the task reads the log from its start; after a break, or
when the operator comes back, it reads again from the last time that it holds, and `(host, seq)` tells what is new. A
slice is complete when every host has said its `exit`, or its pod can say no more, and all of it is stored, or goes into
the slice's status with the results because it is little. Only then may its pod go.

While the store does not take a chunk, the log is not read on: what waits in memory is bounded, the rest waits in the
node's log files.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final

import orjson

from rollcall.lastwords import whole_output
from rollcall.outputkeys import Contents
from rollcall.outputs import MAX_LINE_BYTES, Chunk, Stream, parse_line
from rollcall.plan.observed import Collected
from rollcall.plan.pods import Pod
from rollcall.resources.jobslice import JobSlice
from rollcall_operator import manifests
from rollcall_operator.cluster import TOO_MANY, Cluster, ClusterError
from rollcall_operator.collection import Collection
from rollcall_operator.output_keeper import Keeper
from rollcall_operator.output_limit import OutputLimits
from rollcall_operator.output_store import open_store
from rollcall_operator.settings import Settings
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

FOLLOW_AFTER_SECONDS: Final = 1.0
"""How long a pod may run before its log is followed. Nobody waits for it: the facade reads the log by itself."""
RECONNECT_SECONDS: Final = 0.5
RESTART_SECONDS: Final = 5.0
LAST_ATTEMPTS: Final = 20
"""How often the log of a pod that has ended is asked for while its node does not give it."""
STORE_AFTER_SECONDS: Final = 30.0
"""How long output may wait in memory: the kubelet rotates a log away, and what only memory held dies with us."""
SILENT_SECONDS: Final = 300.0
"""How long nothing may come before a log is asked for anew: its connection may have been forgotten on the way."""


class Collector:
    """Follows the logs of all slices at work."""

    def __init__(self, cluster: Cluster, store: Store, settings: Settings, nudge: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._store = store
        self._nudge = nudge
        stores = [open_store(address, cluster) for address in settings.output.stores]
        self._keeper = Keeper(cluster, stores, settings.identity)
        self._limits = OutputLimits(store, settings.output_limit_bytes_per_invocation)
        self._collections: defaultdict[Key, dict[str, Collection]] = defaultdict(dict)
        self._restarted: set[tuple[str, str, str]] = set()

    def collected(self, invocation: Key, slices: Iterable[str]) -> dict[str, Collected]:
        """What is known of those of the slices that are or were at work in this life of the operator.

        They are the slices that are not done; the others are forgotten.
        """
        known = self._collections.get(invocation, {})
        wanted = {name: known[name] for name in slices if name in known}
        if len(wanted) < len(known):
            self._collections[invocation] = wanted
        return {name: found.snapshot() for name, found in wanted.items()}

    def exceeded(self, invocation: Key) -> bool:
        """Whether the hosts of the invocation have said more, together, than it may, and are to be stopped for it."""
        return self._limits.exceeded(invocation)

    def follow(self, slice_: JobSlice, pod: Pod, *, fresh: bool) -> None:
        """See to it that the pod's output is collected. `fresh`: nothing of it can have been stored before."""
        invocation = (pod.namespace, pod.invocation)
        known = self._collections[invocation]
        fresh = fresh and (*invocation, slice_.metadata.name) not in self._restarted
        over = pod.over(datetime.now(UTC))
        if slice_.metadata.name not in known and (pod.container_started or over):
            collection = known[slice_.metadata.name] = Collection(slice_)
            collection.task = asyncio.create_task(self._collect(invocation, collection, fresh=fresh))
            collection.task.add_done_callback(lambda task: self._ended(invocation, collection, task))
        if over and slice_.metadata.name in known:
            known[slice_.metadata.name].pod_over.set()

    def _ended(self, invocation: Key, collection: Collection, task: asyncio.Task[None]) -> None:
        """Begin again, from what is stored, after a failure that nobody foresaw."""
        if task.cancelled() or task.exception() is None:
            return
        name = collection.slice.metadata.name
        logger.error("collecting the output of %s failed, beginning again", name, exc_info=task.exception())
        if self._collections.get(invocation, {}).get(name) is collection:
            asyncio.get_running_loop().call_later(RESTART_SECONDS, self._begin_again, invocation, name)

    def _begin_again(self, invocation: Key, name: str) -> None:
        collection = self._collections.get(invocation, {}).pop(name, None)
        if collection is not None:
            self._limits.count(invocation, -collection.kept_bytes, -collection.stored_bytes)
        self._restarted.add((*invocation, name))
        self._nudge(invocation)

    def forget(self, invocation: Key) -> None:
        """Stop collecting for an invocation."""
        for collection in self._collections.pop(invocation, {}).values():
            if collection.task is not None:
                collection.task.cancel()
        self._limits.forget(invocation)
        self._restarted = {entry for entry in self._restarted if entry[:2] != invocation}

    async def _collect(self, invocation: Key, collection: Collection, *, fresh: bool) -> None:
        """Collect until nothing more can come."""
        follow_at = asyncio.get_running_loop().time() + FOLLOW_AFTER_SECONDS
        if not fresh:
            await self._load_stored(invocation, collection)
        if not collection.hosts:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(follow_at):
                    await collection.pod_over.wait()
        since = collection.resume_time() if collection.hosts else None
        attempts = 0
        while not collection.all_exited:
            over = self._is_over(invocation, collection)  # asked before reading: what follows then is all there is
            if over and await self._take_last_words(invocation, collection):
                break
            try:
                await self._read(invocation, collection, since)
            except ClusterError as error:
                # 0: the API server itself is away; 429: it has too much to do.
                attempts = attempts + 1 if over and error.status not in (0, TOO_MANY) else 0
                # 400: the container never ran. 404 means nothing before the end: a kubelet says so while it starts.
                if over and (error.status in (400, 404) or attempts >= LAST_ATTEMPTS):
                    break
                logger.info("the log of %s broke off, reading on: %s", collection.slice.metadata.name, error)
                over = False
            if over:
                break
            since = collection.resume_time()
            if not self._is_over(invocation, collection) or attempts:
                await asyncio.sleep(RECONNECT_SECONDS)
        await self._keep_rest(invocation, collection)
        if collection.sequence:
            collection.place = self._keeper.place(collection.slice, collection.sequence)
        collection.complete = True
        self._nudge(invocation)

    def _pod(self, invocation: Key, collection: Collection) -> Pod | None:
        return self._store.pods.get(invocation, {}).get(collection.slice.metadata.name)

    def _is_over(self, invocation: Key, collection: Collection) -> bool:
        pod = self._pod(invocation, collection)
        return pod is None or pod.over(datetime.now(UTC))

    async def _take_last_words(self, invocation: Key, collection: Collection) -> bool:
        """Take in all that the pod has said from its last words; False when they do not hold it."""
        pod, slice_ = self._pod(invocation, collection), collection.slice
        if pod is None or not pod.last_words or pod.owner != slice_.metadata.uid:
            return False
        try:
            lines = whole_output(pod.last_words, slice_.spec.hosts, orjson.loads)
        except ValueError as error:
            logger.debug("the log of %s is read: %s", slice_.metadata.name, error)
            return False
        await self._take(invocation, collection, lines)
        return collection.all_exited

    async def _read(self, invocation: Key, collection: Collection, since: str | None) -> None:
        """Take in the log's new events as they come, until it ends or every host has said its exit."""
        name = collection.slice.metadata.name
        loop = asyncio.get_running_loop()
        heard = loop.time()
        async with (
            aclosing(self._cluster.follow_log(invocation[0], name, manifests.CONTAINER, since)) as batches,
            aclosing(_with_pauses(batches, STORE_AFTER_SECONDS)) as paced,
        ):
            async for lines in paced:
                if lines:
                    heard = loop.time()
                elif self._is_over(invocation, collection) or loop.time() - heard > SILENT_SECONDS:
                    # The log of a pod that has ended does not pause. Other silence may be the hosts' own.
                    raise ClusterError(504, "Silent", "nothing came for a while")
                news = await self._take(invocation, collection, lines)
                if collection.chunk is not None and loop.time() - collection.chunk_begun > STORE_AFTER_SECONDS:
                    await self._store_chunk(invocation, collection)
                if collection.all_exited:
                    return
                if news:
                    self._nudge(invocation)

    async def _take(self, invocation: Key, collection: Collection, lines: Sequence[bytes]) -> bool:
        """Take in those lines that are new events; True when a decision may follow from them."""
        news = False
        for line in lines:
            if len(line) > MAX_LINE_BYTES:
                continue
            try:
                said = parse_line(line, orjson.loads)
            except ValueError:
                continue  # not ours: the interpreter's or the runtime's own words
            if not collection.is_new(said):
                continue
            event = self._limits.within(invocation, said)
            news |= collection.take(event) or (event is not said and event.stream is Stream.CUT)
            if collection.chunk is None:
                collection.chunk, collection.chunk_begun = Chunk(), asyncio.get_running_loop().time()
            collection.chunk.add(event, line if event is said else None)
            if collection.chunk.ripe:
                await asyncio.to_thread(collection.chunk.pack)
            if collection.chunk.full:
                await self._store_chunk(invocation, collection)
        return news

    async def _store_chunk(self, invocation: Key, collection: Collection) -> None:
        """Store what has been taken in since the last chunk."""
        if collection.chunk is None:
            return
        chunk, collection.chunk = collection.chunk, None
        data = chunk.finish() if chunk.small else await asyncio.to_thread(chunk.finish)
        await self._store_packed(invocation, collection, chunk, data)

    async def _keep_rest(self, invocation: Key, collection: Collection) -> None:
        """Store what is left at the end, or leave it to the slice's status when it is little and the only chunk."""
        if collection.chunk is None:
            return
        chunk, collection.chunk = collection.chunk, None
        data = chunk.finish() if chunk.small else await asyncio.to_thread(chunk.finish)
        if collection.sequence or not self._keeper.fits_into(collection.slice, len(data)):
            await self._store_packed(invocation, collection, chunk, data)
        else:
            collection.output = data
            self._count(invocation, collection, data)

    async def _store_packed(self, invocation: Key, collection: Collection, chunk: Chunk, data: bytes) -> None:
        contents = Contents.of(collection.sequence, chunk.hosts, len(data), collection.slice.spec.hosts)
        await self._keeper.put(collection.slice, contents, chunk.hosts, data)
        self._count(invocation, collection, data)
        collection.sequence += 1

    def _count(self, invocation: Key, collection: Collection, data: bytes) -> None:
        self._limits.count(invocation, 0, len(data))
        collection.stored_bytes += len(data)

    async def _load_stored(self, invocation: Key, collection: Collection) -> None:
        """Learn what an earlier life of the operator has stored."""
        collection.forget()
        for entry in await self._keeper.stored(collection.slice):
            contents = entry[1].contents
            for event in await self._keeper.events(collection.slice, entry):
                if collection.is_new(event):
                    collection.take(event)
            collection.sequence = contents.sequence + 1
            collection.stored_bytes += contents.size
        self._limits.count(invocation, collection.kept_bytes, collection.stored_bytes)


async def _with_pauses(batches: AsyncGenerator[Sequence[bytes]], seconds: float) -> AsyncGenerator[Sequence[bytes]]:
    """The batches, and an empty one whenever none has come for so many seconds."""
    coming: asyncio.Future[Sequence[bytes] | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(batches, None))
            await asyncio.wait({coming}, timeout=seconds)
            if not coming.done():
                yield ()
                continue
            batch, coming = coming.result(), None
            if batch is None:
                return
            yield batch
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
