"""Where the operator keeps output: what a store can do, and the store inside the cluster: JobOutput objects."""

import base64
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rollcall.names import ANNOTATION_CHUNK, LABEL_INVOCATION, LABEL_SLICE, Kind
from rollcall.outputkeys import Contents, StoreAddress, StoreKind
from rollcall.outputs import Span
from rollcall.resources.jobslice import JobSlice
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError

logger = logging.getLogger(__name__)

_OUTPUTS = Kind.JOB_OUTPUT.plural


class OutputError(Exception):
    """A store does not do what it was asked; later it may. The message holds no credentials."""


class UnwantedError(OutputError):
    """The namespace goes away, and all output with it."""


class TakenError(OutputError):
    """The chunk's place is taken by one that somebody else wrote."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk in a store, by which the store finds it again."""

    contents: Contents
    name: str


@dataclass(frozen=True, slots=True)
class Owner:
    """An invocation that a store holds output of: what the store knows of it, its name or its uid."""

    namespace: str
    name: str = ""
    uid: str = ""


class OutputStore(Protocol):
    """Keeps chunks of output. Everything may be done twice; everything may raise OutputError."""

    async def put(self, slice_: JobSlice, contents: Contents, spans: Mapping[str, Span], data: bytes) -> None:
        """Keep a chunk. Raises TakenError, UnwantedError."""

    async def stored(self, slice_: JobSlice) -> list[Stored]:
        """What is kept of a slice, in the order of the chunks' places."""

    async def get(self, slice_: JobSlice, stored: Stored) -> bytes | None:
        """A chunk's bytes; None when it is gone."""

    def owners(self, namespaces: Sequence[str]) -> AsyncIterator[Owner]:
        """The invocations of those namespaces, or all, of which something is kept."""

    async def delete(self, owner: Owner) -> None:
        """Delete all output of an invocation."""

    async def claim(self, installation: str) -> bool:
        """Whether what is kept here is this installation's to delete; a store that is nobody's becomes so."""

    def place(self, slice_: JobSlice, count: int) -> str:
        """Where a slice's chunks are, of which there are so many, in words that show no credentials."""

    @property
    def follows_owner(self) -> bool:
        """Whether output goes away with its invocation by itself."""


class ClusterOutputs:
    """Keeps output in JobOutput objects, which the garbage collector takes away with their slice."""

    follows_owner = True

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __str__(self) -> str:
        return StoreKind.CLUSTER.value

    async def put(self, slice_: JobSlice, contents: Contents, spans: Mapping[str, Span], data: bytes) -> None:
        document = manifests.job_output(slice_, contents, data, spans)
        try:
            await self._cluster.create(_OUTPUTS, document)
        except ConflictError:
            await self._make_sure(document)
        except ClusterError as error:
            if error.status == 404 or "being terminated" in error.message:
                raise UnwantedError(str(error)) from error
            raise OutputError(str(error)) from error

    async def _make_sure(self, document: manifests.Manifest) -> None:
        """See that the chunk of that name is this one, whose answer was lost."""
        metadata = document["metadata"]
        try:
            found = await self._cluster.get(_OUTPUTS, metadata["namespace"], metadata["name"])
        except ClusterError as error:
            raise OutputError(str(error)) from error
        if found.get("data") != document["data"]:
            raise TakenError(f"the output chunk {metadata['name']} was written by somebody else")

    async def stored(self, slice_: JobSlice) -> list[Stored]:
        selector = f"{LABEL_SLICE}={slice_.metadata.name}"
        found = []
        async for metadata in self._metadata(slice_.metadata.namespace, selector):
            contents = _contents(metadata)
            mine = any(owner["uid"] == slice_.metadata.uid for owner in metadata.get("ownerReferences") or ())
            if contents is not None and mine:
                found.append(Stored(contents, metadata["name"]))
        return sorted(found, key=lambda stored: stored.contents)

    def place(self, slice_: JobSlice, count: int) -> str:
        return f"{count} JobOutputs: kubectl get jo -l {LABEL_SLICE}={slice_.metadata.name}"

    async def get(self, slice_: JobSlice, stored: Stored) -> bytes | None:
        try:
            document = await self._cluster.get(_OUTPUTS, slice_.metadata.namespace, stored.name)
        except NotFoundError:
            return None
        except ClusterError as error:
            raise OutputError(str(error)) from error
        return base64.b64decode(document.get("data") or "")

    async def owners(self, namespaces: Sequence[str]) -> AsyncIterator[Owner]:
        for namespace in namespaces or (None,):
            seen: set[Owner] = set()
            async for metadata in self._metadata(namespace, LABEL_INVOCATION):
                owner = Owner(metadata["namespace"], name=metadata["labels"][LABEL_INVOCATION])
                if owner not in seen:
                    seen.add(owner)
                    yield owner

    async def delete(self, owner: Owner) -> None:
        try:
            await self._cluster.delete_all(_OUTPUTS, owner.namespace, f"{LABEL_INVOCATION}={owner.name}")
        except ClusterError as error:
            raise OutputError(str(error)) from error

    async def claim(self, installation: str) -> bool:  # noqa: ARG002 - objects belong to their namespace's operator
        return True

    async def _metadata(self, namespace: str | None, selector: str) -> AsyncIterator[manifests.Manifest]:
        try:
            async for document in self._cluster.list_metadata(_OUTPUTS, namespace, selector):
                yield document["metadata"]
        except ClusterError as error:
            raise OutputError(str(error)) from error


def _contents(metadata: manifests.Manifest) -> Contents | None:
    """What the object says that it holds; None for one that is not ours."""
    try:
        return Contents.parse((metadata.get("annotations") or {}).get(ANNOTATION_CHUNK, ""))
    except ValueError:
        logger.warning("the JobOutput %s/%s does not say what it holds", metadata["namespace"], metadata["name"])
        return None


def open_store(address: StoreAddress, cluster: Cluster) -> OutputStore:
    """The store of that address."""
    if address.kind == StoreKind.CLUSTER:
        return ClusterOutputs(cluster)
    from rollcall_operator.output_objects import ObjectOutputs  # noqa: PLC0415 - a library that most do not need

    return ObjectOutputs(address)
