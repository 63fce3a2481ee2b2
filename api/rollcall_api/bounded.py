"""Memory of a bounded size: a cache by recency and weight, and one with an age limit that asks only once at a time."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from rollcall_api.problems import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_RETRY_SECONDS: Final = 1.0
"""After a failure, how long an answer that goes on serving is not asked for again."""


class WeightedCache(Generic[K, V]):
    """Keeps the most recently used values whose weights, in bytes, add up to no more than the capacity."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    @property
    def weight(self) -> int:
        """What the kept values weigh together."""
        return self._weight

    def get(self, key: K) -> V | None:
        """The value, which thereby becomes the most recently used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keeps the value, at the cost of those not used for longest; one that is too heavy is not kept at all."""
        old = self._entries.pop(key, None)
        if old is not None:
            self._weight -= old[1]
        if weight > self._capacity:
            return
        self._entries[key] = (value, weight)
        self._weight += weight
        while self._weight > self._capacity:
            _, (_, freed) = self._entries.popitem(last=False)
            self._weight -= freed


class AgedCache(Generic[K, V]):
    """Remembers answers for some seconds; however many ask for a missing one, it is fetched once.

    When the fetch fails because the cluster is away, the last answer goes on serving for `grace` more seconds: while
    nobody can reach the API server, nobody can have changed it through there either. Until one succeeds nobody else
    waits for a fetch, unless the failure is longer ago than an answer stays young: it is fetched beside them.

    `away` is the problem that is borne with.
    """

    def __init__(
        self, seconds: float, grace: float = 0, entries: int = 10_000, away: type[Unavailable] = Unavailable
    ) -> None:
        self._seconds = seconds
        self._grace = grace
        self._most = entries
        self._away = away
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._failed: dict[K, float] = {}
        """When the last fetch of an answer that goes on serving has failed."""
        self._flights: dict[K, asyncio.Task[V]] = {}

    def fresh(self, key: K) -> V | None:
        """The answer, if it is known and young enough."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and time.monotonic() - entry[1] < self._seconds else None

    def last(self, key: K) -> V | None:
        """The last answer, however old it is, while it is kept."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    async def get(self, key: K, fetch: Callable[[], Awaitable[V]]) -> V:
        """The remembered answer, or a new one."""
        known = self.fresh(key)
        if known is not None:
            return known
        now = time.monotonic()
        since_failure = now - self._failed.get(key, -math.inf)
        old = self._serving(key, now) if since_failure < self._seconds else None
        flight = self._flights.get(key)
        if flight is None and (old is None or since_failure >= _RETRY_SECONDS):
            flight = self._flights[key] = asyncio.ensure_future(self._fetch(key, fetch))
            flight.add_done_callback(_told)
        if old is not None:
            return old[0]
        assert flight is not None
        # A requester that goes away must not take the answer from the others that wait for it.
        return await asyncio.shield(flight)

    def _serving(self, key: K, now: float) -> tuple[V, float] | None:
        """The answer with its moment, if it may serve while no other can be had."""
        entry = self._entries.get(key)
        return entry if entry is not None and now - entry[1] < self._seconds + self._grace else None

    async def _fetch(self, key: K, fetch: Callable[[], Awaitable[V]]) -> V:
        asked = time.monotonic()
        try:
            value = await fetch()
        except self._away:
            old = self._serving(key, time.monotonic())
            if old is None:
                raise
            self._failed[key] = time.monotonic()
            return old[0]
        finally:
            del self._flights[key]
        self._failed.pop(key, None)
        self._entries[key] = (value, asked)
        self._entries.move_to_end(key)
        while self._entries and len(self._entries) > self._most:
            evicted, _ = self._entries.popitem(last=False)
            self._failed.pop(evicted, None)
        return value


def _told(flight: asyncio.Task[Any]) -> None:
    """Whoever wanted to know why a fetch failed has been told; there may have been nobody."""
    if not flight.cancelled():
        flight.exception()
