"""Deletes finished invocations when their `ttlSecondsAfterFinished` is over: one heap, no timer per object."""

import asyncio
import heapq
import logging
from datetime import UTC, datetime, timedelta

from rollcall.names import Kind
from rollcall.plan.expiry import expires_at
from rollcall.resources.jobinvocation import JobInvocation
from rollcall_operator.cluster import Cluster, ClusterError
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Expiry:
    """The invocations that will be deleted, by the time of that."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._heap: list[tuple[datetime, Key]] = []
        self._changed = asyncio.Event()

    def notice(self, invocation: JobInvocation) -> None:
        """Take in an invocation as it is now."""
        moment = expires_at(invocation)
        if moment is not None:
            heapq.heappush(self._heap, (moment, (invocation.metadata.namespace, invocation.metadata.name)))
            self._changed.set()

    async def run(self) -> None:
        """Delete what is over, for ever."""
        while True:
            self._changed.clear()
            now = datetime.now(UTC)
            while self._heap and self._heap[0][0] <= now:
                await self._expire(heapq.heappop(self._heap)[1], now)
            patience = (self._heap[0][0] - now).total_seconds() if self._heap else None
            try:
                await asyncio.wait_for(self._changed.wait(), patience)
            except TimeoutError:
                continue

    async def _expire(self, key: Key, now: datetime) -> None:
        """Delete the invocation if its time is over as it is now; it may have been changed since it came here."""
        invocation = self._store.invocations.get(key)
        moment = expires_at(invocation) if invocation else None
        if invocation is None or moment is None or moment > now or invocation.metadata.deletion_timestamp is not None:
            return
        try:
            await self._cluster.delete(Kind.JOB_INVOCATION.plural, *key, uid=invocation.metadata.uid)
        except ClusterError as error:
            logger.warning("cannot delete the finished invocation %s/%s yet: %s", *key, error)
            heapq.heappush(self._heap, (now + timedelta(seconds=RETRY_SECONDS), key))
