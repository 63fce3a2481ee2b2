"""The parts of the operator, put together, and what they do with a watch event."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import kopf

from rollcall.names import LABEL_MANAGED_BY, MANAGED_BY, Kind
from rollcall_operator.cluster import Cluster, Document
from rollcall_operator.expiry import Expiry
from rollcall_operator.hosts import judge
from rollcall_operator.invocations import Reconciler
from rollcall_operator.numbering import Numbering
from rollcall_operator.settings import Settings
from rollcall_operator.store import WATCHED, Store

logger = logging.getLogger(__name__)


class Application:
    """Everything that one leading operator holds."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.store = Store()
        self.reconciler = Reconciler(cluster, self.store, settings)
        self.numbering = Numbering(cluster, settings.own_namespace)
        self.expiry = Expiry(cluster, self.store)

    def event(self, plural: str, event: kopf.RawEvent) -> bool:
        """Take in a watch event; False when it says nothing new."""
        document: Any = event["object"]
        if event["type"] == "DELETED":
            self.store.drop(plural, document)
            return False
        return self.store.put(plural, document)

    async def host_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a Host: number it, and say what is wrong with it."""
        self._number(Kind.HOST, event)
        metadata = event["object"]["metadata"]
        if self.event(Kind.HOST.plural, event):
            host = self.store.hosts[metadata["namespace"]].get(metadata["name"])
            if host is not None:
                await judge(self.cluster, host)

    def invocation_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a JobInvocation: number it, and remember when it expires."""
        self._number(Kind.JOB_INVOCATION, event)
        metadata = event["object"]["metadata"]
        self.event(Kind.JOB_INVOCATION.plural, event)
        invocation = self.store.invocations.get((metadata["namespace"], metadata["name"]))
        if invocation is not None:
            self.expiry.notice(invocation)

    def template_event(self, event: kopf.RawEvent) -> None:
        """Take in a watch event about a JobTemplate: number it."""
        self._number(Kind.JOB_TEMPLATE, event)
        self.event(Kind.JOB_TEMPLATE.plural, event)

    def _number(self, kind: Kind, event: kopf.RawEvent) -> None:
        document: Any = event["object"]
        if event["type"] == "DELETED":
            self.numbering.forget(kind, document)
        else:
            self.numbering.notice(kind, document)

    async def fill(self) -> None:
        """Learn everything that there is."""
        for plural in WATCHED:
            for document in await self._list(plural):
                self.store.put(plural, document)

    async def compare(self, settle_seconds: float) -> str | None:
        """Compare the store with full lists; returns a sentence when a watch does not tell what happens.

        Heals what interrupted watches lose: deletions. Newer objects must be told by the watch within the given time.
        """
        for plural in WATCHED:
            gone = self.store.vanished(plural, await self._list(plural))
            untold = self.store.untold(plural, await self._list(plural))
            if not gone and not untold:
                continue
            await asyncio.sleep(settle_seconds)
            listed = {(d["metadata"]["namespace"], d["metadata"]["name"]) for d in await self._list(plural)}
            for namespace, name in gone:
                if (namespace, name) not in listed:
                    self.store.forget(plural, namespace, name)
            still = self.store.untold(plural, untold)
            if still and any((d["metadata"]["namespace"], d["metadata"]["name"]) in listed for d in still):
                return f"the watch of {plural} has told nothing of a change for {settle_seconds:.0f} s"
        return None

    async def _list(self, plural: str) -> list[Document]:
        selector = f"{LABEL_MANAGED_BY}={MANAGED_BY}" if plural == "pods" else ""
        namespaces: Iterable[str | None] = self.settings.namespaces or (None,)
        return [
            document for namespace in namespaces async for document in self.cluster.list(plural, namespace, selector)
        ]
