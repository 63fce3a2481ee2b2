"""Records on a Host the key that a runner has accepted of it. What is recorded is never overwritten: the first wins."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from rollcall.names import Kind
from rollcall.outputs import AcceptedKey
from rollcall.plan.acceptance import keys_to_record, wants
from rollcall.plan.observed import Observed
from rollcall.resources.host import Host
from rollcall_operator.cluster import TOO_MANY, Cluster, ClusterError, ConflictError, NotFoundError
from rollcall_operator.store import Store

logger = logging.getLogger(__name__)

AWAY: Final = 0
"""What a ClusterError says when nobody has answered."""
_HOSTS = Kind.HOST.plural


class HostKeys:
    """Writes `status.hostKeys`."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store

    async def record(self, namespace: str, observed: Observed, slices: Iterable[str]) -> None:
        """Record what the hosts of these slices have shown. It comes before their results: once these are written,
        nobody looks at what was accepted any more. Raises ClusterError."""
        collected = (observed.collected[name] for name in slices if name in observed.collected)
        found = keys_to_record(collected, observed.hosts)
        recorded = await asyncio.gather(
            *(self._record(namespace, observed.hosts[name], accepted) for name, accepted in found.items()),
            return_exceptions=True,
        )
        for result in recorded:
            if isinstance(result, BaseException):
                raise result

    async def _record(self, namespace: str, host: Host, accepted: AcceptedKey) -> None:
        name = host.metadata.name
        try:
            while wants(host, accepted):
                patch = {
                    "metadata": {"resourceVersion": host.metadata.resource_version},
                    "status": {"hostKeys": [accepted.key]},
                }
                try:
                    self._store.put(_HOSTS, await self._cluster.merge(_HOSTS, namespace, name, patch, status=True))
                    return
                except ConflictError:
                    found = await self._cluster.get(_HOSTS, namespace, name)
                    self._store.put(_HOSTS, found)
                    host = Host.model_validate(found)
        except NotFoundError:
            self._store.forget(_HOSTS, namespace, name)
        except (ClusterError, ValueError) as error:
            if isinstance(error, ClusterError) and error.status in (AWAY, TOO_MANY):
                raise
            # The hosts' results must not wait for it.
            logger.error("the accepted key of Host %s/%s cannot be recorded: %s", namespace, name, error)
