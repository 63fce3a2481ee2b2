"""The operator tells on Hosts what is wrong with them, also what went wrong while it was not there."""

import asyncio
from typing import Any, cast

from rollcall_operator.cluster import Cluster
from rollcall_operator.hosts import HostJudge
from rollcall_operator.store import Store


class Written:
    """Takes statuses."""

    def __init__(self) -> None:
        self.statuses: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def merge(
        self, plural: str, namespace: str, name: str, patch: dict[str, Any], *, status: bool
    ) -> dict[str, Any]:
        """The object with the patch."""
        assert (plural, namespace, status) == ("hosts", "fleet", True)
        self.statuses.put_nowait((name, patch["status"]))
        return patch


async def test_hosts_are_judged_by_what_is_there_when_the_operator_begins() -> None:
    store, written = Store(), Written()
    source = {"configMapKeyRef": {"name": "gone", "key": "facts"}}
    moment = "2026-03-01T12:00:00Z"
    valid = {"type": "Valid", "status": "True", "reason": "Accepted", "lastTransitionTime": moment, "message": "fine"}
    for version, (name, spec) in enumerate({"fine": {}, "lacking": {"factsFrom": source}}.items(), start=1):
        metadata = {"name": name, "namespace": "fleet", "resourceVersion": str(version)}
        conditions = [valid] if name == "lacking" else []
        store.put("hosts", {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}})
    judge = HostJudge(cast(Cluster, written), store)
    working = asyncio.create_task(judge.run())
    judge.notice_all()
    async with asyncio.timeout(10):
        name, status = await written.statuses.get()
    working.cancel()
    (condition,) = status["conditions"]
    assert (name, condition["status"]) == ("lacking", "False")
    assert condition["message"].startswith("spec.factsFrom: there is no ConfigMap gone")
