"""Writes `status.lastContactTime` of Hosts, in the background and slowly: a job of ten thousand hosts comes first.

What was not written when the operator ends is lost; the next job brings it.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from rollcall.names import Kind
from rollcall.plan.contacts import is_news
from rollcall_operator.cluster import Cluster, ClusterError, NotFoundError
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

SECONDS_EACH: Final = 0.25
"""How long at least between two writes."""
RETRY_SECONDS: Final = 10.0
MOST: Final = 50_000
"""How many Hosts wait to be written at most; others are left to the next job."""


class Contacts:
    """The contacts that are not written down yet."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._waiting: dict[Key, datetime] = {}
        self._arrived = asyncio.Event()

    def notice(self, namespace: str, contacts: Iterable[tuple[str, datetime]]) -> None:
        """Take in hosts that have been in contact, and when."""
        hosts = self._store.hosts[namespace].hosts
        for name, moment in contacts:
            if name in hosts and len(self._waiting) < MOST and is_news(hosts[name], moment):
                self._waiting[namespace, name] = moment
                self._arrived.set()

    async def run(self) -> None:
        """Write them down one after the other, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                key = next(iter(self._waiting))
                await asyncio.sleep(SECONDS_EACH if await self._write(key, self._waiting.pop(key)) else RETRY_SECONDS)

    async def _write(self, key: Key, moment: datetime) -> bool:
        """Write a contact down, if it is news still; False when the API server does not take it now."""
        host, plural = self._store.hosts[key[0]].hosts.get(key[1]), Kind.HOST.plural
        if host is None or not is_news(host, moment):
            return True
        text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            patch = {"status": {"lastContactTime": text}}
            self._store.put(plural, await self._cluster.merge(plural, *key, patch, status=True))
        except NotFoundError:
            return True
        except ClusterError as error:
            logger.warning("cannot write the last contact of Host %s/%s: %s", *key, error)
            return False
        return True
