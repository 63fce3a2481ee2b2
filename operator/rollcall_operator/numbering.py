"""Numbering: every Host, Inventory, JobTemplate, JobInvocation and Schedule gets its integer id as a label.

Objects come in through `notice`, one task numbers them in batches: ids are taken from the sequence first, with one
write for the whole batch, and only then written to the objects. An id that is lost in between is never used.
"""

import asyncio
import logging
from collections import defaultdict
from typing import Any, Final

from rollcall.ids import IDS_CONFIG_MAP, read, take
from rollcall.names import LABEL_ID, LABEL_MANAGED_BY, MANAGED_BY, Kind
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError, RefusedError
from rollcall_operator.turns import Turns

logger = logging.getLogger(__name__)

NUMBERED: Final = (Kind.HOST, Kind.INVENTORY, Kind.JOB_TEMPLATE, Kind.JOB_INVOCATION, Kind.SCHEDULE)
RETRY_SECONDS: Final = 1.0
_BATCH: Final = 200
_LABELS_AT_ONCE: Final = 6
"""How many objects are told their ids at the same time: what invocations ask for is to wait behind few of them."""

Document = dict[str, Any]


class Numbering:
    """Gives ids to objects that have none, or one that belongs to another object."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._owners: defaultdict[Kind, dict[int, str]] = defaultdict(dict)
        self._waiting: dict[str, tuple[Kind, Document]] = {}
        self._arrived = asyncio.Event()
        self._taking = asyncio.Lock()
        self._labelling = Turns(_LABELS_AT_ONCE)
        self._last_written: Document | None = None
        """The sequence as it was written here last: nobody has to read it again unless the facade took ids since."""

    def notice(self, kind: Kind, document: Document) -> None:
        """Take in an object as it is now."""
        metadata = document["metadata"]
        number, uid = read(metadata.get("labels") or {}), metadata["uid"]
        if number is not None and self._owners[kind].setdefault(number, uid) == uid:
            self._waiting.pop(uid, None)
        elif "deletionTimestamp" not in metadata:
            self._waiting[uid] = (kind, document)
            self._arrived.set()

    def forget(self, kind: Kind, document: Document) -> None:
        """Forget an object that is gone; its id stays used."""
        metadata = document["metadata"]
        self._waiting.pop(metadata["uid"], None)
        number = read(metadata.get("labels") or {})
        if number is not None and self._owners[kind].get(number) == metadata["uid"]:
            del self._owners[kind][number]

    async def run(self) -> None:
        """Number objects as they come, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            failed = False
            for kind in NUMBERED:
                try:
                    await self._number(kind)
                except ClusterError as error:
                    logger.warning("cannot give ids to all %s yet: %s", kind.plural, error)
                    failed = True
            if failed:
                await asyncio.sleep(RETRY_SECONDS)
                self._arrived.set()

    async def _number(self, kind: Kind) -> None:
        batch = [(uid, document) for uid, (of, document) in self._waiting.items() if of == kind][:_BATCH]
        if not batch:
            return
        if len(batch) == _BATCH:
            self._arrived.set()
        numbers = await self.take(kind, len(batch))
        calls = (
            self._label(kind, uid, document, number) for (uid, document), number in zip(batch, numbers, strict=True)
        )
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def take(self, kind: Kind, count: int) -> range:
        """Ids that nobody else has, in a hurry: runs that are due wait for theirs. Raises ClusterError."""
        async with self._taking:
            while True:
                document, self._last_written = self._last_written or await self._read(), None
                try:
                    numbers, changed = take((document or {}).get("data") or {}, kind, count)
                except ValueError as error:
                    raise ClusterError(0, "Invalid", str(error)) from error
                try:
                    self._last_written = await self._write(document, changed)
                except (ConflictError, NotFoundError):
                    continue  # the facade took some since, or somebody has deleted it
                return numbers

    async def _read(self) -> Document | None:
        try:
            return await self._cluster.get("configmaps", self._namespace, IDS_CONFIG_MAP, urgent=True)
        except NotFoundError:
            return None

    async def _write(self, document: Document | None, data: dict[str, str]) -> Document:
        if document is None:
            return await self._cluster.create("configmaps", self._sequence(data), urgent=True)
        return await self._cluster.replace("configmaps", {**document, "data": data}, urgent=True)

    def _sequence(self, data: dict[str, str]) -> Document:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": IDS_CONFIG_MAP,
                "namespace": self._namespace,
                "labels": {LABEL_MANAGED_BY: MANAGED_BY},
            },
            "data": data,
        }

    async def _label(self, kind: Kind, uid: str, document: Document, number: int) -> None:
        """Write the id, unless the object was changed since: then its next event brings it here again."""
        metadata = document["metadata"]
        patch = {"metadata": {"labels": {LABEL_ID: str(number)}, "resourceVersion": metadata["resourceVersion"]}}
        if self._waiting.get(uid, (kind, None))[1] is document:
            del self._waiting[uid]  # else a newer one has come, and waits for its turn
        try:
            async with self._labelling.turn():
                await self._cluster.merge(kind.plural, metadata["namespace"], metadata["name"], patch)
        except (NotFoundError, ConflictError):
            return
        except RefusedError as error:
            logger.warning("%s %s/%s gets no id: %s", kind, metadata["namespace"], metadata["name"], error)
            return
        except ClusterError:
            self._waiting[uid] = (kind, document)
            raise
        self._owners[kind][number] = uid
