"""Tells on a Host what is wrong with it. A Host that is fine, and was, costs no write."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rollcall.names import ConditionType, Kind, Reason
from rollcall.plan.conditions import with_condition
from rollcall.plan.hosts import examine_host
from rollcall.resources.host import Host
from rollcall.resources.meta import Condition, ConditionStatus
from rollcall_operator.cluster import Cluster, ClusterError
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)


def judged(host: Host, now: datetime, facts_problem: str | None = None) -> tuple[Condition, ...]:
    """The conditions that the host should have; the problem is what is wrong with facts that come from elsewhere."""
    problem = examine_host(host) or facts_problem
    if problem is None and not host.status.conditions:
        return ()
    condition = Condition(
        type=ConditionType.VALID,
        status=ConditionStatus.FALSE if problem else ConditionStatus.TRUE,
        observed_generation=host.metadata.generation,
        last_transition_time=now.replace(microsecond=0),
        reason=(Reason.INVALID_SPEC if problem else Reason.ACCEPTED).value,
        message=problem or "nothing is wrong with it",
    )
    return with_condition(host.status.conditions, condition)


class HostJudge:
    """Tells on Hosts what is wrong with them, also when it is not the Host that has changed."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._waiting: dict[Key, None] = {}
        self._arrived = asyncio.Event()

    def notice(self, namespace: str, names: Iterable[str]) -> None:
        """Have these Hosts judged soon."""
        self._waiting |= {(namespace, name): None for name in names}
        if self._waiting:
            self._arrived.set()

    def notice_all(self) -> None:
        """Have all Hosts judged."""
        for namespace, known in self._store.hosts.items():
            self.notice(namespace, known.hosts)

    async def run(self) -> None:
        """Judge Hosts that were noticed, one after the other, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                namespace, name = next(iter(self._waiting))
                del self._waiting[namespace, name]
                await self.judge(namespace, name)
                await asyncio.sleep(0)  # one that needs no write does not wait for anything, and ten thousand may come

    async def judge(self, namespace: str, name: str) -> None:
        """Say what is wrong with a Host, if it is there."""
        known = self._store.hosts[namespace]
        if name in known.hosts:
            await judge(self._cluster, known.hosts[name], known.problem(name))


async def judge(cluster: Cluster, host: Host, facts_problem: str | None = None) -> None:
    """Write what is wrong with the host, if its status does not say so already."""
    conditions = judged(host, datetime.now(UTC), facts_problem)
    if conditions == host.status.conditions:
        return
    status: dict[str, Any] = {
        "conditions": [condition.wire() for condition in conditions],
        "observedGeneration": host.metadata.generation,
    }
    metadata = host.metadata
    try:
        await cluster.merge(Kind.HOST.plural, metadata.namespace, metadata.name, {"status": status}, status=True)
    except ClusterError as error:
        logger.warning("cannot write the status of Host %s/%s: %s", metadata.namespace, metadata.name, error)
