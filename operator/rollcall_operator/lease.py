"""One operator leads: the holder of a Lease (coordination.k8s.io/v1), renewed while it works.

A candidate does not compare its own clock with the holder's: it takes the Lease over when it has seen the same
`renewTime` for a whole lease duration, as client-go does. A process that comes back under the same identity, which is
its pod's name, goes on at once: its predecessor in that pod is dead.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError

logger = logging.getLogger(__name__)

LEASES: Final = "leases"


@dataclass
class _Seen:
    """The holder's last sign of life, and when it was seen here (loop time)."""

    renewed: str | None
    at: float


class Lease:
    """A Lease that this process holds or waits for."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, identity: str, seconds: int) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._seen = _Seen(None, 0.0)

    async def hold(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then work while it can be renewed; returns when the work or the Lease has ended."""
        while not await self._try():  # noqa: ASYNC110 - the Lease is another process's, there is nothing to wait on
            await asyncio.sleep(self._seconds / 7)
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                logger.error("the Lease %s could not be renewed", self._name)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def release(self) -> None:
        """Let the next candidate begin at once."""
        try:
            lease = await self._cluster.get(LEASES, self._namespace, self._name)
            if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._cluster.replace(LEASES, lease)
        except ClusterError as error:
            logger.info("the Lease %s was not given back: %s", self._name, error)

    async def _renew(self) -> None:
        """Renew until it has failed for two thirds of the lease's duration."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout_at(last + self._seconds * 2 / 3):
                    await asyncio.sleep(self._seconds / 7)
                    if await self._try():
                        last = loop.time()

    async def _try(self) -> bool:
        """Take or renew the Lease; False when it is another's, or the API server does not answer."""
        begun = asyncio.get_running_loop().time()
        try:
            if not await self._take():
                return False
            self._cluster.may_write_until = begun + self._seconds
            return True
        except ConflictError:
            return False
        except ClusterError as error:
            logger.warning("the Lease %s: %s", self._name, error)
            return False

    async def _take(self) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = {"holderIdentity": self._identity, "leaseDurationSeconds": self._seconds, "renewTime": now}
        try:
            lease = await self._cluster.get(LEASES, self._namespace, self._name)
        except NotFoundError:
            await self._cluster.create(LEASES, self._document(mine | {"acquireTime": now}))
            return True
        spec: dict[str, Any] = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._expired(spec):
            return False
        taken_over = {} if holder == self._identity else {"acquireTime": now}
        await self._cluster.replace(LEASES, {**lease, "spec": {**spec, **mine, **taken_over}})
        return True

    def _expired(self, spec: dict[str, Any]) -> bool:
        """Whether the holder has shown no sign of life for a lease duration of ours."""
        now = asyncio.get_running_loop().time()
        if spec.get("renewTime") != self._seen.renewed or not self._seen.at:
            self._seen = _Seen(spec.get("renewTime"), now)
        return now - self._seen.at > float(spec.get("leaseDurationSeconds") or self._seconds)

    def _document(self, spec: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
