"""A run that was made ahead of its time: its schedule finds it, and makes no other."""

from datetime import UTC, datetime

from rollcall.plan.schedule import run_name
from rollcall_api.job_manifests import run
from rollcall_api.parsing import parse_schedule
from support.jobs import end_of
from support.kube import Kube, condition
from support.operator import Operator
from support.schedules import permit, runs, schedule, soon, status


def test_a_run_made_ahead_starts_at_its_moment_and_counts_as_made(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    permit(kube, namespace)
    operator.wait_until_leading(kube)
    moment = soon(10)
    stored = parse_schedule(kube.create(schedule(namespace, "ahead", at=moment)))
    slot = datetime.fromisoformat(moment)
    name = run_name(stored.resource, slot)
    made = kube.create(run(stored, name, slot, 4711), namespace)
    assert made["spec"]["startAt"] == moment
    assert datetime.now(UTC) < slot
    assert condition(end_of(kube, namespace, name), "Complete")
    ended = kube.get("jobinvocations", namespace, name)["status"]["startTime"]
    assert ended >= moment
    kube.wait("the schedule's end", lambda: status(kube, namespace, "ahead").get("state") == "Finished")
    told = status(kube, namespace, "ahead")
    assert (told["iteration"], told["lastRun"]["name"]) == (1, name)
    assert [found["metadata"]["name"] for found in runs(kube, namespace, "ahead")] == [name]
