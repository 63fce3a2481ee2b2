"""Collecting: follow each runner pod's log, store it in chunks, and know what every host has said.

One task per slice at work. It reads the log from its start; after a break, or when the operator comes back, it reads
again from the last time that it holds, and `(host, seq)` tells what is new. A slice is complete when every host has
said its `exit`, or its pod can say no more, and all of it is stored. Only then may its pod go.
"""

import asyncio
import base64
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rollcall.names import LABEL_SLICE, Kind
from rollcall.outputs import Chunk, Event, Exit, Stream, parse_line, unpack
from rollcall.plan.observed import Collected, HostProgress
from rollcall.plan.pods import Pod
from rollcall.resources.jobslice import TAIL_BYTES, JobSlice
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.5
RESTART_SECONDS = 5.0
LAST_ATTEMPTS = 20
"""How often the log of a pod that has ended is asked for while its node does not give it."""
STORE_AFTER_SECONDS = 30.0
"""How long output may wait in memory: the kubelet rotates a log away, and what only memory held dies with us."""


@dataclass
class _Host:
    """What one host has said so far."""

    seq: int
    started: float
    last: float
    exit: Exit | None = None
    kept_bytes: int = 0
    cut_bytes: int = 0
    tail: bytes = b""

    def take(self, event: Event) -> None:
        self.seq, self.last = event.seq, event.time
        match event.stream, event.data:
            case Stream.STDOUT | Stream.STDERR, bytes() as data:
                self.kept_bytes += len(data)
                self.tail = (self.tail + data)[-TAIL_BYTES:]
            case Stream.CUT, int() as count:
                self.cut_bytes += count
            case Stream.EXIT, Exit() as exit_:
                self.exit = exit_

    def progress(self) -> HostProgress:
        return HostProgress(self.started, self.last, self.exit, self.kept_bytes, self.cut_bytes, _tail(self.tail))


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
    chunk: Chunk | None = None
    chunk_begun: float = 0.0
    task: asyncio.Task[None] | None = None

    def snapshot(self) -> Collected:
        """What a decision is made from."""
        return Collected({name: host.progress() for name, host in self.hosts.items()}, self.complete)

    @property
    def all_exited(self) -> bool:
        return sum(host.exit is not None for host in self.hosts.values()) == len(self.slice.spec.hosts)

    def is_new(self, event: Event) -> bool:
        """Whether the event is of this slice and was not taken in before."""
        host = self.hosts.get(event.host)
        return event.host in self.slice.spec.hosts if host is None else event.seq > host.seq

    def take(self, event: Event) -> None:
        host = self.hosts.get(event.host)
        if host is None:
            host = self.hosts[event.host] = _Host(event.seq, event.time, event.time)
        host.take(event)

    def resume_time(self) -> str | None:
        """From when on to read again: before the last event of the host that has been silent longest."""
        if len(self.hosts) < len(self.slice.spec.hosts):
            return None  # a host that has not been heard yet may have spoken at any time
        silent = min((host.last for host in self.hosts.values() if host.exit is None), default=None)
        return None if silent is None else datetime.fromtimestamp(silent - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Collector:
    """Follows the logs of all slices at work."""

    def __init__(self, cluster: Cluster, store: Store, limit_bytes: int, nudge: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._store = store
        self._limit_bytes = limit_bytes
        self._nudge = nudge
        self._collections: defaultdict[Key, dict[str, Collection]] = defaultdict(dict)
        self._stored_bytes: defaultdict[Key, int] = defaultdict(int)
        self._restarted: set[tuple[str, str, str]] = set()

    def collected(self, invocation: Key) -> dict[str, Collected]:
        """What is known of each slice of the invocation that is or was at work in this life of the operator."""
        return {name: found.snapshot() for name, found in self._collections.get(invocation, {}).items()}

    def follow(self, slice_: JobSlice, pod: Pod, *, fresh: bool) -> None:
        """See to it that the pod's output is collected. `fresh`: nothing of it can have been stored before."""
        invocation = (pod.namespace, pod.invocation)
        known = self._collections[invocation]
        fresh = fresh and (*invocation, slice_.metadata.name) not in self._restarted
        if slice_.metadata.name not in known and (pod.container_started or pod.over(datetime.now(UTC))):
            collection = known[slice_.metadata.name] = Collection(slice_)
            collection.task = asyncio.create_task(self._collect(invocation, collection, fresh=fresh))
            collection.task.add_done_callback(lambda task: self._ended(invocation, collection, task))

    def _ended(self, invocation: Key, collection: Collection, task: asyncio.Task[None]) -> None:
        """Begin again, from what is stored, after a failure that nobody foresaw."""
        if task.cancelled() or task.exception() is None:
            return
        name = collection.slice.metadata.name
        logger.error("collecting the output of %s failed, beginning again", name, exc_info=task.exception())
        if self._collections.get(invocation, {}).get(name) is collection:
            asyncio.get_running_loop().call_later(RESTART_SECONDS, self._begin_again, invocation, name)

    def _begin_again(self, invocation: Key, name: str) -> None:
        self._collections.get(invocation, {}).pop(name, None)
        self._restarted.add((*invocation, name))
        self._nudge(invocation)

    def forget(self, invocation: Key) -> None:
        """Stop collecting for an invocation."""
        for collection in self._collections.pop(invocation, {}).values():
            if collection.task is not None:
                collection.task.cancel()
        self._stored_bytes.pop(invocation, None)
        self._restarted = {entry for entry in self._restarted if entry[:2] != invocation}

    async def _collect(self, invocation: Key, collection: Collection, *, fresh: bool) -> None:
        """Collect until nothing more can come."""
        while not fresh:
            try:
                await self._load_stored(invocation, collection)
                break
            except ClusterError as error:
                logger.warning("cannot read the stored output of %s yet: %s", collection.slice.metadata.name, error)
                await asyncio.sleep(RECONNECT_SECONDS)
        since = collection.resume_time() if collection.hosts else None
        attempts = 0
        while not collection.all_exited:
            over = self._is_over(invocation, collection)  # asked before reading: what follows then is all there is
            try:
                await self._read(invocation, collection, since)
            except ClusterError as error:
                attempts = attempts + 1 if over and error.status else 0  # 0: the API server itself is away
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
        await self._store_chunk(invocation, collection)
        collection.complete = True
        self._nudge(invocation)

    def _is_over(self, invocation: Key, collection: Collection) -> bool:
        pod = self._store.pods.get(invocation, {}).get(collection.slice.metadata.name)
        return pod is None or pod.over(datetime.now(UTC))

    async def _read(self, invocation: Key, collection: Collection, since: str | None) -> None:
        """Take in the log's new events as they come, until it ends or every host has said its exit."""
        name = collection.slice.metadata.name
        loop = asyncio.get_running_loop()
        async with aclosing(self._cluster.follow_log(invocation[0], name, manifests.CONTAINER, since)) as lines:
            async for line in lines:
                try:
                    event = parse_line(line)
                except ValueError:
                    continue  # not ours: the interpreter's or the runtime's own words
                if not collection.is_new(event):
                    continue
                event = self._within_limit(invocation, event)
                first_or_last = event.host not in collection.hosts or event.stream == Stream.EXIT
                collection.take(event)
                if collection.chunk is None:
                    collection.chunk, collection.chunk_begun = Chunk(), loop.time()
                collection.chunk.add(event)
                if collection.chunk.full or loop.time() - collection.chunk_begun > STORE_AFTER_SECONDS:
                    await self._store_chunk(invocation, collection)
                if collection.all_exited:
                    return
                if first_or_last:
                    self._nudge(invocation)

    def _within_limit(self, invocation: Key, event: Event) -> Event:
        """The event, or a note of how much was cut, once the invocation has said more than it may."""
        if self._stored_bytes[invocation] < self._limit_bytes or not isinstance(event.data, bytes):
            return event
        return Event(event.host, event.seq, event.time, Stream.CUT, len(event.data))

    async def _store_chunk(self, invocation: Key, collection: Collection) -> None:
        """Store what has been taken in since the last chunk."""
        if collection.chunk is None:
            return
        chunk, collection.chunk = collection.chunk, None
        document = manifests.job_output(collection.slice, collection.sequence, chunk.finish(), chunk.hosts)
        while True:
            try:
                await self._cluster.create(Kind.JOB_OUTPUT.plural, document)
                break
            except ConflictError:
                await self._make_sure(invocation[0], document)
                break
            except ClusterError as error:
                if error.status == 404 or "being terminated" in error.message:
                    break  # the namespace goes away, and all output with it
                logger.warning("cannot store output of %s yet: %s", collection.slice.metadata.name, error)
                await asyncio.sleep(RECONNECT_SECONDS)
        self._stored_bytes[invocation] += len(document["data"])
        collection.sequence += 1

    async def _make_sure(self, namespace: str, document: manifests.Manifest) -> None:
        """See that the chunk of that name is this one, whose answer was lost. Raises ValueError for another's."""
        name, labels = document["metadata"]["name"], document["metadata"]["labels"]
        async for found in self._cluster.list(
            Kind.JOB_OUTPUT.plural, namespace, f"{LABEL_SLICE}={labels[LABEL_SLICE]}"
        ):
            if found["metadata"]["name"] == name and found.get("data") == document["data"]:
                return
        raise ValueError(f"the output chunk {name} was written by somebody else")

    async def _load_stored(self, invocation: Key, collection: Collection) -> None:
        """Learn what an earlier life of the operator has stored."""
        chunks = {}
        selector = f"{LABEL_SLICE}={collection.slice.metadata.name}"
        async for document in self._cluster.list(Kind.JOB_OUTPUT.plural, invocation[0], selector):
            chunks[document["spec"]["sequence"]] = document.get("data", "")
        collection.hosts.clear()
        for sequence in sorted(chunks):
            self._stored_bytes[invocation] += len(chunks[sequence])
            try:
                for event in unpack(base64.b64decode(chunks[sequence])):
                    collection.take(event)
            except ValueError as error:
                logger.error("chunk %d of %s cannot be read: %s", sequence, collection.slice.metadata.name, error)
        collection.sequence = max(chunks, default=-1) + 1
