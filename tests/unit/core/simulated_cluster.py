"""A cluster in plain Python: what is stored, the runner pods as they really are, and people who change things.

The cluster keeps JSON with resource versions, as the API server does: what is written is read back through the models,
and a status is written on condition that nobody else has written meanwhile.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from rollcall.names import FINALIZER_COLLECT, HostState, Reason
from rollcall.outputs import Event, Exit, Stream, parse_line
from rollcall.plan.pods import DELETED, Phase, Pod, Trouble
from rollcall.plan.prepare import SecretData
from rollcall.plan.units import units
from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import Resource
from rollcall.work import StopOrder, Work
from unit.core.objects import NAMESPACE, NOW, host, template

R = TypeVar("R", bound=Resource)

GRACE = 30
UNREACHABLE = Exit(HostState.FAILED, None, Reason.UNREACHABLE, "no route to host")
BADLY = Exit(HostState.FAILED, 1, Reason.EXIT_CODE, "exit code 1")
WELL = Exit(HostState.SUCCEEDED, 0)
UNSTARTABLE = Trouble(Reason.CONTAINER_FAILED, "the container with the template's image cannot be started")


class Unanswered(Exception):  # noqa: N818
    """The API server did not answer, or refused."""


@dataclass
class RunnerPod:
    """A runner pod as it really is."""

    slice: str
    invocation: str
    owner: str
    uid: int
    created: datetime
    work: Work
    phase: Phase = Phase.WAITING
    deleting: datetime | None = None
    grace: int | None = None
    order: str = ""
    held: bool = True
    started: bool = False
    trouble: Trouble | None = None
    hopeless: bool = False
    at_work: dict[str, datetime] = field(default_factory=dict)
    """The hosts whose scripts run, and since when."""
    ended: dict[str, Exit] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def seen(self) -> Pod:
        """What its JSON says."""
        return Pod(
            name=self.slice,
            namespace=NAMESPACE,
            uid=str(self.uid),
            resource_version="1",
            invocation=self.invocation,
            slice=self.slice,
            phase=self.phase,
            created=self.created,
            deleting_since=self.deleting,
            finalizers=(FINALIZER_COLLECT,) if self.held else (),
            trouble=self.trouble or (DELETED if self.deleting else None),
            container_started=self.started,
            hopeless=self.hopeless,
            grace_seconds=self.grace,
            stop_order=self.order,
            owner=self.owner,
        )

    @property
    def waiting_hosts(self) -> list[str]:
        return [h.name for h in self.work.hosts if h.name not in self.at_work and h.name not in self.ended]

    @property
    def unfinished(self) -> set[str]:
        """The hosts that it still works on, or will."""
        return set() if self.phase == Phase.ENDED else {h.name for h in self.work.hosts} - self.ended.keys()

    @property
    def most_at_work(self) -> int:
        """How many hosts it may still have at work at once."""
        return min(self.work.parallelism, len(self.unfinished))

    @property
    def stopped_hosts(self) -> list[str]:
        """The hosts that its runner has been told to stop, and that have not ended."""
        if self.deleting is not None:
            return [*self.at_work, *self.waiting_hosts]
        order = StopOrder.load(self.order)
        chosen = order.hosts if order is not None else ()
        return [name for name in (*self.at_work, *self.waiting_hosts) if chosen is None or name in chosen]

    def begin_host(self, now: datetime) -> str | None:
        """The runner begins with its next host."""
        free = self.phase == Phase.WORKING and len(self.at_work) < self.work.parallelism
        for name in self.waiting_hosts if free and self.deleting is None else ():
            if name not in self.stopped_hosts:
                self.at_work[name] = now
                self.say(name, Stream.STDOUT, b"hello\n", now)
                return name
        return None

    def end_host(self, name: str, ended: Exit, now: datetime) -> None:
        began = self.at_work.pop(name, None)
        start = None if began is None else began.timestamp()
        self.ended[name] = Exit(ended.state, ended.exit_code, ended.reason, ended.message, start)
        self.say(name, Stream.EXIT, self.ended[name], now)

    def obey(self, now: datetime, *, proven: bool = True) -> None:
        """The runner stops what it is told to stop."""
        if self.phase != Phase.WORKING:
            return
        for name in self.stopped_hosts:
            sure = proven or name not in self.at_work
            state, reason = (HostState.CANCELLED, Reason.CANCELLED) if sure else (HostState.CANCEL_FAILED,) * 2
            self.end_host(name, Exit(HostState(state), None, Reason(reason), "stopped on request"), now)

    def say(self, name: str, stream: Stream, data: bytes | Exit, now: datetime) -> None:
        seq = sum(event.host == name for event in self.log)
        self.log.append(parse_line(Event(name, seq, now.timestamp(), stream, data).line()))


class _Reader(Generic[R]):
    """Reads stored JSON through its model, each version of an object once: what is stored is replaced, not changed."""

    def __init__(self, model: type[R]) -> None:
        self._model = model
        self._read: dict[str, tuple[dict[str, Any], R]] = {}
        """The last version of each object, and what was read from it."""

    def of(self, document: dict[str, Any]) -> R:
        name = document["metadata"]["name"]
        known = self._read.get(name)
        if known is None or known[0] is not document:
            known = self._read[name] = document, self._model.model_validate(document)
        return known[1]


class Cluster:
    """What is stored, and what goes on."""

    def __init__(self, names: Iterator[str], exclusive: frozenset[str], **template_spec: Any) -> None:
        self.now = NOW
        self.hosts: dict[str, Host] = {
            name: host(name, exclusive="Slice") if name in exclusive else host(name) for name in names
        }
        self.template: JobTemplate = template("echo {{ host.name }}", **template_spec)
        self.has_template = True
        self.secret: SecretData | None = {"ssh-privatekey": b"key"}
        self.invocations: dict[str, dict[str, Any]] = {}
        self.slices: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, RunnerPod] = {}
        self.work_secrets: dict[str, bytes] = {}
        self.outputs: dict[str, list[Event]] = {}
        self.refusing: frozenset[int] = frozenset()
        """The slices, by index, whose pods the API server does not take."""
        self.pods_per_slice = 20
        """How many hosts with a pod each share an object, where there are more."""
        self._serial = 0
        self._read_invocations = _Reader(JobInvocation)
        self._read_slices = _Reader(JobSlice)

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    # ---- what is stored ----------------------------------------------------------------------------------------

    def add_invocation(self, name: str, spec: dict[str, Any]) -> None:
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": str(self.serial()),
            "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.invocations[name] = {"metadata": metadata, "spec": spec, "status": {}}

    def stored_invocation(self, name: str) -> JobInvocation | None:
        return self._read_invocations.of(self.invocations[name]) if name in self.invocations else None

    def slice_object(self, name: str) -> JobSlice | None:
        """The object of that name, which may be several slices."""
        return self._read_slices.of(self.slices[name]) if name in self.slices else None

    def stored_slice(self, name: str) -> JobSlice | None:
        found = (entry for stored in self.slices.values() for entry in units(self._read_slices.of(stored)))
        return next((entry for entry in found if entry.metadata.name == name), None)

    def stored_pod(self, name: str) -> Pod | None:
        return self.pods[name].seen() if name in self.pods else None

    def stored_slices(self, invocation: str) -> list[JobSlice]:
        found = (entry for stored in self.slices.values() for entry in units(self._read_slices.of(stored)))
        return [entry for entry in found if entry.spec.invocation_ref.name == invocation]

    def put_invocation(self, name: str, patch: dict[str, Any]) -> None:
        """Change it by a merge patch; the generation follows the spec."""
        before = self.invocations[name]
        after = merged(before, patch)
        generation = before["metadata"]["generation"] + (after["spec"] != before["spec"])
        version = {"resourceVersion": str(self.serial()), "generation": generation}
        self.invocations[name] = after | {"metadata": after["metadata"] | version}

    def put_slice(self, made: JobSlice) -> None:
        """Create it, unless there is one of that name."""
        name = made.metadata.name
        if name not in self.slices:
            metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{self.serial()}"}
            metadata["resourceVersion"] = str(self.serial())
            self.slices[name] = json.loads(json.dumps({"metadata": metadata, "spec": made.spec.wire()}))

    def put_slice_status(self, name: str, status: dict[str, Any]) -> None:
        """Change the status of the object of that name."""
        version = {"resourceVersion": str(self.serial())}
        self.slices[name] = merged(self.slices[name], {"status": status, "metadata": version})

    def discard_slices(self, invocation: str) -> None:
        for name in {found.object_name for found in self.stored_slices(invocation)}:
            del self.slices[name]

    def put_secret(self, name: str, work: bytes) -> None:
        """Work Secrets are immutable: one with other work is removed, and made anew in the next step."""
        if self.work_secrets.setdefault(name, work) != work:
            del self.work_secrets[name]
            raise Unanswered

    def delete_secret(self, name: str) -> None:
        self.work_secrets.pop(name, None)

    def put_pod(self, made: JobSlice) -> None:
        """Create the slice's pod."""
        name, invocation = made.metadata.name, made.spec.invocation_ref.name
        work = Work.load(self.work_secrets[name])
        moment = self.now.replace(microsecond=0)
        self.pods[name] = RunnerPod(name, invocation, made.metadata.uid, self.serial(), moment, work)
        if made.object_name not in self.slices:
            self.delete_pod(name)  # the garbage collector misses its owner

    def delete_pod(self, name: str, grace: int = GRACE) -> None:
        """Its grace period begins, or ends earlier than it would have."""
        pod = self.pods.get(name)
        if pod is not None and (pod.grace is None or grace < pod.grace):
            end = self.now.replace(microsecond=0) + timedelta(seconds=grace)
            pod.deleting = end if pod.deleting is None else min(end, pod.deleting)
            pod.grace = grace

    def delete_pods(self, invocation: str) -> None:
        for name, pod in list(self.pods.items()):
            if pod.invocation == invocation:
                self.delete_pod(name)

    def delete_secrets(self, invocation: str) -> None:
        names = {found.metadata.name for found in self.stored_slices(invocation)}
        self.work_secrets = {name: work for name, work in self.work_secrets.items() if name not in names}

    def disappear(self, name: str) -> None:
        """The invocation is gone for good, and what it owns with it."""
        self.delete_secrets(name)
        self.discard_slices(name)
        self.delete_pods(name)
        del self.invocations[name]

    # ---- nodes and runners -------------------------------------------------------------------------------------

    def begin_pod(self, name: str) -> None:
        """A node runs the pod, and the runner begins."""
        pod = self.pods[name]
        if pod.phase == Phase.WAITING and pod.deleting is None and not pod.hopeless:
            pod.phase, pod.started, pod.trouble = Phase.WORKING, True, None

    def spoil_pod(self, name: str) -> None:
        """The node cannot start a container, and never will."""
        pod = self.pods[name]
        if pod.phase == Phase.WAITING:
            pod.hopeless, pod.trouble = True, UNSTARTABLE

    def end_host(self, name: str, ended: Exit = WELL) -> None:
        """The host that has been at work for longest ends."""
        pod = self.pods[name]
        if pod.phase == Phase.WORKING and pod.at_work:
            pod.end_host(next(iter(pod.at_work)), ended, self.now)

    def end_pod(self, name: str, trouble: Trouble | None = None, *, killed: bool = False, proven: bool = True) -> None:
        """The container ends: by itself when all is done, at the end of its grace period, or with trouble."""
        pod = self.pods[name]
        if pod.phase == Phase.ENDED or (pod.phase == Phase.WAITING and pod.deleting is None and trouble is None):
            return
        if pod.deleting is not None and trouble is None and not killed:
            pod.obey(self.now, proven=proven)
        elif trouble is None and pod.unfinished and pod.deleting is None:
            return
        pod.phase, pod.at_work = Phase.ENDED, {}
        pod.trouble = trouble or pod.trouble

    def tidy(self, name: str) -> None:
        """The API server removes a pod that is deleted, has ended, and is not held."""
        pod = self.pods[name]
        if pod.deleting is not None and not pod.held and (pod.phase == Phase.ENDED or not pod.started):
            del self.pods[name]


def merged(document: Any, patch: Any) -> Any:
    """The document after a JSON merge patch (RFC 7386), through JSON as the API server keeps it."""
    if isinstance(patch, str | int):
        return patch
    if not isinstance(patch, dict):
        return json.loads(json.dumps(patch))
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
