"""The parts of the operator, put together, and what they do with a watch event."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import kopf

from rollcall.names import FINALIZER_INVOCATION, Kind
from rollcall_operator.cluster import Cluster, Document
from rollcall_operator.expiry import Expiry
from rollcall_operator.hosts import HostJudge
from rollcall_operator.inventories import Inventories
from rollcall_operator.invocations import Reconciler
from rollcall_operator.numbering import Numbering
from rollcall_operator.output_store import open_store
from rollcall_operator.output_sweep import Sweep
from rollcall_operator.packed import Packed
from rollcall_operator.schedules import Schedules
from rollcall_operator.settings import Settings
from rollcall_operator.store import WATCHED, Key, Store
from rollcall_operator.tally import Tally
from rollcall_operator.watching import SELECTORS, Watch

logger = logging.getLogger(__name__)


class Application:
    """Everything that one leading operator holds."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.store = Store()
        self.tally = Tally(self.store)
        self.reconciler = Reconciler(cluster, self.store, settings)
        self.numbering = Numbering(cluster, settings.own_namespace)
        self.expiry = Expiry(cluster, self.store)
        self.inventories = Inventories(cluster, self.store)
        self.judge = HostJudge(cluster, self.store)
        self.store.fleet_changed = self._fleet_changed
        stores = [open_store(address, cluster) for address in settings.output.stores]
        self.sweep = Sweep(cluster, self.store, stores, settings.output, settings.namespaces)
        self.schedules = Schedules(
            cluster, self.store, settings.identity, partial(self.numbering.take, Kind.JOB_INVOCATION)
        )
        self._watches = [
            Watch(cluster, plural, namespace, *self._takers(plural))
            for plural in SELECTORS
            for namespace in settings.namespaces or (None,)
        ]

    async def watch(self) -> None:
        """Learn everything that happens to slices and pods, for ever."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())

    def _takers(self, plural: str) -> tuple[Callable[..., None], Callable[[str, Document], None]]:
        """What a watch of a kind tells of a full list and of an event."""
        if plural == Kind.SCHEDULE.plural:
            return self._take_schedules, self._take_schedule_event
        return self._take_list, self._take_event

    def _take_schedules(self, plural: str, namespace: str | None, documents: Packed, version: str) -> None:
        self.tally.told(plural)
        self.schedules.take_list(plural, namespace, documents, version)
        for document in documents:
            self.numbering.notice(Kind.SCHEDULE, document)

    def _take_schedule_event(self, plural: str, event: Document) -> None:
        self.tally.told(plural)
        self.schedules.take_event(plural, event)
        if event["type"] == "DELETED":
            self.numbering.forget(Kind.SCHEDULE, event["object"])
        elif event["type"] != "BOOKMARK":
            self.numbering.notice(Kind.SCHEDULE, event["object"])

    def _take_list(self, plural: str, namespace: str | None, documents: Packed, version: str) -> None:
        """Take in all objects of a kind as of a resource version, and forget those that are gone."""
        self.tally.told(plural)
        listed = set()
        for document in documents:
            listed.add((document["metadata"]["namespace"], document["metadata"]["name"]))
            self.store.put(plural, document)
        for gone_namespace, name in self.store.vanished(plural, listed, int(version)):
            if namespace in (None, gone_namespace):
                self.store.forget(plural, gone_namespace, name)

    def _take_event(self, plural: str, event: Document) -> None:
        """Take in a watch event, a bookmark too."""
        if event["type"] == "BOOKMARK":
            self.tally.told(plural)
        else:
            self.event(plural, event["type"], event["object"])

    def event(self, plural: str, type_: str | None, document: Document) -> bool:
        """Take in a watch event; False when it says nothing new."""
        self.tally.told(plural)
        if type_ == "DELETED":
            self.store.drop(plural, document)
            return False
        return self.store.put(plural, document)

    async def host_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a Host: number it, and say what is wrong with it."""
        self._number(Kind.HOST, event)
        metadata = event["object"]["metadata"]
        if self._rare(Kind.HOST, event):
            await self.judge.judge(metadata["namespace"], metadata["name"])

    def inventory_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about an Inventory: number it."""
        self._number(Kind.INVENTORY, event)
        self._rare(Kind.INVENTORY, event)

    def _fleet_changed(self, namespace: str, names: Iterable[str]) -> None:
        self.inventories.notice(namespace)
        self.judge.notice(namespace, names)

    def invocation_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a JobInvocation: number it, and remember when it expires."""
        document: Any = event["object"]
        metadata = document["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self._rare(Kind.JOB_INVOCATION, event)
        if event["type"] == "DELETED" or not self._is_met_by_kopf(key, metadata):
            self._number(Kind.JOB_INVOCATION, event)
        self._invocation_changed(key)

    def _is_met_by_kopf(self, key: Key, metadata: Document) -> bool:
        """Whether kopf is about to write its finalizer to an invocation: an id that is written meanwhile meets, or
        makes, a conflict. The next event comes with the finalizer."""
        invocation = self.store.invocations.get(key)
        unfinished = invocation is not None and not invocation.finished
        return unfinished and FINALIZER_INVOCATION not in metadata.get("finalizers", ())

    def template_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a JobTemplate: number it."""
        self._number(Kind.JOB_TEMPLATE, event)
        self._rare(Kind.JOB_TEMPLATE, event)

    def _rare(self, kind: Kind, event: kopf.RawEvent) -> bool:
        document: Any = event["object"]
        return self.event(kind.plural, event["type"], document)

    def _number(self, kind: Kind, event: kopf.RawEvent) -> None:
        document: Any = event["object"]
        if event["type"] == "DELETED":
            self.numbering.forget(kind, document)
        else:
            self.numbering.notice(kind, document)

    async def fill(self) -> None:
        """Learn everything that there is."""
        for plural in WATCHED:
            if plural not in SELECTORS:
                for document in await self._list(plural):
                    self.store.put(plural, document)
        self.schedules.restore()
        for watch in self._watches:
            await watch.list()
        self.judge.notice_all()  # while nobody looked, Hosts may have changed, and ConfigMaps with facts have gone

    async def compare(self, settle_seconds: float) -> str | None:
        """Compare the store with full lists; returns a sentence when a watch does not tell what happens.

        Heals what interrupted watches lose: deletions. Newer objects must be told by the watch within the given time.
        """
        for plural in WATCHED:
            listed = await self._versions(plural)
            gone, untold = self.store.vanished(plural, listed), self.store.untold(plural, listed)
            if gone or untold:
                await asyncio.sleep(settle_seconds)
                listed = await self._versions(plural)
                for namespace, name in gone:
                    if (namespace, name) not in listed:
                        self.store.forget(plural, namespace, name)
                        self._forgotten(plural, namespace, name)
                if any(key in listed for key in self.store.untold(plural, untold)):
                    return _silent(plural, settle_seconds)
            self.tally.told(plural)
        plural = Kind.SCHEDULE.plural
        if not await self.schedules.compare(partial(self._versions, plural), settle_seconds):
            return _silent(plural, settle_seconds)
        self.tally.told(plural)
        return None

    def _forgotten(self, plural: str, namespace: str, name: str) -> None:
        if plural == Kind.JOB_INVOCATION.plural:
            self._invocation_changed((namespace, name))

    def _invocation_changed(self, key: Key) -> None:
        self.expiry.notice(key)
        self.schedules.notice(key)

    async def _versions(self, plural: str) -> dict[Key, int]:
        """The resource versions of all objects of a kind: of thousands no more is kept."""
        versions: dict[Key, int] = {}
        for namespace in self.settings.namespaces or (None,):
            async for document in self.cluster.list_metadata(plural, namespace, SELECTORS.get(plural, "")):
                metadata = document["metadata"]
                versions[metadata["namespace"], metadata["name"]] = int(metadata["resourceVersion"])
        return versions

    async def _list(self, plural: str) -> list[Document]:
        selector = SELECTORS.get(plural, "")
        namespaces: Iterable[str | None] = self.settings.namespaces or (None,)
        return [
            document for namespace in namespaces async for document in self.cluster.list(plural, namespace, selector)
        ]


def _silent(plural: str, seconds: float) -> str:
    return f"the watch of {plural} has told nothing of a change for {seconds:.0f} s"
