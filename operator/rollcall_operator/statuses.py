"""Writing statuses: on condition that nobody else has written meanwhile.

So an operator that has lost the Lease changes nothing. Slices that share an object are written together; what became of
the others there, between the decision and the write, stays as it is.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from rollcall.names import Kind
from rollcall.plan.units import combined, units
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from rollcall.resources.meta import Resource
from rollcall_operator.cluster import Cluster, ConflictError, NotFoundError
from rollcall_operator.side_by_side import side_by_side
from rollcall_operator.store import Key, Store, parse

_SLICES: Final = Kind.JOB_SLICE.plural
_INVOCATIONS: Final = Kind.JOB_INVOCATION.plural

Written = tuple[JobSlice, JobSliceStatus]
"""A slice as it was seen, and the status that it is to have."""
Then = Callable[[Key, Iterable[str]], Awaitable[None]]
"""What is done once the statuses of an invocation's slices, by name, are written."""


class Statuses:
    """Writes the statuses of invocations and slices."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store

    async def write_invocation(self, seen: JobInvocation, status: JobInvocationStatus) -> None:
        """Write a status over the one that was seen. Raises ConflictError when somebody has changed more than labels.

        Labels are set by others, the id among them, while a status is on its way.
        """
        key, version = (seen.metadata.namespace, seen.metadata.name), seen.metadata.resource_version
        while True:
            patch = {"metadata": {"resourceVersion": version}, "status": status.patch(seen.status)}
            try:
                self._store.put(_INVOCATIONS, await self._cluster.merge(_INVOCATIONS, *key, patch, status=True))
                return
            except NotFoundError:
                self._store.forget(_INVOCATIONS, *key)
                raise
            except ConflictError:
                found = await self._cluster.get(_INVOCATIONS, *key)
                self._store.put(_INVOCATIONS, found)
                if not _same_but_labels(parse(_INVOCATIONS, found), seen):
                    raise
                version = found["metadata"]["resourceVersion"]

    async def write_slices(self, statuses: Iterable[Written], then: Then) -> None:
        """Write the statuses of slices, and after each write do what follows from it."""
        shared: defaultdict[Key, list[Written]] = defaultdict(list)
        for slice_, status in statuses:
            shared[slice_.metadata.namespace, slice_.object_name].append((slice_, status))
        await side_by_side(self._write_object(key, written, then) for key, written in shared.items())

    async def _write_object(self, key: Key, written: Sequence[Written], then: Then) -> None:
        """Write the statuses of slices in one object. Raises ConflictError when one of them is not as it was seen."""
        news = {slice_.metadata.name: status for slice_, status in written}
        while True:
            whole = self._store.slice_objects.get(key)
            if whole is None:
                raise NotFoundError(404, "NotFound", f"slice {key[0]}/{key[1]} is gone")
            if not _as_seen(whole, (slice_ for slice_, _ in written)):
                raise ConflictError(409, "Conflict", f"slice {key[0]}/{key[1]} has changed")
            version = {"resourceVersion": whole.metadata.resource_version}
            patch = {"metadata": version, "status": combined(whole, news).patch(whole.status)}
            try:
                self._store.put(_SLICES, await self._cluster.merge(_SLICES, *key, patch, status=True))
                break
            except NotFoundError:
                self._store.forget(_SLICES, *key)
                raise
            except ConflictError:
                if not self._store.put(_SLICES, await self._cluster.get(_SLICES, *key)):
                    raise
        await then((key[0], whole.spec.invocation_ref.name), news)


def _as_seen(whole: JobSlice, seen: Iterable[JobSlice]) -> bool:
    """Whether the slices are in the object as they were seen."""
    now = {slice_.metadata.name: slice_ for slice_ in units(whole)}
    found = ((now.get(slice_.metadata.name), slice_) for slice_ in seen)
    return all(other is not None and _same_but_labels(other, slice_) for other, slice_ in found)


def _same_but_labels(found: Resource, seen: Resource) -> bool:
    """Whether nothing that a decision rests on has changed."""
    deleted = found.metadata.deletion_timestamp is not None
    same_life = found.metadata.uid == seen.metadata.uid and deleted == (seen.metadata.deletion_timestamp is not None)
    unchanged = found.metadata.generation == seen.metadata.generation
    return same_life and unchanged and getattr(found, "status", None) == getattr(seen, "status", None)
