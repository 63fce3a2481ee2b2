"""Keeps one table as the API server has it: listed once, then watched, however often the watch breaks."""

import asyncio
import gc
import logging
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from rollcall.names import LABEL_UNFINISHED
from rollcall_api.cluster import Cluster, Object
from rollcall_api.problems import Expired, Problem

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 60
"""How long the API server keeps a watch open; it sends a bookmark just before the end."""
SILENT_SECONDS: Final = 75
"""A watch from which nothing comes for so long does not work, although nobody has said so."""
_FINISHED: Final = f"!{LABEL_UNFINISHED}"
"""What is half made is in no table."""
_RETRY_SECONDS: Final = (0.5, 15.0)
_PAUSE_SECONDS: Final = 0.05
"""Between a watch and the next, so that an API server that closes each one at once is not flooded."""


class Table(Protocol):
    """What a feed feeds."""

    seen: int

    def __len__(self) -> int: ...
    def put(self, raw: Mapping[str, Any]) -> object: ...
    def drop(self, name: str, version: int) -> None: ...
    def retain(self, names: Iterable[str], version: int) -> None: ...


class Feed:
    """Keeps one table up to date."""

    def __init__(self, cluster: Cluster, path: str, table: Table) -> None:
        self._cluster = cluster
        self._path = path
        self._table = table
        self._version = ""
        self.resource = path.rpartition("/")[2]
        self.synced = False
        self.last_sign = time.monotonic()
        self._broken_at: float | None = self.last_sign

    def age(self, now: float) -> float:
        """For how many seconds news may be missing: since the watch broke or fell silent; 0 while it works.

        `now` is what `time.monotonic` tells.
        """
        if self._broken_at is not None:
            return now - self._broken_at
        silent = now - self.last_sign
        return silent if silent > SILENT_SECONDS else 0.0

    @property
    def objects(self) -> int:
        """How many objects the table holds."""
        return len(self._table)

    async def run(self) -> None:
        """Lists and watches until cancelled; a failure is logged and tried again, later and later."""
        delay = _RETRY_SECONDS[0]
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                delay = _RETRY_SECONDS[0]
                await asyncio.sleep(_PAUSE_SECONDS)
            except Expired:
                self._version = ""
            except Problem as problem:
                logger.warning("watching %s: %s", self._path, problem)
                self._break()
                if self._cluster.pulse.is_silent:
                    delay = _RETRY_SECONDS[0]
                    await self._cluster.pulse.answering()
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries
                delay = min(delay * 2, _RETRY_SECONDS[1])

    async def _list(self) -> None:
        names: list[str] = []
        version = ""
        async for page in self._cluster.list_pages(self._path, labelSelector=_FINISHED):
            version = page["metadata"]["resourceVersion"]
            for raw in page["items"] or ():
                names.append(raw["metadata"]["name"])
                self._table.put(raw)
        self._table.retain(names, int(version))
        self._told(version)
        self.synced = True
        # What is listed lives long: to look at all of it again and again would hold up everybody, a tenth of a second.
        gc.freeze()

    async def _watch(self) -> None:
        changes = self._cluster.watch(self._path, self._version, WATCH_SECONDS, self._works, labelSelector=_FINISHED)
        async for event in changes:
            self._take(event["type"], event["object"])

    def _take(self, type_: str, raw: Object) -> None:
        if type_ == "DELETED":
            self._table.drop(raw["metadata"]["name"], int(raw["metadata"]["resourceVersion"]))
        elif type_ in ("ADDED", "MODIFIED"):
            self._table.put(raw)
        self._told(raw["metadata"]["resourceVersion"])

    def _told(self, version: str) -> None:
        self._version = version
        self._table.seen = max(self._table.seen, int(version))
        self._works()

    def _break(self) -> None:
        """From now on news may be missing; and it was since the last sign of life."""
        if self._broken_at is None:
            fell_silent = time.monotonic() - self.last_sign > SILENT_SECONDS
            self._broken_at = self.last_sign if fell_silent else max(self.last_sign, self._cluster.pulse.heard_at)

    def _works(self) -> None:
        self.last_sign = time.monotonic()
        self._broken_at = None


def report_end(task: asyncio.Task[None]) -> None:
    """Says why what was to go on for ever ended; without a feed /healthz fails, and the kubelet starts anew."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("a task ended: %s", type(error).__name__, exc_info=error)
