"""Writes the status of Inventories: how many hosts each has, and what is wrong with it.

Any Host that changes may change any inventory of its namespace. They are looked at together, a while after the first
change, and written only where something is new: ten thousand Hosts that are applied at once cost a few writes.
"""

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import Final

from rollcall.names import Kind
from rollcall.plan.inventories import status_of
from rollcall.resources.inventory import Inventory, InventoryStatus
from rollcall_operator.cluster import Cluster, ClusterError, NotFoundError
from rollcall_operator.store import Store

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.5
"""How long changes are waited for that come with the first."""
REST_SECONDS: Final = 2.0
"""How long at least between two looks."""
REST: Final = 4
"""How many times as long as a look took to rest after it: jobs come first."""
ANEW_SECONDS: Final = 60.0
"""After what time all queries are asked again: some ask for the time that has passed."""


class Inventories:
    """Looks after the inventories of all namespaces."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._changed: set[str] = set()
        self._arrived = asyncio.Event()

    def notice(self, namespace: str) -> None:
        """Learn that a Host or an Inventory of the namespace has changed."""
        self._changed.add(namespace)
        self._arrived.set()

    async def run(self) -> None:
        """Keep the statuses true, for ever."""
        anew = time.monotonic() + ANEW_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(anew - time.monotonic()):
                    await self._arrived.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            if time.monotonic() >= anew:
                self._changed.update(self._store.inventories)
                anew = time.monotonic() + ANEW_SECONDS
            self._arrived.clear()
            namespaces, self._changed = self._changed, set()
            thought = 0.0
            for namespace in namespaces:
                thought += await self._look_at(namespace)
            await asyncio.sleep(max(REST_SECONDS, REST * thought))

    async def _look_at(self, namespace: str) -> float:
        """Judge the inventories of a namespace; returns how long it took to think, in seconds."""
        thought = 0.0
        for name in list(self._store.inventories.get(namespace, ())):
            inventory = self._store.inventories[namespace].get(name)
            if isinstance(inventory, Inventory):
                begun = time.perf_counter()
                status = self._judged(inventory)
                thought += time.perf_counter() - begun
                if status != inventory.status:
                    await self._write(inventory, status)
                await asyncio.sleep(0)  # one takes tens of milliseconds with many hosts
        return thought

    def _judged(self, inventory: Inventory) -> InventoryStatus:
        """The status that the inventory should have; the one that it has where that cannot be told."""
        metadata = inventory.metadata
        try:
            return status_of(inventory, self._store.fleet(metadata.namespace), datetime.now(UTC))
        except Exception:
            # Anybody may write one: what nobody has thought of in it must not end the operator, nor stop jobs.
            logger.exception("cannot judge Inventory %s/%s", metadata.namespace, metadata.name)
            return inventory.status

    async def _write(self, inventory: Inventory, status: InventoryStatus) -> None:
        namespace, name = inventory.metadata.namespace, inventory.metadata.name
        written = status.wire()
        patch = {"status": {**written, "hosts": written.get("hosts")}}  # null takes a count away that is not known
        plural = Kind.INVENTORY.plural
        try:
            self._store.put(plural, await self._cluster.merge(plural, namespace, name, patch, status=True))
        except NotFoundError:
            self._store.forget(plural, namespace, name)
        except ClusterError as error:
            logger.warning("cannot write the status of Inventory %s/%s yet: %s", namespace, name, error)
            self.notice(namespace)
