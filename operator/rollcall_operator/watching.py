"""Watches of slices, runner pods, schedules and ConfigMaps with facts: a list, then every change, as long as we lead.

Slices and pods change several times for each host. Passing a change to a handler costs the framework many times what it
costs to take it in (docs/adr/0014), so they are read here. Of schedules there can be thousands, of which it would keep
a copy each; of ConfigMaps only those with a label are asked for, which it does not do. Everything else that changes
rarely goes through the framework.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from rollcall.names import LABEL_FACTS, LABEL_MANAGED_BY, MANAGED_BY, Kind
from rollcall_operator.cluster import Cluster, ClusterError, Document
from rollcall_operator.packed import Packed

logger = logging.getLogger(__name__)

SELECTORS: Final = {
    Kind.SCHEDULE.plural: "",
    Kind.JOB_SLICE.plural: "",
    "configmaps": LABEL_FACTS,
    "pods": f"{LABEL_MANAGED_BY}={MANAGED_BY}",
}
"""The kinds that are watched here, and the labels of those objects that are."""
RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 5)
"""How long to wait after the first, second, ... failure in a row."""
EXPIRED: Final = 410


class Watch:
    """Tells of all objects of a kind in a namespace, or in all, and of their changes.

    `listed` is called with everything that there is, and the resource version as of which it is, `told` with each watch
    event after that. When changes have been missed for good, it begins again with everything.
    """

    def __init__(
        self,
        cluster: Cluster,
        plural: str,
        namespace: str | None,
        listed: Callable[[str, str | None, Packed, str], None],
        told: Callable[[str, Document], None],
    ) -> None:
        self._cluster = cluster
        self._plural = plural
        self._namespace = namespace
        self._listed = listed
        self._told = told
        self._version = ""
        """The last resource version that was heard of; empty before anything was listed."""

    async def list(self) -> None:
        """Tell of everything that there is. Raises ClusterError."""
        found, self._version = await self._cluster.snapshot(self._plural, self._namespace, SELECTORS[self._plural])
        self._listed(self._plural, self._namespace, found, self._version)

    async def run(self) -> None:
        """Tell of everything that happens, for ever."""
        failures = 0
        while True:
            version = self._version
            try:
                if not version:
                    await self.list()
                await self._follow()
                failures = 0
            except ClusterError as error:
                failures = 0 if self._version != version else failures + 1
                if error.status == EXPIRED:
                    self._version = ""
                logger.info("the watch of %s broke off, going on: %s", self._plural, error)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    async def _follow(self) -> None:
        """Tell of what happens until the API server ends the watch, as it does from time to time."""
        watch = self._cluster.watch(self._plural, self._namespace, SELECTORS[self._plural], self._version)
        async with aclosing(watch) as batches:
            async for events in batches:
                for event in events:
                    self._told(self._plural, event)
                    self._version = event["object"]["metadata"]["resourceVersion"]
