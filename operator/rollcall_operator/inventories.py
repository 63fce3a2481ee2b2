"""Writes the status of Inventories: how many hosts each has, and what is wrong with it.

Any Host that changes may change any inventory of its namespace. They are looked at together, a while after the first
change, and written only where something is new: ten thousand Hosts that are applied at once cost a few writes.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from rollcall.names import Kind
from rollcall.plan.inventories import status_of
from rollcall.resources.inventory import Inventory
from rollcall_operator.cluster import Cluster, ClusterError, NotFoundError
from rollcall_operator.store import Store

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.5
"""How long changes are waited for that come with the first."""
REST_SECONDS: Final = 2.0
"""How long at least between two looks."""
ANEW_SECONDS: Final = 60.0
"""After what time without a change queries are asked again: some ask for the time that has passed."""


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
        while True:
            try:
                await asyncio.wait_for(self._arrived.wait(), ANEW_SECONDS)
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                self._changed.update(self._store.inventories)
            self._arrived.clear()
            namespaces, self._changed = self._changed, set()
            for namespace in namespaces:
                await self._look_at(namespace)
            await asyncio.sleep(REST_SECONDS)

    async def _look_at(self, namespace: str) -> None:
        for name in list(self._store.inventories.get(namespace, ())):
            inventory = self._store.inventories[namespace].get(name)
            if isinstance(inventory, Inventory):
                await self._judge(inventory)
                await asyncio.sleep(0)  # one takes tens of milliseconds with many hosts

    async def _judge(self, inventory: Inventory) -> None:
        """Write the inventory's status if it does not say what is true."""
        namespace, name = inventory.metadata.namespace, inventory.metadata.name
        status = status_of(inventory, self._store.fleet(namespace), datetime.now(UTC))
        if status == inventory.status:
            return
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
