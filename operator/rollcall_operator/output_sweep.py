"""Deletes output that is no longer wanted: what is past its retention, and what its invocation has left behind.

From time to time every store is asked whose output it holds. That list is the only thing that is worked through, so it
does not matter when the operator died: what a deletion missed is found the next time. Output of an unknown invocation
goes when two sweeps in a row have found it, and the API server itself says that there is no such invocation.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rollcall.names import Kind
from rollcall.plan.expiry import output_expires_at
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError
from rollcall_operator.output_store import OutputError, OutputStore, Owner
from rollcall_operator.settings import OutputSettings
from rollcall_operator.store import Store

logger = logging.getLogger(__name__)

_SLICES: Final = Kind.JOB_SLICE.plural
MOST_PER_SWEEP: Final = 1_000
"""The most invocations whose output one sweep deletes from a store; the next goes on."""


class Sweep:
    """Looks through the stores. `installation` names the one whose operator may delete there."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        stores: Sequence[OutputStore],
        settings: OutputSettings,
        namespaces: Sequence[str],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._stores = stores
        self._settings = settings
        self._namespaces = namespaces
        self._unknown: dict[int, set[Owner]] = {}
        """Whose output the last sweep found without knowing them, by store."""

    async def run(self, installation: str) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            for number, output in enumerate(self._stores):
                try:
                    if output.follows_owner or await output.claim(installation):
                        await self._sweep(number, output)
                    else:
                        logger.error("%s is another installation's: nothing is deleted there", output)
                except (OutputError, ClusterError) as error:
                    logger.warning("cannot look for unwanted output in %s: %s", output, error)

    async def _sweep(self, number: int, output: OutputStore) -> None:
        """Delete what is unwanted in one store."""
        if output.follows_owner and self._settings.retention is None:
            return
        unknown: set[Owner] = set()
        unwanted: list[Owner] = []
        async for owner, invocation in self._owners(output):
            if invocation is None:
                unknown.add(owner)
            elif self._expired(invocation):
                unwanted.append(owner)
        if not (output.follows_owner or self._settings.keep_of_deleted):
            unwanted += await self._gone(unknown & self._unknown.get(number, set()))
            self._unknown[number] = unknown
        for owner in unwanted[:MOST_PER_SWEEP]:
            await output.delete(owner)
            logger.info("deleted the output of %s/%s in %s", owner.namespace, owner.name or owner.uid, output)
        if output.follows_owner:
            await self._empty_slices()

    async def _empty_slices(self) -> None:
        """Take the output that is past its retention out of the slices. They go with their invocation by themselves."""
        expired = [key for key, found in self._store.invocations.items() if self._expired(found)]
        for namespace, name in expired:
            slices = self._store.slices.get((namespace, name), {}).values()
            keys = {(namespace, slice_.object_name) for slice_ in slices} & self._store.with_output
            full = [self._store.slice_objects[key] for key in keys]
            for slice_ in full:
                await self._empty(slice_)
            if full:
                logger.info("deleted the output of %s/%s in %d slices", namespace, name, len(full))

    async def _empty(self, slice_: JobSlice) -> None:
        metadata = slice_.metadata
        patch = {"metadata": {"uid": metadata.uid}, "status": {"output": None, "outputs": None}}
        try:
            found = await self._cluster.merge(_SLICES, metadata.namespace, metadata.name, patch, status=True)
        except (NotFoundError, ConflictError):
            return  # gone, or another of that name
        self._store.put(_SLICES, found)

    async def _owners(self, output: OutputStore) -> AsyncIterator[tuple[Owner, JobInvocation | None]]:
        """Whose output a store holds, with the invocation as far as it is known."""
        known = {(found.metadata.namespace, found.metadata.uid): found for found in self._store.invocations.values()}
        async for owner in output.owners(self._namespaces):
            if owner.uid:
                yield owner, known.get((owner.namespace, owner.uid))
            else:
                yield owner, self._store.invocations.get((owner.namespace, owner.name))

    def _expired(self, invocation: JobInvocation) -> bool:
        moment = output_expires_at(invocation, self._settings.retention)
        return moment is not None and moment <= datetime.now(UTC)

    async def _gone(self, candidates: set[Owner]) -> list[Owner]:
        """Those that the API server does not have; one that only this operator cannot read is there all the same."""
        there: set[str] = set()
        for namespace in {owner.namespace for owner in candidates}:
            async for document in self._cluster.list_metadata(Kind.JOB_INVOCATION.plural, namespace):
                there.add(document["metadata"]["uid"])
        return [owner for owner in candidates if owner.uid not in there]
