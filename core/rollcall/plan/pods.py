"""What a runner pod's status says, read once from its JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from rollcall.lastwords import are_last_words
from rollcall.names import ANNOTATION_STOP, FINALIZER_COLLECT, LABEL_INVOCATION, LABEL_SLICE, Reason
from rollcall.podscript import CONTAINER_LOST_CODE

LOST_AFTER: Final = timedelta(seconds=60)
"""How long after the end of its grace period a pod that is still there counts as lost with its node."""
HURRIED_GRACE_SECONDS: Final = 20
"""The grace period of a pod whose hosts are stopped by force; a runner then waits for nothing."""
HURRIED_LOST_AFTER: Final = timedelta(seconds=10)
"""`LOST_AFTER` for a pod whose hosts are stopped by force."""

SCRIPT_CONTAINER: Final = "script"
"""The container that a script runs in, beside the runner, for templates that run in the pod itself."""
_UNSTARTABLE: Final = frozenset({"StartError", "ContainerCannotRun"})
STRANDED_AFTER: Final = timedelta(seconds=10)
"""How long after the end of one container the other one may take to end. As a rule it takes no time: the two notice
each other's end, unless the one that ended had not begun to speak with the other."""
_SIGNALLED: Final = 128
"""Exit codes above it tell of signals."""
_IMAGE_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_DISRUPTIONS: Final = {
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "PreemptionByScheduler": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}


class Phase(Enum):
    """How far the pod is: waiting for its container, working, or ended for good."""

    WAITING = auto()
    WORKING = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a pod, in a word and in a sentence."""

    reason: Reason
    message: str


DELETED: Final = Trouble(
    Reason.POD_DELETED, "the runner pod was deleted while it worked; run the job again on this host"
)


@dataclass(frozen=True, slots=True)
class Pod:
    """The runner pod of a slice."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    invocation: str
    slice: str
    phase: Phase
    created: datetime
    deleting_since: datetime | None
    finalizers: tuple[str, ...]
    trouble: Trouble | None
    container_started: bool
    grace_seconds: int | None = None
    """The grace period of its deletion, once it is being deleted."""
    stop_order: str = ""
    """What its runner was told while it worked, a `rollcall.work.StopOrder`."""
    owner: str = ""
    """The uid of the slice that it was made for; a slice of another life of the invocation may have the same name."""
    node: str = ""
    """The node that it was given to; empty before."""
    hopeless: bool = False
    """Whether a container could not be started, for a reason that does not pass."""
    half_ended: datetime | None = None
    """When one of two containers ended, while the other has not."""
    last_words: str = ""
    """What its runner has left as its termination message, while its results wait to be collected."""

    @property
    def held(self) -> bool:
        """Whether it waits for its results to be collected."""
        return FINALIZER_COLLECT in self.finalizers

    def lost(self, now: datetime) -> bool:
        """Whether it should long have ended: nothing on its node answers any more."""
        if self.phase == Phase.ENDED or self.deleting_since is None:
            return False
        hurried = self.grace_seconds is not None and self.grace_seconds <= HURRIED_GRACE_SECONDS
        return now > self.deleting_since + (HURRIED_LOST_AFTER if hurried else LOST_AFTER)

    def stranded(self, now: datetime) -> bool:
        """Whether one of its containers waits for the other one in vain."""
        return self.half_ended is not None and now >= self.half_ended + STRANDED_AFTER

    def over(self, now: datetime) -> bool:
        """Whether nothing more will come from it."""
        return self.phase == Phase.ENDED or self.lost(now)


def read_pod(document: Mapping[str, Any]) -> Pod:
    """The pod in the API server's JSON. Raises ValueError when it is not one of our runner pods."""
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(LABEL_SLICE) != metadata["name"] or LABEL_INVOCATION not in labels:
        raise ValueError(f"pod {metadata['name']} is not a runner pod")
    status = document.get("status") or {}
    deleted = metadata.get("deletionTimestamp")
    finalizers = tuple(metadata.get("finalizers") or ())
    terminated = _container(status, "terminated") or {}
    return Pod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        invocation=labels[LABEL_INVOCATION],
        slice=labels[LABEL_SLICE],
        grace_seconds=metadata.get("deletionGracePeriodSeconds"),
        stop_order=(metadata.get("annotations") or {}).get(ANNOTATION_STOP, ""),
        owner=next((reference["uid"] for reference in metadata.get("ownerReferences") or ()), ""),
        phase=_phase(status, deleted=deleted is not None),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting_since=datetime.fromisoformat(deleted) if deleted else None,
        finalizers=finalizers,
        trouble=_trouble(status, deleted=deleted is not None),
        container_started=_all_started(status),
        hopeless=bool(_start_error(status)),
        half_ended=_half_ended(status),
        node=(document.get("spec") or {}).get("nodeName") or "",
        last_words=(terminated.get("message") or "") if FINALIZER_COLLECT in finalizers else "",
    )


def _init_container(status: Mapping[str, Any], state: str) -> Mapping[str, Any] | None:
    """The state of that name of the container that fetches a playbook, if there is one and it is in it."""
    return _container(status, state, kind="initContainerStatuses")


def _container(
    status: Mapping[str, Any], state: str, *, script: bool = False, kind: str = "containerStatuses"
) -> Mapping[str, Any] | None:
    """The runner container's state of that name, or the script container's, if it is in it."""
    for container in status.get(kind) or ():
        is_script = container.get("name") == SCRIPT_CONTAINER
        if is_script is script and (found := (container.get("state") or {}).get(state)):
            return found  # type: ignore[no-any-return]
    return None


def _has_script(status: Mapping[str, Any]) -> bool:
    return any(container.get("name") == SCRIPT_CONTAINER for container in status.get("containerStatuses") or ())


def _all_started(status: Mapping[str, Any]) -> bool:
    """Whether every container has begun."""
    return _started(status) and (not _has_script(status) or _started(status, script=True))


def _started(status: Mapping[str, Any], *, script: bool = False) -> bool:
    """Whether the container ever began. A kubelet also says `terminated` of one that it has never started."""
    terminated = _container(status, "terminated", script=script) or {}
    if terminated.get("reason") in _UNSTARTABLE:
        return False
    ran = terminated.get("startedAt") or "used to be Running" in (terminated.get("message") or "")
    return bool(_container(status, "running", script=script) or ran)


def _start_error(status: Mapping[str, Any]) -> str:
    """What the node says of a script container that it could not start, with an image that has no /bin/sh for one."""
    terminated = _container(status, "terminated", script=True) or {}
    return str(terminated.get("message") or "it says no more") if terminated.get("reason") in _UNSTARTABLE else ""


def _half_ended(status: Mapping[str, Any]) -> datetime | None:
    """When one of two containers ended, while the other has not."""
    ends = [_container(status, "terminated", script=script) for script in (False, True)]
    times = [end.get("finishedAt") for end in ends if end is not None]
    return datetime.fromisoformat(times[0]) if _has_script(status) and len(times) == 1 and times[0] else None


def _phase(status: Mapping[str, Any], *, deleted: bool) -> Phase:
    if status.get("phase") in ("Succeeded", "Failed"):
        return Phase.ENDED
    begun = _container(status, "running") or _container(status, "terminated")
    if begun and (not _has_script(status) or _started(status, script=True)):
        return Phase.WORKING
    if deleted and not status.get("containerStatuses") and not _scheduled(status):
        return Phase.ENDED  # no kubelet has it, so nobody will report its end
    return Phase.WAITING


def _scheduled(status: Mapping[str, Any]) -> bool:
    return any(c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ())


def _trouble(status: Mapping[str, Any], *, deleted: bool) -> Trouble | None:
    """The most telling thing that is wrong with the pod."""
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    disruption = conditions.get("DisruptionTarget", {})
    if disruption.get("status") == "True":
        reason = _DISRUPTIONS.get(disruption.get("reason", ""), Reason.EVICTED)
        return Trouble(reason, f"the runner pod was taken away: {disruption.get('message') or reason.value}")
    if status.get("reason") == "Evicted":
        return Trouble(Reason.EVICTED, f"the runner pod was evicted: {status.get('message', 'its node ran short')}")
    if status.get("reason") == "NodeLost":
        return Trouble(Reason.NODE_LOST, "the node of the runner pod went away")
    terminated = _container(status, "terminated") or {}
    script = _container(status, "terminated", script=True) or {}
    if script.get("reason") == "OOMKilled" and terminated.get("exitCode"):
        return Trouble(
            Reason.OOM_KILLED,
            "the script used more memory than its container may; raise spec.runner.resources.limits of the template",
        )
    if terminated.get("reason") == "OOMKilled":
        return Trouble(
            Reason.OOM_KILLED, "the runner used more memory than it may; raise its limit or put fewer hosts in a slice"
        )
    fetched = _init_container(status, "terminated") or {}
    # One that a signal has ended while the pod is deleted says nothing of the repository.
    if (code := fetched.get("exitCode", 0)) and not (deleted and code > _SIGNALLED):
        said = (fetched.get("message") or "").strip() or f"git ended with exit code {code}"
        return Trouble(Reason.FETCH_FAILED, f"the playbook's Git repository cannot be used: {said}")
    waiting = _init_container(status, "waiting") or _container(status, "waiting") or {}
    if waiting.get("reason") in _IMAGE_REASONS:
        said = waiting.get("message") or waiting["reason"]
        return Trouble(Reason.IMAGE_PULL, f"the runner image cannot be pulled: {said}")
    if trouble := _script_trouble(status, terminated):
        return trouble
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("reason") == "Unschedulable":
        return Trouble(Reason.UNSCHEDULABLE, f"no node takes the runner pod: {scheduled.get('message', '')}")
    stranded = _has_script(status) and 0 < terminated.get("exitCode", 0) < _SIGNALLED
    if deleted and not stranded:
        return DELETED
    if terminated.get("exitCode"):
        code, said = terminated["exitCode"], (terminated.get("message") or "").strip()
        if are_last_words(said):
            said = ""  # they tell of the hosts, and not of what ended the runner
        return Trouble(Reason.RUNNER_CRASHED, f"the runner ended with exit code {code}" + (f": {said}" if said else ""))
    return None


def _script_trouble(status: Mapping[str, Any], runner: Mapping[str, Any]) -> Trouble | None:
    """What is wrong with the script container; `runner` is how the runner's has ended, if it has."""
    if said := _start_error(status):
        return Trouble(
            Reason.CONTAINER_FAILED,
            f"the container with the template's image cannot be started; it needs /bin/sh: {said}",
        )
    waiting = _container(status, "waiting", script=True) or {}
    if waiting.get("reason") in _IMAGE_REASONS:
        said = waiting.get("message") or waiting["reason"]
        return Trouble(Reason.IMAGE_PULL, f"the template's image cannot be pulled: {said}")
    if waiting.get("message"):
        return Trouble(
            Reason.CONTAINER_FAILED, f"the container with the template's image cannot be started: {waiting['message']}"
        )
    terminated = _container(status, "terminated", script=True) or {}
    code = terminated.get("exitCode", 0)
    if 0 < code < _SIGNALLED and not runner.get("exitCode"):
        said = (terminated.get("message") or "").strip()
        return Trouble(
            Reason.CONTAINER_FAILED,
            f"the container with the template's image ended with exit code {code} before its script was started; its"
            f" /bin/sh must be a POSIX shell{f': {said}' if said else ''}",
        )
    if runner.get("exitCode") == CONTAINER_LOST_CODE:
        return Trouble(
            Reason.CONTAINER_FAILED,
            f"the container with the template's image ended with exit code {code} before its script did;"
            " what the script did until then is in its output",
        )
    return None
