"""Objects that people make and change through a dialect: always in their own name, so that their rights decide.

What may be seen is decided before, from the cache; here the API server reads, admits and stores as for `kubectl`.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from rollcall.names import API_VERSION, LABEL_ID, Kind
from rollcall_api.access import impersonate
from rollcall_api.bounded import WeightedCache
from rollcall_api.cache import Cache, Table
from rollcall_api.cluster import Cluster, Object, custom
from rollcall_api.problems import Away, Conflict, Unavailable
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

__all__ = ["Object", "Objects"]

_ATTEMPTS: Final = 20
_READ_BYTES: Final = 4 * 1024 * 1024


class Objects:
    """Hosts, templates, inventories and schedules of one namespace."""

    def __init__(self, cluster: Cluster, cache: Cache, sequences: Sequences, namespace: str) -> None:
        self._cluster = cluster
        self._sequences = sequences
        self.namespace = namespace
        self._read: WeightedCache[tuple[Identity, Kind, str], bytes] = WeightedCache(_READ_BYTES)
        self._tables: dict[Kind, Table[Any]] = {
            Kind.HOST: cache.hosts,
            Kind.JOB_TEMPLATE: cache.templates,
            Kind.INVENTORY: cache.inventories,
            Kind.SCHEDULE: cache.schedules,
        }

    async def read(self, kind: Kind, name: str, user: Identity) -> Object:
        """The object as it is stored; while the API server is away as the user has read it before, if that is the
        version in the cache. Raises NotFound, Forbidden or Unavailable."""
        key = (user, kind, name)
        try:
            raw = await self._cluster.read_as(custom(kind, self.namespace, name), impersonate(user))
        except Away:
            known, kept = self._tables[kind].named(name), self._read.get(key)
            raw = {} if kept is None else orjson.loads(kept)
            if known is None or not raw or int(raw["metadata"]["resourceVersion"]) != known.version:
                raise
            return raw
        body = orjson.dumps(raw)
        self._read.put(key, body, len(body))
        return raw

    async def create(self, kind: Kind, names: Callable[[int], str], body: Object, user: Identity) -> Object:
        """Stores a new object with an id; `names` gives its name by that id.

        Raises Forbidden, Rejected or Unavailable, and Conflict when every name is taken.
        """
        headers = impersonate(user)
        for attempt in range(_ATTEMPTS):
            id_ = await self._sequences.next(kind)
            metadata = {**body.get("metadata", {}), "name": names(id_), "labels": {LABEL_ID: str(id_)}}
            named = {"apiVersion": API_VERSION, "kind": kind.value, **body, "metadata": metadata}
            try:
                stored = await self._cluster.create(custom(kind, self.namespace), named, headers)
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            self._tables[kind].put_written(stored)
            return stored
        raise Unavailable("no free name was found")

    async def change(self, kind: Kind, name: str, change: Callable[[Object], None], user: Identity) -> Object:
        """Stores the object with a change, which is done anew when somebody else was first.

        Raises NotFound, Forbidden, Rejected or Unavailable.
        """
        headers = impersonate(user)
        path = custom(kind, self.namespace, name)
        for _ in range(_ATTEMPTS):
            body = await self._cluster.read_as(path, headers)
            change(body)
            try:
                stored = await self._cluster.replace(path, body, headers)
            except Conflict:
                continue
            self._tables[kind].put_written(stored)
            return stored
        raise Unavailable("too many others change the same object")

    async def delete(self, kind: Kind, name: str, uid: str, user: Identity) -> None:
        """Deletes the object. Raises NotFound, Forbidden or Unavailable."""
        await self._cluster.delete(custom(kind, self.namespace, name), uid, impersonate(user))
        table = self._tables[kind]
        known = table.named(name)
        if known is not None and known.uid == uid:
            table.drop(name, known.version)
