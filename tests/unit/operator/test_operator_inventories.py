"""The operator judges all inventories again and again, whatever is in one and however busy a namespace is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from rollcall.plan.inventories import status_of
from rollcall.resources.inventory import Inventory
from rollcall.targeting import Fleet
from rollcall_operator import inventories
from rollcall_operator.cluster import Cluster
from rollcall_operator.inventories import Inventories
from rollcall_operator.store import Store
from unit.core.objects import NOW


@dataclass
class Asked(Store):
    """Tells which namespaces' hosts are asked for."""

    asked: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def fleet(self, namespace: str) -> Fleet:
        """What hosts are chosen from in a namespace."""
        self.asked.put_nowait(namespace)
        return super().fleet(namespace)

    async def wait_for(self, namespace: str) -> None:
        """Until they are."""
        async with asyncio.timeout(10):
            while await self.asked.get() != namespace:
                pass


def inventory(namespace: str) -> Inventory:
    """One whose status says already what is to be said of it."""
    metadata = {"name": "inv", "namespace": namespace, "generation": 1}
    found = Inventory.model_validate({"metadata": metadata, "spec": {"selector": {}}})
    return found.model_copy(update={"status": status_of(found, Fleet({}), NOW)})


@asynccontextmanager
async def working(store: Store) -> AsyncGenerator[Inventories]:
    part = Inventories(cast(Cluster, None), store)  # nothing is to be written
    task = asyncio.create_task(part.run())
    yield part
    assert not task.done()
    task.cancel()


async def test_an_inventory_that_nobody_can_judge_does_not_keep_others_from_it(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(inventories, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(inventories, "REST_SECONDS", 0.0)
    store = Asked()
    store.inventories["bad"]["inv"] = inventory("bad").model_copy(update={"spec": None})
    store.inventories["good"]["inv"] = inventory("good")
    async with working(store) as part:
        part.notice("bad")
        await store.wait_for("bad")
        part.notice("good")
        await store.wait_for("good")
    assert "cannot judge Inventory bad/inv" in caplog.text


async def test_a_busy_namespace_does_not_keep_others_from_being_asked_again(monkeypatch: Any) -> None:
    monkeypatch.setattr(inventories, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(inventories, "REST_SECONDS", 0.0)
    monkeypatch.setattr(inventories, "ANEW_SECONDS", 0.3)
    store = Asked()
    for namespace in ("busy", "quiet"):
        store.inventories[namespace]["inv"] = inventory(namespace)

    async def keep_busy(part: Inventories) -> None:
        while True:
            part.notice("busy")
            await asyncio.sleep(0.01)

    async with working(store) as part:
        other = asyncio.create_task(keep_busy(part))
        await store.wait_for("quiet")
        other.cancel()
