"""Orders to stop hosts: by SIGTERM, which means all of them, or by a file that changes while the runner works.

The file is part of a downward API volume: the kubelet renews it by exchanging a symbolic link, so that whoever reads it
finds either the old content or the new one. It may be missing or empty, and what cannot be understood is no order.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from rollcall.work import StopOrder

POLL_SECONDS: Final = 0.5
"""How often the file is read, which is cheaper than it sounds: it is short, and in memory."""
_MAX_ORDER_BYTES: Final = 1 << 20

T = TypeVar("T")


class StopRequestedError(Exception):
    """The runner has been told to stop the host."""


class HostStop:
    """Whether one host is to be stopped."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()
        """Without grace; `asked` is set as well."""


class Orders:
    """Who of a work's hosts is to be stopped. What has been ordered is not taken back."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._stops = {host: HostStop() for host in hosts}
        self._news = asyncio.Event()

    def of(self, host: str) -> HostStop:
        """The orders for one host."""
        return self._stops[host]

    def obey(self, order: StopOrder) -> None:
        """Takes in an order; names that are not among the hosts mean nothing."""
        for host in self._stops if order.hosts is None else order.hosts:
            if stop := self._stops.get(host):
                stop.asked.set()
                if order.force:
                    stop.forced.set()
        self._news.set()

    def renew(self) -> None:
        """Wakes whoever waits for news, because what has been ordered may mean something else by now."""
        self._news.set()

    async def news(self) -> None:
        """Waits until something has been ordered, or has been renewed, since the last time."""
        await self._news.wait()
        self._news.clear()


class OrderFile:
    """The file with the orders; `watch` must be running, or `look` be called."""

    def __init__(self, path: Path, orders: Orders) -> None:
        self._path = path
        self._orders = orders
        self._seen = b""

    def look(self) -> None:
        """Obeys the file, if it has changed."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_ORDER_BYTES)
        except OSError:
            return
        if content == self._seen:
            return
        self._seen = content
        try:
            order = StopOrder.load(content.decode())
        except (ValueError, RecursionError):
            return
        if order is not None:
            self._orders.obey(order)

    async def watch(self) -> None:
        """Looks again and again."""
        while True:
            self.look()
            await asyncio.sleep(POLL_SECONDS)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Raises StopRequestedError, with the work abandoned, when `stop` is set before its end."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StopRequestedError
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.wait({task})
