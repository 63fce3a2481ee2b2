"""What hosts wait for before they start, and how a job says so: times, pauses, people, other jobs."""

from datetime import UTC, datetime, timedelta

from support.counted import CountedJobs
from support.jobs import end_of, events, invocation, run, slices, template
from support.kube import Kube, Object, condition
from support.operator import Operator


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def waits_for(kube: Kube, namespace: str, name: str, reason: str) -> Object:
    """The condition Waiting, once it has that reason."""

    def found() -> Object | None:
        waiting = condition(kube.get("jobinvocations", namespace, name), "Waiting")
        return waiting if waiting and waiting["status"] == "True" and waiting["reason"] == reason else None

    return kube.wait(f"{name} to wait for {reason}", found)


def pods(kube: Kube, namespace: str, name: str) -> list[Object]:
    return kube.list("pods", namespace, labelSelector=f"rollcall.dev/invocation={name}")


def suspended(kube: Kube, namespace: str, name: str, state: str, **counts: int) -> None:
    """Wait until the invocation says that it is suspended, what its state is, and how many hosts are in which."""

    def found() -> bool:
        job = kube.get("jobinvocations", namespace, name)
        told = (condition(job, "Suspended") or {}).get("status") == "True" and job["status"]["state"] == state
        return told and counts.items() <= job["status"]["hosts"].items()

    kube.wait(f"suspension of {name}, {state}, with {counts}", found)


def test_a_job_is_suspended_and_resumed_as_a_queue_does_it(kube: Kube, namespace: str, operator: Operator) -> None:
    """Created suspended, let go, suspended in the middle, let go again: who works then ends, and nobody works twice."""
    names = [f"host-{number}" for number in range(4)]
    jobs = CountedJobs(kube, namespace, names)
    go = f"/tmp/go-{namespace}"
    rollout = {"concurrency": 2, "hostsPerSlice": 1}
    wait = f"until [ -e {go} ]; do sleep 0.2; done"
    jobs.create("queued", wait, targeting={"hosts": names}, rollout=rollout, suspend=True)
    suspended(kube, namespace, "queued", "Suspended", pending=4)
    assert not pods(kube, namespace, "queued")
    kube.patch("jobinvocations", namespace, "queued", {"spec": {"suspend": False}})
    for name in names[:2]:
        jobs.at_work("queued", name)
    kube.patch("jobinvocations", namespace, "queued", {"spec": {"suspend": True}})
    suspended(kube, namespace, "queued", "Running", running=2, pending=2)
    for name in names:
        jobs.on_host(name, f"touch {go}")
    suspended(kube, namespace, "queued", "Suspended", succeeded=2, pending=2)
    assert {pod["metadata"]["name"] for pod in pods(kube, namespace, "queued")} <= {"queued-0", "queued-1"}
    assert [jobs.ran(name, "queued") for name in names] == [1, 1, 0, 0]
    kube.patch("jobinvocations", namespace, "queued", {"spec": {"suspend": False}})
    ended = jobs.check("queued", dict.fromkeys(names, "Succeeded"), dict.fromkeys(names, 1))
    assert condition(ended, "Complete")
    assert (condition(ended, "Suspended") or {})["reason"] == "Resumed"


def test_no_host_starts_before_its_time(kube: Kube, namespace: str, operator: Operator) -> None:
    due = moment(4)
    kube.create(invocation(namespace, "later", "true", ["host-0"], startAt=due))
    waits_for(kube, namespace, "later", "NotYetDue")
    assert condition(end_of(kube, namespace, "later"), "Complete")
    assert (
        min(event.time for event in events(kube, namespace, "later")["host-0"])
        >= datetime.fromisoformat(due).timestamp()
    )


def test_a_start_window_that_is_missed_fails_the_job(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(invocation(namespace, "missed", "true", ["host-0"], startBefore=moment(3), suspend=True))
    ended = end_of(kube, namespace, "missed")
    failed = condition(ended, "Failed") or {}
    assert failed["reason"] == "StartWindowMissed"
    assert ended["status"]["hosts"]["cancelled"] == 1
    assert slices(kube, namespace, "missed")[0]["status"]["hosts"][0]["state"] == "NotStarted"


def test_a_job_that_takes_too_long_is_stopped(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"concurrency": 1, "hostsPerSlice": 1}
    manifest = invocation(
        namespace, "slow", "echo begun; sleep 600", ["host-0", "host-1"], activeDeadlineSeconds=15, rollout=rollout
    )
    ended = run(kube, manifest)
    assert (condition(ended, "Failed") or {})["reason"] == "DeadlineExceeded"
    states = [slice_["status"]["hosts"][0] for slice_ in slices(kube, namespace, "slow")]
    assert [(state["state"], state["reason"]) for state in states] == [
        ("Failed", "DeadlineExceeded"), ("NotStarted", "DeadlineExceeded"),
    ]  # fmt: skip


def test_batches_follow_each_other_and_wait_for_approval(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"batches": [1, "50%", "100%"], "pauseFor": "Approval"}
    kube.create(invocation(namespace, "batches", "true", [f"host-{n}" for n in range(6)], rollout=rollout))
    waiting = waits_for(kube, namespace, "batches", "ApprovalNeeded")
    assert "approvedBatches to 2" in waiting["message"]
    assert len(events(kube, namespace, "batches")) == 1
    kube.patch("jobinvocations", namespace, "batches", {"spec": {"rollout": {"approvedBatches": 2}}})
    kube.wait("second batch", lambda: len(events(kube, namespace, "batches")) == 4)
    waits_for(kube, namespace, "batches", "ApprovalNeeded")
    kube.patch("jobinvocations", namespace, "batches", {"spec": {"rollout": {"approvedBatches": 3}}})
    ended = end_of(kube, namespace, "batches")
    assert ended["status"]["hosts"]["succeeded"] == 6
    assert ended["status"]["batch"] == 3


def test_a_pause_lies_between_batches(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"batches": [1], "pauseSeconds": 3}
    run(kube, invocation(namespace, "paused", "true", ["host-0", "host-1"], rollout=rollout))
    said = events(kube, namespace, "paused")
    assert said["host-1"][0].time - said["host-0"][-1].time >= 2


def test_starts_are_spread_over_the_time_span(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"timeSpanSeconds": 8, "hostsPerSlice": 1}
    run(kube, invocation(namespace, "spread", "true", [f"host-{n}" for n in range(4)], rollout=rollout))
    begun = datetime.fromisoformat(kube.get("jobinvocations", namespace, "spread")["status"]["startTime"])
    waits = [
        datetime.fromisoformat(slice_["status"]["startTime"]) - begun for slice_ in slices(kube, namespace, "spread")
    ]
    assert all(wait >= timedelta(seconds=2 * n - 1) for n, wait in enumerate(waits)), waits  # pods tell whole seconds
    assert waits[0] < timedelta(seconds=6), waits


def test_too_many_failures_stop_the_rollout(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"concurrency": 1, "hostsPerSlice": 1, "maxFailed": 1}
    ended = run(kube, invocation(namespace, "failing", "exit 1", [f"host-{n}" for n in range(6)], rollout=rollout))
    assert (condition(ended, "Failed") or {})["reason"] == "TooManyFailed"
    assert ended["status"]["hosts"]["failed"] == 2
    assert ended["status"]["hosts"]["cancelled"] == 4
    states = [slice_["status"]["hosts"][0]["state"] for slice_ in slices(kube, namespace, "failing")]
    assert states == ["Failed"] * 2 + ["NotStarted"] * 4


def overlap(kube: Kube, namespace: str, first: str, second: str, host: str) -> bool:
    """Whether two jobs were at work on a host at the same time."""
    one, other = events(kube, namespace, first)[host], events(kube, namespace, second)[host]
    return one[0].time < other[-1].time and other[0].time < one[-1].time


def test_an_exclusive_host_takes_one_job_after_the_other(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.patch("hosts", namespace, "host-8", {"spec": {"exclusive": "Slice"}})
    for name in ("one", "two", "three"):
        kube.create(invocation(namespace, name, "sleep 2", ["host-8"]))
        if name == "one":  # of those that come at the same moment, any may be the first
            kube.wait("pod of one", lambda: pods(kube, namespace, "one"))
    waiting = waits_for(kube, namespace, "three", "HostsBusy")
    assert "host-8" in waiting["message"]
    ended = [end_of(kube, namespace, name) for name in ("one", "two", "three")]
    assert all(condition(invocation_, "Complete") for invocation_ in ended)
    pairs = [("one", "two"), ("two", "three"), ("one", "three")]
    assert not any(overlap(kube, namespace, first, second, "host-8") for first, second in pairs)
    kube.patch("hosts", namespace, "host-8", {"spec": {"exclusive": "None"}})


def test_a_template_that_forbids_it_runs_one_invocation_at_a_time(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    kube.create(template(namespace, "alone", concurrencyPolicy="Forbid"))
    for name, host in (("alone-1", "host-0"), ("alone-2", "host-1")):
        manifest = invocation(namespace, name, "sleep 2", [host])
        manifest["spec"]["templateRef"] = {"name": "alone"}
        kube.create(manifest)
        if name == "alone-1":  # of two that come at the same moment, either may be the first
            kube.wait("pod of alone-1", lambda: pods(kube, namespace, "alone-1"))
    waiting = waits_for(kube, namespace, "alone-2", "TemplateBusy")
    assert "alone-1" in waiting["message"]
    first, second = end_of(kube, namespace, "alone-1"), end_of(kube, namespace, "alone-2")
    assert first["status"]["completionTime"] <= second["status"]["startTime"]
