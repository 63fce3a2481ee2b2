"""Deletes finished invocations when their `ttlSecondsAfterFinished` is over: one timetable, no timer per object.

The wait is cut into short pieces, because a clock that is set forward wakes nobody.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from rollcall.names import Kind
from rollcall.plan.expiry import expires_at
from rollcall_operator.cluster import Cluster, ClusterError
from rollcall_operator.store import Key, Store
from rollcall_operator.timetable import Timetable

logger = logging.getLogger(__name__)

RETRY: Final = timedelta(seconds=5)
LONGEST_WAIT_SECONDS: Final = 5.0


def _clock() -> datetime:
    return datetime.now(UTC)


class Expiry:
    """The invocations that will be deleted, by the time of that."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        clock: Callable[[], datetime] = _clock,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._longest_wait_seconds = longest_wait_seconds
        self.timetable = Timetable()
        self._changed = asyncio.Event()

    def notice(self, key: Key) -> None:
        """Take in an invocation as the store has it now; one that is gone is forgotten."""
        if self.timetable.put(key, self._moment(key)):
            self._changed.set()

    async def run(self) -> None:
        """Delete what is over, for ever."""
        while True:
            self._changed.clear()
            now = self._clock()
            for key in self.timetable.take_due(now):
                await self._expire(key, now)
            first = self.timetable.first
            patience = None if first is None else min((first - now).total_seconds(), self._longest_wait_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._changed.wait()

    def _moment(self, key: Key) -> datetime | None:
        """When the invocation is to be deleted; None for one that is kept, or is being deleted already."""
        invocation = self._store.invocations.get(key)
        if invocation is None or invocation.metadata.deletion_timestamp is not None:
            return None
        return expires_at(invocation)

    async def _expire(self, key: Key, now: datetime) -> None:
        """Delete the invocation if its time is over as it is now; it may have been changed since it came here."""
        moment = self._moment(key)
        if moment is None or moment > now:
            return
        try:
            await self._cluster.delete(Kind.JOB_INVOCATION.plural, *key, uid=self._store.invocations[key].metadata.uid)
        except ClusterError as error:
            logger.warning("cannot delete the finished invocation %s/%s yet: %s", *key, error)
            self.timetable.put(key, now + RETRY)
