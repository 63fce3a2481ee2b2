"""What a runner pod's JSON, as real kubelets and controllers write it, says in a phase and in a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollcall.names import FINALIZER_COLLECT, Reason
from rollcall.plan.pods import LOST_AFTER, Phase, read_pod
from unit.core.objects import NOW, after, pod

CREATED = "2026-03-01T12:00:00Z"
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED, "lastProbeTime": None}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
    "lastTransitionTime": CREATED,
}


def document(*, deleted: str | None = None, **status: Any) -> dict[str, Any]:
    """A runner pod as the API server answers it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "job-0",
            "namespace": "fleet",
            "uid": "4f7c1a3e-2d7f-4a6b-9b0e-2f0d4a5b6c7d",
            "resourceVersion": "812",
            "creationTimestamp": CREATED,
            "labels": {"rollcall.dev/invocation": "job", "rollcall.dev/slice": "job-0"},
            "finalizers": [FINALIZER_COLLECT],
            **({"deletionTimestamp": deleted, "deletionGracePeriodSeconds": 30} if deleted else {}),
        },
        "spec": {"nodeName": "node-a", "containers": [{"name": "runner"}]},
        "status": status,
    }


def container(**state: Any) -> dict[str, Any]:
    return {"name": "runner", "ready": "running" in state, "restartCount": 0, "image": "rollcall", "state": state}


def terminated(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return container(
        terminated={"exitCode": code, "reason": reason, "startedAt": CREATED, "finishedAt": CREATED} | more
    )


RUNNING = container(running={"startedAt": CREATED})
CREATING = container(waiting={"reason": "ContainerCreating"})


def disrupted(reason: str, message: str = "said so") -> dict[str, Any]:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("status", "deleted", "phase", "started"),
    [
        ({}, False, Phase.WAITING, False),
        ({"phase": "Pending"}, False, Phase.WAITING, False),
        ({"phase": "Pending", "conditions": [UNSCHEDULABLE]}, False, Phase.WAITING, False),
        ({"phase": "Pending", "conditions": [SCHEDULED]}, False, Phase.WAITING, False),
        ({"phase": "Pending", "conditions": [SCHEDULED], "containerStatuses": [CREATING]}, False, Phase.WAITING, False),
        ({"phase": "Running", "conditions": [SCHEDULED], "containerStatuses": [RUNNING]}, False, Phase.WORKING, True),
        ({"phase": "Running", "conditions": [SCHEDULED], "containerStatuses": [RUNNING]}, True, Phase.WORKING, True),
        ({"phase": "Succeeded", "containerStatuses": [terminated(0, "Completed")]}, False, Phase.ENDED, True),
        ({"phase": "Failed", "containerStatuses": [terminated(1)]}, False, Phase.ENDED, True),
        ({"phase": "Failed", "reason": "Evicted"}, False, Phase.ENDED, False),
        ({"phase": "Failed", "reason": "NodeLost", "containerStatuses": [RUNNING]}, True, Phase.ENDED, True),
        ({"phase": "Pending"}, True, Phase.ENDED, False),
        ({"phase": "Pending", "conditions": [UNSCHEDULABLE]}, True, Phase.ENDED, False),
        ({"phase": "Pending", "conditions": [SCHEDULED]}, True, Phase.WAITING, False),
        ({"phase": "Pending", "conditions": [SCHEDULED], "containerStatuses": [CREATING]}, True, Phase.WAITING, False),
    ],
)
def test_a_pod_waits_works_or_has_ended(status: dict[str, Any], deleted: bool, phase: Phase, started: bool) -> None:
    found = read_pod(document(deleted="2026-03-01T12:05:30Z" if deleted else None, **status))
    assert (found.phase, found.container_started) == (phase, started)


def test_a_pod_whose_container_has_ended_does_not_wait_for_it() -> None:
    """The kubelet may tell of the container before it tells of the pod: ten minutes of work were no waiting."""
    found = read_pod(document(phase="Running", conditions=[SCHEDULED], containerStatuses=[terminated(0, "Completed")]))
    assert found.phase != Phase.WAITING


@pytest.mark.parametrize(
    ("status", "deleted", "reason", "words"),
    [
        ({"conditions": [disrupted("EvictionByEvictionAPI")]}, True, Reason.EVICTED, "taken away: said so"),
        ({"conditions": [disrupted("PreemptionByScheduler")]}, True, Reason.EVICTED, "taken away: said so"),
        ({"conditions": [disrupted("TerminationByKubelet")]}, False, Reason.EVICTED, "taken away: said so"),
        ({"conditions": [disrupted("DeletionByTaintManager")]}, True, Reason.NODE_LOST, "taken away: said so"),
        ({"conditions": [disrupted("DeletionByPodGC", "")]}, True, Reason.NODE_LOST, "taken away: NodeLost"),
        ({"conditions": [disrupted("SomethingNew")]}, True, Reason.EVICTED, "taken away: said so"),
        ({"reason": "Evicted", "message": "low on memory"}, False, Reason.EVICTED, "was evicted: low on memory"),
        ({"reason": "Evicted"}, False, Reason.EVICTED, "was evicted: its node ran short"),
        ({"reason": "NodeLost"}, True, Reason.NODE_LOST, "the node of the runner pod went away"),
        ({"containerStatuses": [terminated(137, "OOMKilled")]}, False, Reason.OOM_KILLED, "raise its limit"),
        (
            {"containerStatuses": [container(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling x"})]},
            False,
            Reason.IMAGE_PULL,
            "cannot be pulled: Back-off pulling x",
        ),
        ({"containerStatuses": [container(waiting={"reason": "ErrImagePull"})]}, False, Reason.IMAGE_PULL, "ErrImage"),
        ({"containerStatuses": [container(waiting={"reason": "InvalidImageName"})]}, False, Reason.IMAGE_PULL, "Inval"),
        ({"conditions": [UNSCHEDULABLE]}, False, Reason.UNSCHEDULABLE, "3 Insufficient memory."),
        ({"containerStatuses": [RUNNING]}, True, Reason.POD_DELETED, "was deleted while it worked; run the job again"),
        ({"containerStatuses": [terminated(143)]}, True, Reason.POD_DELETED, "was deleted while it worked"),
        ({"containerStatuses": [terminated(2)]}, False, Reason.RUNNER_CRASHED, "ended with exit code 2"),
        (
            {"containerStatuses": [terminated(1, message="no work file\n")]},
            False,
            Reason.RUNNER_CRASHED,
            "ended with exit code 1: no work file",
        ),
        (
            {"containerStatuses": [terminated(137, message='{"hosts": 1, "output": "H4sI"}')]},
            False,
            Reason.RUNNER_CRASHED,
            "ended with exit code 137",
        ),
        (
            {"containerStatuses": [terminated(137, "OOMKilled")], "conditions": [disrupted("EvictionByEvictionAPI")]},
            True,
            Reason.EVICTED,
            "taken away",
        ),
    ],
)
def test_trouble_is_told_in_a_word_and_a_sentence(
    status: dict[str, Any], deleted: bool, reason: Reason, words: str
) -> None:
    trouble = read_pod(document(deleted="2026-03-01T12:05:30Z" if deleted else None, **status)).trouble
    assert trouble is not None
    assert trouble.reason == reason
    assert words in trouble.message
    assert "H4sI" not in trouble.message


def test_a_pods_last_words_are_kept_until_its_results_are() -> None:
    ended = document(phase="Succeeded", containerStatuses=[terminated(0, "Completed", message='{"hosts": 1}')])
    assert read_pod(ended).last_words == '{"hosts": 1}'
    ended["metadata"]["finalizers"] = []
    assert read_pod(ended).last_words == ""
    assert read_pod(document(phase="Running", containerStatuses=[RUNNING])).last_words == ""


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Running", "conditions": [SCHEDULED], "containerStatuses": [RUNNING]},
        {"phase": "Pending", "containerStatuses": [CREATING]},
        {"phase": "Succeeded", "containerStatuses": [terminated(0, "Completed", message='{"hosts": 1}')]},
        {"conditions": [disrupted("EvictionByEvictionAPI") | {"status": "False"}]},
    ],
)
def test_a_pod_that_goes_its_way_has_no_trouble(status: dict[str, Any]) -> None:
    assert read_pod(document(**status)).trouble is None


def test_a_pod_tells_its_slice_times_and_finalizers() -> None:
    found = read_pod(document(deleted="2026-03-01T12:05:30Z"))
    assert (found.name, found.namespace, found.slice, found.invocation) == ("job-0", "fleet", "job-0", "job")
    assert found.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.deleting_since == datetime(2026, 3, 1, 12, 5, 30, tzinfo=UTC)
    assert found.held


@pytest.mark.parametrize("labels", [None, {}, {"rollcall.dev/slice": "x"}, {"rollcall.dev/invocation": "x"}])
def test_a_pod_that_is_no_runner_is_refused(labels: dict[str, str] | None) -> None:
    other = document()
    other["metadata"]["labels"] = labels
    with pytest.raises(ValueError, match=r"^pod job-0 is not a runner pod$"):
        read_pod(other)


@pytest.mark.parametrize("missing", ["status", "finalizers"])
def test_a_pod_that_was_just_made_can_be_read(missing: str) -> None:
    young = document()
    young.pop(missing, None)
    young["metadata"].pop(missing, None)
    assert read_pod(young).phase == Phase.WAITING


@pytest.mark.parametrize(
    ("phase", "deleting", "now", "lost", "over"),
    [
        (Phase.WORKING, None, after(10_000), False, False),
        (Phase.WORKING, NOW, after(60), False, False),
        (Phase.WORKING, NOW, after(60.001), True, True),
        (Phase.WAITING, NOW, after(61), True, True),
        (Phase.ENDED, NOW, after(61), False, True),
        (Phase.ENDED, None, NOW, False, True),
        (Phase.WORKING, NOW, after(-5), False, False),
    ],
)
def test_a_pod_that_does_not_end_in_time_counts_as_lost(
    phase: Phase, deleting: datetime | None, now: datetime, lost: bool, over: bool
) -> None:
    assert timedelta(seconds=60) == LOST_AFTER
    found = pod(0, phase, deleting_since=deleting)
    assert (found.lost(now), found.over(now)) == (lost, over)


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ({"terminated": {"exitCode": 1, "message": "there is no revision x"}}, Reason.FETCH_FAILED, "no revision x"),
        ({"terminated": {"exitCode": 137}}, Reason.FETCH_FAILED, "exit code 137"),
        ({"waiting": {"reason": "ErrImagePull", "message": "no such image"}}, Reason.IMAGE_PULL, "no such image"),
    ],
)
def test_what_keeps_a_repository_from_being_fetched_is_told(state: dict[str, Any], reason: Reason, words: str) -> None:
    waiting = [{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}]
    phase = "Failed" if "terminated" in state else "Pending"
    found = read_pod(document(phase=phase, containerStatuses=waiting, initContainerStatuses=[{"state": state}]))
    assert found.trouble is not None
    assert found.trouble.reason is reason
    assert words in found.trouble.message
    assert not found.container_started
    assert (found.phase is Phase.ENDED) == (phase == "Failed")
