"""Takes numeric ids from the sequences that the facade and the operator share."""

import asyncio
from typing import Final

from rollcall import ids
from rollcall.names import LABEL_MANAGED_BY, MANAGED_BY, Kind
from rollcall_api.cluster import Cluster, Object, core
from rollcall_api.problems import Conflict, Forbidden, NotFound, Rejected, Unavailable

_ATTEMPTS: Final = 50


class Sequences:
    """The ConfigMap `rollcall-ids`, written with the resourceVersion that was read.

    The last answer is remembered, so that an id usually costs one request; when another process has taken ids in the
    meantime the write conflicts and the ConfigMap is read again.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._stored: Object | None = None
        self._lock = asyncio.Lock()

    async def next(self, kind: Kind) -> int:
        """An id that nobody else has or will get. Raises Unavailable when none can be taken now."""
        async with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return await self._take(kind)
                except (Conflict, NotFound):
                    continue  # somebody else took ids since the ConfigMap was read
                except (Forbidden, Rejected, ValueError) as problem:
                    raise Unavailable(f"no id can be taken: {problem}") from problem
            raise Unavailable("too many others are taking ids at the same time")

    async def _take(self, kind: Kind) -> int:
        # Forgotten until the write has succeeded: after a timeout nobody knows which data is stored.
        stored, self._stored = self._stored or await self._read(), None
        taken, data = ids.take(stored.get("data") or {}, kind)
        path = core("configmaps", self._namespace, ids.IDS_CONFIG_MAP)
        self._stored = await self._cluster.replace(path, {**stored, "data": data})
        return taken[0]

    async def _read(self) -> Object:
        try:
            return await self._cluster.get(core("configmaps", self._namespace, ids.IDS_CONFIG_MAP))
        except NotFound:
            pass
        metadata = {"name": ids.IDS_CONFIG_MAP, "labels": {LABEL_MANAGED_BY: MANAGED_BY}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
        try:
            return await self._cluster.create(core("configmaps", self._namespace), body)
        except Conflict:
            return await self._cluster.get(core("configmaps", self._namespace, ids.IDS_CONFIG_MAP))
