"""Where the facade finds stored output: JobOutput objects in the cluster, files, or objects in an object store.

Each says of its chunks, without opening them, what they hold. Little output is in the slice itself, as its only chunk.
Nothing is ever written here.
"""

import base64
import binascii
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rollcall.names import ANNOTATION_CHUNK, LABEL_SLICE, Kind
from rollcall.outputkeys import Contents, StoreAddress, StoreKind
from rollcall_api.cluster import Cluster, Object, custom
from rollcall_api.problems import Expired, Forbidden, NotFound, Unavailable
from rollcall_api.records import Slice

logger = logging.getLogger(__name__)

_LATEST: Final = 10**18 - 1
"""Later, in µs since 1970, than any event."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk in a store. No two chunks of a store ever have the same name."""

    store: "Chunks"
    contents: Contents
    name: str
    place: str
    """By which the store finds it."""


class Chunks(Protocol):
    """Reads chunks. Raises Unavailable while it cannot."""

    async def read(self, place: str) -> bytes | None:
        """A chunk's bytes; None when it is gone, or was damaged."""


class OutputStore(Chunks, Protocol):
    """Finds chunks and reads them. Raises Unavailable while it cannot."""

    async def stored(self, slice_: Slice) -> Sequence[Stored]:
        """What is kept of a slice, in any order."""


class ClusterOutputs:
    """The JobOutput objects of a namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def stored(self, slice_: Slice) -> Sequence[Stored]:
        found: list[Stored] = []
        path = custom(Kind.JOB_OUTPUT, self._namespace)
        with _asked_for_oneself():
            async for page in self._cluster.list_metadata(path, labelSelector=f"{LABEL_SLICE}={slice_.name}"):
                found += [stored for item in page["items"] or () if (stored := self._known(item["metadata"], slice_))]
        return found

    def _known(self, metadata: Object, slice_: Slice) -> Stored | None:
        """The slice's chunk of that metadata; None for what no operator has made of this slice."""
        try:
            contents = Contents.parse((metadata.get("annotations") or {}).get(ANNOTATION_CHUNK, ""))
        except ValueError:
            return None
        is_own = any(owner["uid"] == slice_.uid for owner in metadata.get("ownerReferences") or ())
        return Stored(self, contents, metadata["uid"], metadata["name"]) if is_own else None

    async def read(self, place: str) -> bytes | None:
        try:
            with _asked_for_oneself():
                raw = await self._cluster.get(custom(Kind.JOB_OUTPUT, self._namespace, place))
        except NotFound:
            return None
        return _decoded(raw.get("data") or "", place)


class SliceOutputs:
    """The output in the status of slices that say that they hold it. It is all of their output."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def stored(self, slice_: Slice) -> Stored:
        """The slice's output as a chunk that may hold events of every host, of any time."""
        every = (1 << len(slice_.hosts)) - 1
        host = "" if slice_.shared is None else slice_.hosts[0]
        place = f"{slice_.shared or slice_.name}/{slice_.uid}/{host}"
        return Stored(self, Contents(0, 0, _LATEST, 0, every), f"{slice_.uid}/{host}", place)

    async def read(self, place: str) -> bytes | None:
        name, uid, host = place.split("/")
        try:
            with _asked_for_oneself():
                raw = await self._cluster.get(custom(Kind.JOB_SLICE, self._namespace, name))
        except NotFound:
            return None
        status = raw.get("status") or {}
        output = (status.get("outputs") or {}).get(host) if host else status.get("output")
        return _decoded(output, place) if output and raw["metadata"]["uid"] == uid else None


@contextmanager
def _asked_for_oneself() -> Iterator[None]:
    """The facade reads output in its own name: what it may not do is nothing that the requester could change."""
    try:
        yield
    except (Forbidden, Expired) as problem:
        raise Unavailable(f"the facade cannot read the output: {problem}") from problem


def _decoded(text: str, place: str) -> bytes | None:
    """The bytes that an object holds in base64; None where they are damaged."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        logger.warning("output %s is not base64", place)
        return None


def open_stores(addresses: Sequence[StoreAddress], cluster: Cluster, namespace: str) -> tuple[OutputStore, ...]:
    """The stores of those addresses, and the cluster in any case."""
    stores: list[OutputStore] = [ClusterOutputs(cluster, namespace)]
    for address in dict.fromkeys(addresses):
        if address.kind != StoreKind.CLUSTER:
            from rollcall_api.output_objects import ObjectOutputs  # noqa: PLC0415 - a library that most do not need

            stores.append(ObjectOutputs(address, namespace))
    return tuple(stores)
