"""Tells on a Host what is wrong with it. A Host that is fine, and was, costs no write."""

import logging
from datetime import UTC, datetime
from typing import Any

from rollcall.names import ConditionType, Kind, Reason
from rollcall.plan.conditions import with_condition
from rollcall.plan.hosts import examine_host
from rollcall.resources.host import Host
from rollcall.resources.meta import Condition, ConditionStatus
from rollcall_operator.cluster import Cluster, ClusterError

logger = logging.getLogger(__name__)


def judged(host: Host, now: datetime) -> tuple[Condition, ...]:
    """The conditions that the host should have."""
    problem = examine_host(host)
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


async def judge(cluster: Cluster, host: Host) -> None:
    """Write what is wrong with the host, if its status does not say so already."""
    conditions = judged(host, datetime.now(UTC))
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
